"""Group relative policy optimisation (arXiv 2402.03300) by TRL, rewarded for valid, right and working outputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from lora_agent.types import JsonSchema

from ..evaluate.metrics import METRICS
from ..recipe import Recipe
from .examples import Example
from .rewards import Program, program_reward, schema_reward, task_reward
from .trainer import Done, Quiet, run, settings


class _OwnTokens(Quiet, GRPOTrainer):  # type: ignore[misc]
    """Prompts are rows' numbers; their tokens are ours."""

    found: Sequence[Example] = ()

    def _tokenize_prompts(self, prompts: list[Any]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return [list(self.found[int(prompt)].prompt) for prompt in prompts], None, {}


def fit(
    model: Any,
    tokenizer: Any,
    found: Sequence[Example],
    recipe: Recipe,
    folder: Path,
    key: str,
    *,
    schemas: Sequence[JsonSchema],
    stops: Sequence[int],
    program: Program | None,
) -> Done:
    """Answers are drawn free, without the grammar: what it forbids could earn no reward and teach nothing.
    `schemas`: the output schema of each example; `stops`: tokens that end an answer."""
    learning = recipe.learning
    same = METRICS[recipe.gate.metric]

    def judged(prompts: list[str], ids: list[list[int]]) -> list[tuple[float, Any, Example]]:
        made = []
        for prompt, tokens in zip(prompts, ids, strict=True):
            ended = bool(tokens) and tokens[-1] in stops
            text = tokenizer.decode(tokens[:-1], skip_special_tokens=False) if ended else None
            made.append((*schema_reward(text, schemas[int(prompt)]), found[int(prompt)]))
        return made

    def schema(prompts: list[str], completion_ids: list[list[int]], **_: Any) -> list[float]:
        return [reward for reward, _, _ in judged(prompts, completion_ids)]

    def task(prompts: list[str], completion_ids: list[list[int]], **_: Any) -> list[float]:
        return [task_reward(value, e.row, same) for _, value, e in judged(prompts, completion_ids)]

    def execution(prompts: list[str], completion_ids: list[list[int]], **_: Any) -> list[float]:
        worth = program or (lambda *_: 0.0)
        return [program_reward(value, e.row, worth) for _, value, e in judged(prompts, completion_ids)]

    rewards = [schema, task, *([execution] if program else [])]
    group = learning.generations
    per_step = min(recipe.fit.batch_rows, len(found))
    # one prompt's answers in each pass, `per_step` prompts in each step
    shared = settings(recipe, len(found), folder, micro=group, per_step=per_step * group, device=model.device.type)

    def make() -> Any:
        model.generation_config.eos_token_id = list(stops)
        args = GRPOConfig(
            **shared,
            num_generations=group,
            beta=learning.strength,
            temperature=learning.temperature,
            max_completion_length=recipe.prompt.max_new_tokens,
        )
        prompts = Dataset.from_list([{"prompt": str(i)} for i in range(len(found))])
        trainer = _OwnTokens(
            model=model, args=args, reward_funcs=rewards, train_dataset=prompts, processing_class=tokenizer
        )
        trainer.found = found
        return trainer

    return run(make, recipe, folder, key=key, rows=len(found), per_step=per_step)

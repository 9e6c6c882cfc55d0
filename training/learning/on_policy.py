"""On-policy distillation (arXiv 2306.13649): the adapter writes, a local teacher says what it would have written.

The teacher is another model with the same vocabulary, or the base itself, adapter off, with a long prompt: prompt
distillation, which needs no second model. Our own loop rather than TRL's DistillationTrainer, which wants a second
model and gives it the student's prompt. What is drawn is drawn under the grammar, by the engine that will serve it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lora_agent.engine.local.base import BaseModel
from lora_agent.engine.local.batch import call_batch
from lora_agent.engine.local.decode import DecodeOptions
from lora_agent.errors import ConfigError, DataError
from lora_agent.render import ChatRenderer, read_messages

from .. import packing
from ..data.rows import Row, read_rows
from ..encode import Encoded
from ..evaluate.live import LiveEngine
from ..fit.batches import make_batch
from ..fit.forward import base_only, target_logits, use_packed_passes
from ..fit.precision import autocast
from ..fit.step import Objective
from ..fit.trainable import load_frozen
from ..recipe import Fit
from ..run import Run
from ..teachers.questions import prompt, schema_for

WITHOUT_TEACHER = (
    "the forecast of memory, made before the probe's step, leaves out the teacher's pass over its longer prompt and "
    "what the adapter draws; the probe's step has both, and measures them"
)
"""What plan says."""


def divergence(student: Tensor, teacher: Tensor, beta: float) -> Tensor:
    """Mean over the T places of the generalised Jensen-Shannon divergence of logits (T, V): forward KL at 0, reverse KL
    at 1, else beta * KL(teacher | m) + (1 - beta) * KL(student | m), m = beta * teacher + (1 - beta) * student."""
    size = min(student.shape[-1], teacher.shape[-1])  # vocabularies may be padded to different lengths
    s, t = (functional.log_softmax(logits[:, :size], dim=-1) for logits in (student, teacher))
    if beta in (0.0, 1.0):
        return _kl(t, s) if beta == 0.0 else _kl(s, t)
    weights = torch.log(torch.tensor([beta, 1 - beta], device=s.device))
    m = torch.logsumexp(torch.stack([t + weights[0], s + weights[1]]), dim=0)
    return beta * _kl(t, m) + (1 - beta) * _kl(s, m)


def _kl(p: Tensor, q: Tensor) -> Tensor:
    """KL(p | q) of log-probabilities, mean over places."""
    return (p.exp() * (p - q)).sum(-1).mean()


class OnPolicy(Objective):
    """The divergence on outputs that the adapter draws anew at every step."""

    def __init__(self, model: Any, fit: Fit, run: Run, base: BaseModel, rows: dict[Encoded, Row], teacher: Teacher):
        super().__init__(model, fit)
        self._run, self._base, self._rows, self._teacher = run, base, rows, teacher
        self._package = packing.in_memory(run, base.renderer, base.identity)
        self._spell = run.spelling(base.renderer, base.vocabulary)
        self._steps = 0

    def forward(self, rows: Sequence[Encoded], weight: float = 1.0) -> Tensor:
        drawn = self._draw(rows)
        with autocast(self.fit, self.model):
            with torch.no_grad():
                wanted = self._teacher.logits([self._rows[row] for row in rows], drawn)
            logits, _ = target_logits(self.model, make_batch(drawn), adapt_context=self.fit.kind != "alora")
        value = divergence(logits, wanted, self._run.recipe.learning.strength)
        self.loss, self.tokens = float(value.detach()), len(logits)
        return weight * value

    def _draw(self, rows: Sequence[Encoded]) -> list[Encoded]:
        """The rows with what the adapter writes for them; an output that did not end keeps the row's own target."""
        learning = self._run.recipe.learning
        options = DecodeOptions(
            self._run.recipe.prompt.max_new_tokens,
            temperature=learning.temperature,
            seed=self.fit.seed * 1_000_003 + self._steps,
        )
        self.rest()
        engine = LiveEngine(self._base, self._package)
        results = call_batch(engine, [(self._package.name, self._rows[row].input) for row in rows], options)
        self.prepare()
        drawn = []
        for row, result in zip(rows, results, strict=True):
            valid = result.verdict == "valid"
            target = self._spell(replace(self._rows[row], output=result.output)) if valid else row.target
            drawn.append(replace(row, target=tuple(target)))
        return drawn

    def prepare(self) -> None:
        super().prepare()
        self._teacher.prepare()

    def after_step(self, step: int) -> None:
        self._steps = step

    def extra_state(self) -> dict[str, Any]:
        return {"steps": self._steps}

    def restore(self, saved: dict[str, Any]) -> None:
        self._steps = saved["steps"]


class Teacher:
    """Logits of a model for outputs, under the teacher's own prompt."""

    def __init__(self, run: Run, model: Any, renderer: ChatRenderer, shown: Sequence[Row]) -> None:
        self._run, self._model, self._renderer, self._shown = run, model, renderer, shown

    def prepare(self) -> None:
        use_packed_passes(self._model)

    def logits(self, rows: Sequence[Row], drawn: Sequence[Encoded]) -> Tensor:
        """(T, V) at the places of all drawn tokens, row by row. Task, schema and examples are read once for all."""
        asked = []
        for row, output in zip(rows, drawn, strict=True):
            ids = self._prompt(row)
            asked.append(Encoded(tuple(ids[:-1]), tuple(ids[-1:]), output.target, "teacher"))
        with base_only(self._model):
            found, _ = target_logits(self._model, make_batch(asked), adapt_context=True)
        return found

    def _prompt(self, row: Row) -> list[int]:
        recipe, teacher = self._run.recipe, self._run.recipe.learning.teacher
        if teacher is None:
            raise ConfigError("there is no teacher", hint="Give `learning: {teacher: ...}` in the recipe.")
        schema = schema_for(recipe, self._run.schema("output"), row)
        messages = read_messages(prompt(recipe, teacher, schema, row, self._shown))
        return self._renderer.context(messages) + self._renderer.tokens(self._renderer.generation_prompt)


def objective(run: Run, base: BaseModel, model: Any, encoded: Sequence[Encoded], fit: Fit) -> OnPolicy | None:
    """None where the recipe learns otherwise. `fit`: the settings to train by, which a sweep changes.

    Raises ConfigError for a teacher with another vocabulary, DataError if the rows are not those encoded."""
    if run.recipe.learning.method != "on_policy":
        return None
    rows = [row for row in read_rows(run.rows_file("train")) if row.desirable]
    if len(rows) != len(encoded):
        raise DataError(f"{len(rows)} rows but {len(encoded)} encoded ones", hint="Run again with --from data.")
    settings = run.recipe.learning.teacher
    shown = rows[: settings.examples] if settings is not None else []
    if settings is not None and settings.kind == "local":
        other = load_frozen(settings.model)
        if other.tokenizer.get_vocab() != base.tokenizer.get_vocab():
            raise ConfigError(
                f"the teacher {settings.model!r} has another vocabulary than {base.id!r}: probabilities of different "
                "tokens cannot be compared",
                hint="Take a teacher of the same family, or `method: distill`, which compares texts.",
            )
        teacher = Teacher(run, other.model, other.renderer, shown)
    else:
        teacher = Teacher(run, model, base.renderer, shown)
    by_tokens = dict(zip(encoded, rows, strict=True))
    return OnPolicy(model, fit, run, base, by_tokens, teacher)

"""A teacher on this machine: another model, or the adapter's own base, which then costs no second model.

Its answers are written under the grammar of the row's schema, so they are valid whatever the model is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lora_agent.engine.local.base import load_base
from lora_agent.engine.local.checkpoint import ensure_checkpoint
from lora_agent.engine.local.engine import LocalEngine
from lora_agent.errors import InputError
from lora_agent.registry import Registry

from .endpoint import Keep
from .purse import Purse
from .questions import Answer, Question


class LocalTeacher:
    def __init__(self, model: str | None) -> None:
        """`model`: a Hugging Face id or folder, None for the embedded base. Raises the BaseModelError family."""
        self._model = model
        checkpoint = ensure_checkpoint(model, "nf4")
        self.identity = {"local": checkpoint.id, "sha256": checkpoint.source_sha256}

    def ask(self, questions: Sequence[Question], purse: Callable[[], Purse], keep: Keep) -> int:
        """One after the other. Their common beginning (task, schema, examples) is read once. The budget is not for what
        costs no money."""
        engine = LocalEngine(load_base(self._model), Registry.discover((), search=False))
        for index, question in enumerate(questions):
            keep(index, _answer(engine, question))
        return 0


def _answer(engine: LocalEngine, question: Question) -> Answer:
    try:
        result = engine.session(question.messages).generate(
            schema=question.schema,
            max_tokens=question.max_tokens,
            temperature=question.temperature,
            seed=question.sample,
        )
    except InputError as error:  # too long a context, a schema that no grammar expresses
        return Answer("", problem=error.message)
    finish = "length" if result.closed_early else str(result.finish_reason)
    return Answer(result.raw, finish, result.usage.read + len(result.logprobs))

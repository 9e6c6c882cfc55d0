"""All answers to some questions: from the cache where they were given before, else from the teacher."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from lora_agent.folders import cache_dir

from ..recipe import Recipe, Teacher
from .cache import AnswerCache
from .endpoint import Endpoint, Keep
from .local import LocalTeacher
from .purse import Purse
from .questions import Answer, Question


class Source(Protocol):
    identity: dict[str, Any]
    """What its answers depend on besides the question."""

    def ask(self, questions: Sequence[Question], purse: Callable[[], Purse], keep: Keep) -> int: ...


@dataclass
class Answers:
    """By question; None where the budget did not suffice."""

    given: list[Answer | None]
    cached: int = 0
    unasked: int = 0
    spent: dict[str, int] = field(default_factory=dict)
    """Requests and tokens of this run folder, its interruptions included."""


def open_teacher(recipe: Recipe, teacher: Teacher) -> Source:
    """Raises ConfigError and the BaseModelError family."""
    if teacher.kind == "endpoint":
        return Endpoint(teacher)
    return LocalTeacher(teacher.model if teacher.kind == "local" else recipe.base)


def ask(source: Source, teacher: Teacher, questions: Sequence[Question], run: str) -> Answers:
    """`run` names whose budget it is. Raises as the teacher does; what was answered until then is in the cache."""
    cache = AnswerCache(cache_dir() / "teachers" / "answers.sqlite")
    try:
        keys = [question.key(source.identity) for question in questions]
        found = Answers([cache.get(key) for key in keys])
        open_ = [i for i, answer in enumerate(found.given) if answer is None]
        found.cached = len(questions) - len(open_)
        progress = _Progress(len(open_))

        def keep(index: int, answer: Answer) -> None:
            found.given[open_[index]] = answer
            if answer.final:
                cache.put(keys[open_[index]], answer)
            progress.step(answer)

        if open_:
            asked = [questions[i] for i in open_]
            found.unasked = source.ask(asked, lambda: Purse(teacher.budget, cache, run), keep)
        requests, tokens = cache.spent(run)
        found.spent = {"requests": requests, "tokens": tokens}
        return found
    finally:
        cache.close()


class _Progress:
    def __init__(self, total: int) -> None:
        self._total, self._done, self._tokens = total, 0, 0
        self._started = self._said = time.monotonic()

    def step(self, answer: Answer) -> None:
        self._done += 1
        self._tokens += answer.tokens
        now = time.monotonic()
        if now - self._said > 2 or self._done == self._total:
            self._said = now
            rate = self._done / max(1e-6, now - self._started)
            left = (self._total - self._done) / rate
            print(
                f"teacher: {self._done}/{self._total} answers, {rate:.2f}/s, {self._tokens} tokens, {left:.0f} s left",
                file=sys.stderr,
                flush=True,
            )

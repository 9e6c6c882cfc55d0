"""How likely the base finds what a user says: as one pass without any cache tells, and as often as it is asked."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lora_agent.engine.local import likelihood
from lora_agent.engine.local.engine import LocalEngine
from lora_agent.types import Message

TOLD = ["Weather of a city.", "Jokes.\nFor example:\n- Tell me a joke, please.", "Weather of a city."]
SAID = "What is the weather in Oslo?"


def by_one_pass(engine: LocalEngine, told: str, said: str) -> float:
    renderer = engine.base.renderer
    system = Message(role="system", content=told)
    ids = renderer.context([system, Message(role="user", content=said)])
    blank = renderer.context([system, Message(role="user", content="")])
    start = next(i for i, (a, b) in enumerate(zip(ids, blank, strict=False)) if a != b)
    end = min(len(ids), start + likelihood.MOST_TOKENS)
    return sum(engine.runner.logprobs(ids[: end - 1], list(range(start - 1, end - 1)), ids[start:end]))


@pytest.mark.parametrize("said", [SAID, "a ticket about a broken product, high priority, " * 12])
def test_read_once_or_many_times_the_likelihood_is_that_of_one_pass(
    make_engine: Callable[..., LocalEngine], said: str
) -> None:
    engine = make_engine()
    expected = [by_one_pass(engine, told, said) for told in TOLD]
    assert expected[0] != pytest.approx(expected[1], abs=1e-2)
    for _ in range(2):
        assert engine.log_likelihoods(TOLD, said) == pytest.approx(expected, abs=2e-3)
    engine.prefixes.clear()
    assert engine.log_likelihoods(TOLD[1:], said) == pytest.approx(expected[1:], abs=2e-3)


def test_what_was_told_is_not_read_again(
    make_engine: Callable[..., LocalEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine()
    engine.log_likelihoods(TOLD, SAID)
    read: list[int] = []
    real = engine.runner.read_rows

    def watched(feeds: list[list[int]], *rest: object, **options: object) -> object:
        read.extend(map(len, feeds))
        return real(feeds, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(engine.runner, "read_rows", watched)
    engine.log_likelihoods(TOLD, "Tell me more.")
    told = len(engine.base.renderer.tokens(TOLD[1]))
    assert len(read) == 3
    assert max(read) < told
    assert engine.session(SAID).prefill().read > 0  # and it leaves conversations as they are

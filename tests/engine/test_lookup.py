"""Guessed tokens change how fast a decode is, never what it writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lora_agent.engine.local.engine import LocalEngine
from lora_agent.engine.local.lookup import LENGTH, Lookup

from .conftest import KINDS

TALK = [{"role": "user", "content": "ticket: my product is broken. My product is broken, is it high or low priority?"}]


@pytest.mark.parametrize("name", sorted(KINDS))
def test_the_output_is_that_without_guesses(
    make_engine: Callable[..., LocalEngine], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine()
    with_guesses = engine.session(TALK).run(name)
    monkeypatch.setattr(type(engine.runner), "guesses", False)
    engine.prefixes.clear()
    without = engine.session(TALK).run(name)
    assert with_guesses.raw == without.raw
    assert with_guesses.usage == without.usage
    assert with_guesses.logprobs == pytest.approx(without.logprobs, abs=1e-4)


def test_free_text_and_schemas_are_the_same_too(
    make_engine: Callable[..., LocalEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine()
    schema = {"type": "array", "items": {"type": "string", "maxLength": 9}, "uniqueItems": True, "maxItems": 4}
    shapes: list[dict[str, Any]] = [{}, {"schema": schema}, {"regex": "(my product |is broken )+"}]

    def answers() -> list[str]:
        return [engine.session(TALK).generate(max_tokens=60, **shape).raw for shape in shapes]

    with_guesses = answers()
    monkeypatch.setattr(type(engine.runner), "guesses", False)
    assert answers() == with_guesses


def test_copied_text_is_guessed_and_costs_fewer_passes(make_engine: Callable[..., LocalEngine], kernels: str) -> None:
    if kernels != "native":
        pytest.skip("transformers on a CPU pays for every row: it makes no guesses")
    engine = make_engine()
    session = engine.session("say: my product is broken and the weather in Oslo is high")
    session.prefill()
    before = engine.runner.passes.count  # type: ignore[attr-defined]
    # One text is possible only: whoever copies it from the prompt is right each time.
    result = session.generate(regex="(z|my product is broken and the weather in Oslo is high[.!])")
    assert result.raw.startswith(("my product", "z"))
    assert engine.runner.passes.count - before <= len(result.logprobs)  # type: ignore[attr-defined]


def test_a_guess_follows_the_place_that_agrees_longest() -> None:
    lookup = Lookup([1, 2, 3, 9, 9, 7, 2, 3, 5, 6, 7, 8])
    assert lookup.guess([1, 2, 3]) == [9, 9, 7, 2][:LENGTH]
    assert lookup.guess([7, 2, 3]) == [5, 6, 7, 8][:LENGTH]
    assert lookup.guess([2, 3]) == [5, 6, 7, 8][:LENGTH]  # both agree alike: the later one
    assert lookup.guess([3]) == []
    assert lookup.guess([4, 4]) == []


def test_guesses_that_fail_are_made_less_often() -> None:
    lookup = Lookup([1, 2, 3, 4])
    made = 0
    for _ in range(40):
        if guess := lookup.guess([1, 2]):
            made += 1
            lookup.learn(len(guess), 0)
    assert made < 10

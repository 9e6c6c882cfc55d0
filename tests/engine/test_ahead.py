"""Masks worked out beside the forward pass, and logits of few tokens only: the same answers, errors included."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lora_agent.engine.local import ahead
from lora_agent.engine.local.ahead import Ahead, allowed_by
from lora_agent.engine.local.engine import LocalEngine
from lora_agent.structured import Vocabulary, compile_choice, compile_schema
from lora_agent.types import Result

from .conftest import load_tiny


@pytest.fixture(scope="module")
def vocabulary(base_dir: Path) -> Vocabulary:
    return load_tiny(base_dir).vocabulary


TALK = [{"role": "user", "content": "ticket: my product is broken. Is it high or low priority?"}]
SCHEMA = {
    "type": "object",
    "properties": {"text": {"type": "string", "maxLength": 9}, "level": {"enum": ["high", "low"]}},
    "required": ["text", "level"],
}


@pytest.mark.parametrize("options", [{}, {"temperature": 1.5, "seed": 3, "top_p": 0.9}])
def test_restricted_logits_change_nothing(
    make_engine: Callable[..., LocalEngine], options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine()

    def answers() -> list[Result]:
        engine.prefixes.clear()
        own = engine.session(TALK).generate(schema=SCHEMA, top_logprobs=3, **options)
        return [own, engine.session(TALK).run("lora", **options)]

    restricted = answers()
    monkeypatch.setattr(ahead, "FEW", 0)
    for few, all_of_them in zip(restricted, answers(), strict=True):
        assert few.raw == all_of_them.raw
        assert few.usage == all_of_them.usage
        assert few.logprobs == pytest.approx(all_of_them.logprobs, abs=1e-4)
        assert [[a.token for a in t.top] for t in few.token_logprobs] == [
            [a.token for a in t.top] for t in all_of_them.token_logprobs
        ]


def test_masks_after_each_guessed_token(vocabulary: Vocabulary) -> None:
    grammar = compile_schema(SCHEMA, vocabulary)
    constraint = grammar.start()
    guess = grammar.tokens_of('{"text":"my","level":"low"}')[:4]
    found = Ahead(constraint.copy(), guess)
    for place, token in enumerate([*guess, None]):
        assert found.allowed(place).mask.equal(constraint.mask())
        if token is not None:
            constraint.advance(token)


def test_rows_of_one_pass_get_what_any_of_them_may_write(
    vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    grammars = [compile_choice(choices, vocabulary) for choices in (["high"], ["low", "warm"])]
    allowed = [set(grammar.start().allowed()) for grammar in grammars]

    def rows() -> list[Ahead]:
        return [Ahead(grammar.start()) for grammar in grammars]

    assert set(allowed_by(rows()) or ()) == allowed[0] | allowed[1]
    assert allowed_by([*rows(), None]) is None, "a free row may write anything"
    monkeypatch.setattr(ahead, "FEW", len(allowed[0] | allowed[1]) - 1)
    assert allowed_by(rows()) is None


def test_a_guess_that_does_not_fit_is_its_own_rows_error(vocabulary: Vocabulary) -> None:
    grammar = compile_choice(["high"], vocabulary)
    wrong = next(token for token in range(vocabulary.size) if token not in grammar.start().allowed())
    row = Ahead(grammar.start(), [wrong])
    assert row.few() is None
    with pytest.raises(Exception, match="not allowed"):
        row.allowed(0)


def _masked(grammar: Any, pipe: Any) -> None:
    pipe.send(int(Ahead(grammar.start()).allowed(0).mask.count_nonzero()))


def test_a_forked_process_works_out_its_own_masks(vocabulary: Vocabulary) -> None:
    grammar = compile_choice(["high"], vocabulary)
    expected = int(Ahead(grammar.start()).allowed(0).mask.count_nonzero())  # this process has its threads now
    here, there = multiprocessing.get_context("fork").Pipe()
    child = multiprocessing.get_context("fork").Process(target=_masked, args=(grammar, there))
    child.start()
    assert here.poll(20)
    assert here.recv() == expected
    child.join(20)

"""Masks, forced tokens and the state of one decode."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from lora_agent.errors import ConfigError, EngineError, SchemaError
from lora_agent.structured import Vocabulary, compile_choice, compile_schema
from lora_agent.types import compact_json

SCHEMA = {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]}


def test_apply_keeps_allowed_logits_and_forbids_the_rest(vocabulary: Vocabulary) -> None:
    constraint = compile_schema({"type": "integer"}, vocabulary).start()
    allowed = set(constraint.allowed())
    for width in (vocabulary.size, vocabulary.size + 37):
        logits = torch.linspace(-3, 3, width)
        before = logits.clone()
        assert constraint.apply(logits) is logits
        kept = {i for i in range(width) if logits[i] != float("-inf")}
        assert kept == allowed
        assert all(logits[i] == before[i] for i in kept)
    half = constraint.apply(torch.zeros(vocabulary.size, dtype=torch.bfloat16))
    assert int((half == 0).sum()) == len(allowed) == constraint.allowed_count()


def test_logits_of_a_wrong_shape_are_named(vocabulary: Vocabulary) -> None:
    constraint = compile_schema({"type": "integer"}, vocabulary).start()
    with pytest.raises(EngineError, match="one row of floats"):
        constraint.apply(torch.zeros(2, vocabulary.size))


def test_a_model_wider_than_the_tokenizer(tokenizer: Any) -> None:
    wide = Vocabulary(tokenizer, tokenizer.eos_token_id, len(tokenizer) + 50)
    constraint = compile_schema(SCHEMA, wide).start()
    assert wide.size == len(tokenizer) + 50
    assert max(constraint.allowed()) < len(tokenizer)
    logits = constraint.apply(torch.zeros(wide.size))
    assert bool((logits[len(tokenizer) :] == float("-inf")).all())


def test_vocabulary_faults_say_what_to_do(tokenizer: Any) -> None:
    with pytest.raises(ConfigError, match="vocab_size=10"):
        Vocabulary(tokenizer, tokenizer.eos_token_id, 10)
    with pytest.raises(ConfigError, match="stop_token_id 99999"):
        Vocabulary(tokenizer, 99999)
    assert Vocabulary(tokenizer, tokenizer.eos_token_id).tokens is Vocabulary(tokenizer, tokenizer.eos_token_id).tokens


def test_a_decode_from_start_to_stop(vocabulary: Vocabulary) -> None:
    constraint = compile_schema(SCHEMA, vocabulary).start()
    for token in vocabulary.encode('{"a":true'):
        assert not constraint.can_stop
        assert not constraint.finished
        constraint.advance(token)
    constraint.advance(vocabulary.encode("}")[0])
    assert constraint.can_stop
    assert constraint.finished
    assert not constraint.stopped
    assert constraint.allowed() == [vocabulary.stop_token_id]
    assert constraint.allowed_count() == 1
    constraint.advance(vocabulary.stop_token_id)
    assert constraint.stopped
    assert constraint.finished
    with pytest.raises(EngineError, match="after the stop token"):
        constraint.advance(vocabulary.stop_token_id)


def test_a_refused_token_leaves_the_constraint_usable(vocabulary: Vocabulary) -> None:
    constraint = compile_schema(SCHEMA, vocabulary).start()
    wrong = vocabulary.encode("x")[0]
    for token in (wrong, vocabulary.stop_token_id, -1, vocabulary.size + 5):
        with pytest.raises(EngineError, match="not allowed"):
            constraint.advance(token)
    for token in vocabulary.encode('{"a":false}'):
        constraint.advance(token)
    assert constraint.finished


def test_rollback_and_copy(vocabulary: Vocabulary) -> None:
    constraint = compile_schema(SCHEMA, vocabulary).start()
    start = constraint.mask()
    tokens = [*vocabulary.encode('{"a":false}'), vocabulary.stop_token_id]
    for token in tokens[:2]:
        constraint.advance(token)
    branch = constraint.copy()
    for token in tokens[2:]:
        branch.advance(token)
    assert branch.stopped
    assert constraint.tokens == tuple(tokens[:2])
    branch.rollback(1)
    assert branch.finished
    assert not branch.stopped
    branch.rollback(len(branch.tokens))
    assert torch.equal(branch.mask(), start)
    assert branch.tokens == ()
    with pytest.raises(EngineError, match="cannot take back 3 of 2"):
        constraint.rollback(3)


@pytest.mark.parametrize(
    "value", [[{"u": {"unit": "c"}}, {"u": {"unit": "f"}}], [], [{"u": {"unit": "free text 東京 😀", "n": 3}}]]
)
def test_training_targets_in_the_tokens_of_the_decode(value: Any, vocabulary: Vocabulary) -> None:
    unit = {"anyOf": [{"enum": ["c", "f"]}, {"type": "string", "minLength": 3}]}
    inner = {"type": "object", "properties": {"unit": unit, "n": {"type": "integer"}}, "required": ["unit"]}
    item = {"type": "object", "properties": {"u": inner}, "required": ["u"]}
    grammar = compile_schema({"type": "array", "items": item}, vocabulary)
    tokens = grammar.tokens_of(compact_json(value))
    assert vocabulary.decode(tokens) == compact_json(value)
    constraint = grammar.start()
    for token in tokens:
        forced = constraint.forced()
        assert not forced or forced[0] == token
        constraint.advance(token)
    assert constraint.can_stop


def test_text_outside_the_grammar_has_no_tokens(vocabulary: Vocabulary) -> None:
    for text in ('{"b":true}', "[]", '{"a":true}}'):
        with pytest.raises(SchemaError, match="does not fit the grammar"):
            compile_schema(SCHEMA, vocabulary).tokens_of(text)


def test_forced_tokens_are_those_of_the_tokenizer(vocabulary: Vocabulary) -> None:
    constraint = compile_schema({"const": {"name": "get_weather", "city": "Lagos"}}, vocabulary).start()
    text = '{"name":"get_weather","city":"Lagos"}'
    forced = constraint.forced()
    assert forced
    assert vocabulary.encode(text)[: len(forced)] == forced
    assert constraint.allowed() == forced[:1]
    names = compile_choice(["tool_call", "tool_list"], vocabulary).start()
    assert vocabulary.decode(names.forced()) in "tool_"

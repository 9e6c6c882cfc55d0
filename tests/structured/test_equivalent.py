"""The rewritings change no language, and the mask of a drawn schema accepts what the validator does."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.structured.order import Orders
from lora_agent.errors import SchemaError
from lora_agent.structured import Vocabulary, compile_schema, explain
from lora_agent.structured.check import read_schema, read_source
from lora_agent.structured.equivalent import rewrite_equal
from lora_agent.structured.lower import lower
from lora_agent.types import compact_json
from tests.structured.drawing import schemas, values

OBJECT: dict[str, Any] = {"type": "object", "additionalProperties": False}
KIND = {"kind": {"enum": ["x", "y", "z"]}, "n": {"type": "integer"}, "s": {"type": "string"}}
REWRITTEN: dict[str, tuple[Any, list[str], list[str]]] = {
    "disjoint oneOf": (
        {"oneOf": [{"type": "string"}, {"enum": [1, 2]}, {"type": "object", "properties": {"a": {"const": 1}}}]},
        ['"x"', "1", '{"a":1}'],
        ["3", '{"a":2}', "null"],
    ),
    "oneOf by a tag in a definition": (
        {
            "type": "object",
            "oneOf": [{"$ref": "#/$defs/x"}, {"$ref": "#/$defs/y"}],
            "required": ["kind"],
            "$defs": {
                "x": {"properties": {"kind": {"enum": ["x"]}, "n": {"type": "integer"}}, "required": ["n"]},
                "y": {"properties": {"kind": {"enum": ["y", "z"]}}},
            },
        },
        ['{"kind":"x","n":1}', '{"kind":"z"}'],
        ['{"kind":"x"}', '{"kind":"w"}'],
    ),
    "allOf of objects": (
        {
            "allOf": [
                {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"minimum": 2}}},
                {"properties": {"b": {"type": "integer"}}, "required": ["b"], "additionalProperties": False},
            ]
        },
        ['{"b":2}'],
        ['{"a":1,"b":2}', '{"b":1}', "{}"],
    ),
    "dependentRequired": (
        {**OBJECT, "properties": {"a": {"const": 1}, "b": {"const": 2}}, "dependentRequired": {"a": ["b"]}},
        ["{}", '{"b":2}', '{"a":1,"b":2}'],
        ['{"a":1}'],
    ),
    "dependencies of draft 7": (
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            **OBJECT,
            "properties": {"a": {"const": 1}, "b": {"const": 2}},
            "dependencies": {"a": ["b"], "b": {"required": ["a"]}},
        },
        ["{}", '{"a":1,"b":2}'],
        ['{"a":1}', '{"b":2}'],
    ),
    "if over an enum": (
        {
            **OBJECT,
            "properties": KIND,
            "required": ["kind"],
            "if": {"properties": {"kind": {"const": "x"}}},
            "then": {"required": ["n"]},
            "else": {"required": ["s"]},
        },
        ['{"kind":"x","n":1}', '{"kind":"y","s":""}'],
        ['{"kind":"x"}', '{"kind":"x","s":""}', '{"kind":"z","n":1}'],
    ),
    "not over an enum": ({"enum": ["a", "b", 3], "not": {"enum": ["b", 3]}}, ['"a"'], ['"b"', "3"]),
    "not over a type": ({"type": ["string", "null", "array"], "not": {"type": "array"}}, ['"a"', "null"], ["[]"]),
    "not required": ({**OBJECT, "properties": KIND, "not": {"required": ["n", "s"]}}, ['{"n":1}'], ['{"n":1,"s":""}']),
    "uniqueItems": (
        {"type": "array", "items": {"enum": ["a", "b", "c"]}, "uniqueItems": True, "minItems": 1},
        ['["a"]', '["c","a"]', '["b","a","c"]'],
        ["[]", '["a","a"]', '["a","b","a"]'],
    ),
    "contains": (
        {"type": "array", "items": {"enum": [1, 2, 3]}, "contains": {"const": 3}, "maxItems": 3},
        ["[3]", "[1,3]", "[3,3,1]"],
        ["[]", "[1]", "[1,2,1]", "[1,2,1,3]"],
    ),
    "unevaluatedProperties": (
        {"type": "object", "properties": {"a": {"type": "null"}}, "unevaluatedProperties": False},
        ['{"a":null}', "{}"],
        ['{"b":1}'],
    ),
}


def accepts(grammar: Any, text: str) -> bool:
    matcher = grammar.matcher.deep_copy()
    tokens = grammar.vocabulary.encode(text)
    return bool(matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting())


@pytest.mark.parametrize("name", REWRITTEN)
def test_the_grammar_enforces_what_was_rewritten(name: str, vocabulary: Vocabulary) -> None:
    schema, inside, outside = REWRITTEN[name]
    for budget in (None, 256):
        grammar = compile_schema(schema, vocabulary, budget_tokens=budget)
        assert grammar.exact, grammar.checked
        assert [text for text in inside if not accepts(grammar, text)] == []
        assert [text for text in outside if accepts(grammar, text)] == []
    assert not explain(schema).checked


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(schema=schemas, instances=st.lists(values, min_size=4, max_size=8))
def test_rewriting_changes_no_language(schema: Any, instances: list[Any]) -> None:
    try:
        document = read_source(schema)
    except SchemaError:
        return
    rewritten = rewrite_equal(document)
    before = jsonschema.Draft202012Validator(document.schema())
    after = jsonschema.Draft202012Validator(rewritten.schema())
    for value in instances:
        assert before.is_valid(value) == after.is_valid(value), (value, rewritten.schema())


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(schema=schemas, instances=st.lists(values, min_size=4, max_size=8))
def test_the_mask_agrees_with_the_validator(schema: Any, instances: list[Any], vocabulary: Vocabulary) -> None:
    try:
        grammar = compile_schema(schema, vocabulary, budget_tokens=None)
    except SchemaError:
        return
    orders = Orders(lower(read_schema(schema))[0])
    validator = jsonschema.Draft202012Validator(schema)
    for value in instances:
        taken = any(accepts(grammar, compact_json(ordered)) for ordered in orders.of(value))
        if validator.is_valid(value):
            assert taken, value
        elif grammar.exact:
            assert not taken, value


def test_a_map_that_is_narrowed_twice_is_merged(vocabulary: Vocabulary) -> None:
    schema = {
        "allOf": [
            {"type": "object", "patternProperties": {"^a": {"type": "integer"}}, "additionalProperties": False},
            {"type": ["object", "null"], "additionalProperties": {"maximum": 3, "minimum": 0}},
        ]
    }
    grammar = compile_schema(schema, vocabulary, budget_tokens=None)
    assert grammar.exact
    assert accepts(grammar, '{"a1":3}')
    assert not any(accepts(grammar, text) for text in ('{"a1":4}', '{"b":3}', "null"))

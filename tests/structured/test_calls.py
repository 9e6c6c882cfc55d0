"""The schema of tool calls, and parameters as people write them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lora_agent.errors import SchemaError, ToolNameClashError
from lora_agent.structured import (
    Vocabulary,
    calls_schema,
    compile_schema,
    normalise_parameters,
    validate,
    without_quotes,
)
from lora_agent.types import Tool, compact_json

POINT = {
    "type": "object",
    "properties": {"at": {"$ref": "#/$defs/Point"}, "unit": {"enum": ["km", "mi"]}},
    "required": ["at"],
    "$defs": {"Point": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]}},
}
LABEL = {
    "type": "object",
    "properties": {"at": {"$ref": "#/definitions/Point"}},
    "definitions": {"Point": {"type": "string"}},
}
TOOLS = [
    Tool(name="distance", parameters=POINT),
    Tool(name="label", parameters=LABEL),
    Tool(name="now"),
    Tool(name="tag", parameters={"type": "object", "additionalProperties": {"type": "string"}}),
]


def call(tool: str, /, **arguments: Any) -> str:
    return compact_json({"calls": [{"name": tool, "arguments": arguments}]})


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ('{"calls":[]}', True),
        (call("distance", at={"x": 1.5}), True),
        (call("distance", at={"x": 1}, unit="km"), True),
        (call("distance", unit="km"), False),
        (call("distance", at={"x": 1, "z": 2}), False),
        (call("distance", at="here"), False),
        (call("label", at="here"), True),
        (call("label", at={"x": 1}), False),
        (call("label"), True),
        (call("label", other=1), False),
        (call("now"), True),
        (call("now", zone="x"), False),
        (call("tag", anything="x"), True),
        (call("unknown"), False),
    ],
)
def test_calls_follow_the_tool_that_is_named(text: str, valid: bool, vocabulary: Vocabulary) -> None:
    schema = calls_schema(TOOLS)
    assert validate(text, schema).valid is valid
    grammar = compile_schema(schema, vocabulary)
    matcher = grammar.matcher.deep_copy()
    tokens = vocabulary.encode(text)
    assert (matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()) is valid
    assert grammar.checked == ()


def test_without_tools_there_is_one_answer(vocabulary: Vocabulary) -> None:
    grammar = compile_schema(calls_schema([]), vocabulary)
    constraint = grammar.start()
    for token in vocabulary.encode('{"calls":[]}'):
        constraint.advance(token)
    assert constraint.finished
    assert not validate(call("now"), calls_schema([])).valid


def test_the_number_of_calls_is_limited() -> None:
    two = compact_json({"calls": [{"name": "now", "arguments": {}}] * 2})
    assert validate(two, calls_schema(TOOLS)).valid
    assert not validate(two, calls_schema(TOOLS, max_calls=1)).valid


def test_a_least_number_of_calls_leaves_no_way_around_it(vocabulary: Vocabulary) -> None:
    grammar = compile_schema(calls_schema(TOOLS, min_calls=1), vocabulary)
    with pytest.raises(SchemaError):
        grammar.tokens_of('{"calls":[]}')
    assert compile_schema(calls_schema(TOOLS), vocabulary).tokens_of('{"calls":[]}')


def test_a_call_may_begin_with_the_words_that_it_serves(vocabulary: Vocabulary) -> None:
    calls = [{"for": 'label it "x", 3 < 5', **json.loads(call("label"))["calls"][0]}, {"name": "now", "arguments": {}}]
    text = compact_json({"calls": calls})
    quoting = compile_schema(calls_schema(TOOLS, quotes=True), vocabulary)
    assert vocabulary.decode(quoting.tokens_of(text)) == text
    assert quoting.tokens_of(call("now")) == compile_schema(calls_schema(TOOLS), vocabulary).tokens_of(call("now"))
    assert without_quotes(json.loads(text)) == {"calls": [{k: c[k] for k in ("name", "arguments")} for c in calls]}
    for refusing in (calls_schema(TOOLS), calls_schema(TOOLS, max_calls=1, quotes=True)):
        assert not validate(text, refusing).valid
    assert not validate(text.replace('"for"', '"of"'), calls_schema(TOOLS, quotes=True)).valid


def test_faults_name_the_tool() -> None:
    bad = Tool(name="broken", parameters={"type": "object", "properties": {"a": {"type": "strng"}}})
    with pytest.raises(SchemaError, match=r"tool 'broken'.*'/properties/a'"):
        calls_schema([*TOOLS, bad])
    with pytest.raises(ToolNameClashError, match="'now'"):
        calls_schema([Tool(name="now"), Tool(name="now")])


def test_recursive_parameters_are_lifted(vocabulary: Vocabulary) -> None:
    tree = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "kids": {"type": "array", "items": {"$ref": "#"}}},
    }
    schema = calls_schema([Tool(name="a", parameters=tree), Tool(name="b", parameters=tree)])
    text = call("b", name="x", kids=[{"name": "y", "kids": []}])
    assert validate(text, schema).valid
    assert compile_schema(schema, vocabulary).tier == "strict"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (
            {
                "type": "dict",
                "properties": {"a": {"type": "float"}, "b": {"type": "tuple"}, "c": {"type": "any"}},
            },
            {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "array"}, "c": {}}},
        ),
        (
            {
                "properties": {
                    "a": {"type": "int"},
                    "b": {"type": "String"},
                    "c": {"type": "bool"},
                    "d": {"type": "list"},
                }
            },
            {
                "type": "object",
                "properties": {
                    "a": {"type": "integer"},
                    "b": {"type": "string"},
                    "c": {"type": "boolean"},
                    "d": {"type": "array"},
                },
            },
        ),
        (
            {
                "type": "object",
                "properties": {"a": {"type": "string", "required": True}, "b": {"type": "string"}},
            },
            {
                "type": "object",
                "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
                "required": ["a"],
            },
        ),
        ({}, {"type": "object", "properties": {}}),
        (
            {
                "type": "object",
                "properties": {"a": {"type": "integer", "enum": ["1", "2"]}},
                "required": None,
            },
            {"type": "object", "properties": {"a": {"enum": ["1", "2"]}}},
        ),
        (
            {
                "type": "dict",
                "properties": {"a": {"type": "array", "items": {"type": "dict", "properties": None}}},
            },
            {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "object"}}}},
        ),
    ],
)
def test_parameters_as_people_write_them(written: Any, meant: Any, vocabulary: Vocabulary) -> None:
    normal = normalise_parameters(written)
    assert normal.schema == meant
    assert normal.changes or not written
    assert normalise_parameters(meant) == (meant, [])
    assert compile_schema(calls_schema([Tool(name="t", parameters=written)]), vocabulary).tier == "strict"


def test_a_default_outside_its_type_does_no_harm(vocabulary: Vocabulary) -> None:
    parameters = {"type": "object", "properties": {"n": {"type": "integer", "default": "five"}}}
    schema = calls_schema([Tool(name="t", parameters=parameters)])
    assert compile_schema(schema, vocabulary).tier == "strict"
    assert validate(call("t", n=5), schema).valid

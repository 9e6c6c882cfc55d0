"""Schemas that are wrong, contradictory or hostile: a clear error or a right grammar, in bounded time."""

from __future__ import annotations

import time
from typing import Any

import pytest

from lora_agent.errors import SchemaError
from lora_agent.structured import Vocabulary, compile_schema, explain

SECONDS = 15.0
"""Processor time of the process, so with what was given up on and still runs; the limit itself is 2 s each."""


def doubling(levels: int) -> dict[str, Any]:
    defs: dict[str, Any] = {"d0": {"type": "object", "properties": {"x": {"type": "string"}}}}
    for level in range(1, levels):
        below = {"$ref": f"#/$defs/d{level - 1}"}
        defs[f"d{level}"] = {"allOf": [below, {"properties": {f"l{level}": below, f"r{level}": below}}]}
    return {"$ref": f"#/$defs/d{levels - 1}", "$defs": defs}


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "null"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


HONOURED: dict[str, Any] = {
    "10,000 enum values": {"enum": [f"value {number}" for number in range(10_000)]},
    "10,000 values in a oneOf": {"oneOf": [{"enum": [f"{side}{n}" for n in range(10_000)]} for side in "ab"]},
    "catastrophic pattern": {"type": "string", "pattern": "^(a+)+$"},
    "repeated repetition": {"type": "string", "pattern": "^((a{1,100}){1,100}){1,100}$"},
    "allOf that doubles": doubling(20),
    "50 levels": nested(50),
    "a million items": {"type": "array", "items": {"type": "integer"}, "minItems": 10**6},
    "endless string": {"type": "string", "maxLength": 10**9},
    "many remainders": {"type": "integer", "multipleOf": 123_456_789},
    "tiny steps": {"type": "number", "multipleOf": 1e-300},
    "500 dependencies": {"type": "object", "dependentRequired": {f"k{n}": [f"k{n + 1}"] for n in range(500)}},
    "a wide uniqueItems": {"type": "array", "uniqueItems": True, "items": {"enum": list(range(500))}},
}


def ranges(objects: int, keys: int) -> dict[str, Any]:
    """Integer ranges that all differ: each is expanded digit by digit."""
    inner = [
        {f"p{i}": {"type": "integer", "minimum": -i - j * 10**9, "maximum": 10**12 + i * j} for i in range(keys)}
        for j in range(objects)
    ]
    return {"type": "object", "properties": {f"o{j}": {"type": "object", "properties": p} for j, p in enumerate(inner)}}


REFUSED: dict[str, tuple[Any, str]] = {
    "24,000 ranges": (ranges(16, 1500), "more than 2 s|too large"),
    "5 MB": ({"description": "x" * 5_000_000}, "more than the limit"),
    "11,000 properties": ({"properties": {f"k{n}": {"type": "string"} for n in range(11_000)}}, "more than the limit"),
    "5,000 levels": (nested(5_000), "nested deeper"),
    "not a schema": ([1], "object or a boolean"),
    "keys that are no texts": ({1: 2}, "not all texts"),
    "a set": ({"enum": {1, 2}}, "not JSON"),
    "types that exclude each other": ({"allOf": [{"type": "string"}, {"type": "integer"}]}, "no value fits"),
    "an empty range": ({"type": "integer", "minimum": 5, "maximum": 3}, "minimum"),
    "a required key that is forbidden": (
        {"type": "object", "properties": {"a": {}}, "required": ["b"], "additionalProperties": False},
        "'b'",
    ),
    "recursion without an end": ({"type": "array", "items": {"$ref": "#"}, "minItems": 1}, "without an end"),
    "another machine": ({"$ref": "https://example.com/schema.json"}, "never fetched"),
}


@pytest.mark.parametrize("name", HONOURED)
def test_large_schemas_are_honoured_in_bounded_time(name: str, vocabulary: Vocabulary) -> None:
    started = time.process_time()
    constraint = compile_schema(HONOURED[name], vocabulary).start()
    assert constraint.allowed()
    assert time.process_time() - started < SECONDS


@pytest.mark.parametrize("name", REFUSED)
def test_wrong_schemas_are_refused_with_the_reason(name: str, vocabulary: Vocabulary) -> None:
    schema, reason = REFUSED[name]
    started = time.process_time()
    with pytest.raises(SchemaError, match=reason) as caught:
        compile_schema(schema, vocabulary)
    assert caught.value.hint
    assert explain(schema).refused
    assert time.process_time() - started < SECONDS

"""Full validation, and the values of texts that are still being written."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_agent.errors import SchemaError
from lora_agent.structured import parse_partial, validate

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "when": {"type": "string", "format": "date"},
        "n/m": {"type": "array", "items": {"type": "integer"}},
    },
}


def test_a_valid_text_gives_its_value() -> None:
    verdict = validate('{"when":"2026-01-31","n/m":[1]}', SCHEMA)
    assert verdict
    assert verdict.value == {"when": "2026-01-31", "n/m": [1]}
    assert verdict.errors == ()


@pytest.mark.parametrize(
    ("text", "pointer", "keyword"),
    [
        ('{"when":"2026-02-31"}', "/when", "format"),
        ('{"n/m":[1,"x"]}', "/n~1m/1", "type"),
        ('{"when":"2026-01-31","when":"2026-01-30"}', "", "duplicate"),
        ('{"n/m":[NaN]}', "", "json"),
        ('{"n/m":[-Infinity]}', "", "json"),
        ('{"when":', "", "json"),
        ("[" * 100_000, "", "json"),
        ("[]", "", "type"),
    ],
)
def test_faults_name_the_place_and_the_keyword(text: str, pointer: str, keyword: str) -> None:
    verdict = validate(text, SCHEMA)
    assert not verdict.valid
    assert [(fault.pointer, fault.keyword) for fault in verdict.errors] == [(pointer, keyword)]
    assert keyword in ("json", "duplicate") or verdict.summary().startswith(pointer or "/")


def test_values_that_json_cannot_hold() -> None:
    assert validate({"when": {1, 2}}, {}).errors[0].keyword == "json"
    assert validate(float("nan"), {}).errors[0].keyword == "json"
    assert validate({"n/m": [1]}, SCHEMA).valid


def test_remote_references_are_never_fetched() -> None:
    with pytest.raises(SchemaError, match=r"example\.com"):
        validate("{}", {"$ref": "https://example.com/schema.json"})


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"k": {"pattern": "^((a+)+b|a+)$"}}},
        {"type": "object", "patternProperties": {"^((a+)+b|a+)$": {"type": "integer"}}},
        {"type": "object", "patternProperties": {"^((a+)+b|c+)$": {}}, "additionalProperties": False},
    ],
)
def test_a_pattern_that_takes_for_ever_stops_nothing(schema: dict[str, Any]) -> None:
    """`re` needs an hour for these 40 letters, and lets no other thread run meanwhile."""
    value = {"k": "a" * 39 + "!"} if "properties" in schema else {"a" * 39 + "!": 1}
    started = time.monotonic()
    validate(value, schema)
    assert time.monotonic() - started < 5


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(value=JSON, escaped=st.booleans())
def test_every_prefix_of_json_has_a_partial_value(value: Any, escaped: bool) -> None:
    text = json.dumps(value, ensure_ascii=escaped)
    for end in range(len(text)):
        partial = parse_partial(text[:end])
        if isinstance(value, dict) and partial is not None:
            assert isinstance(partial, dict)
            assert set(partial) <= set(value)
    assert parse_partial(text) == json.loads(text)


def test_partial_values_grow() -> None:
    assert parse_partial("") is None
    assert parse_partial('{"answer":"In 19') == {"answer": "In 19"}
    assert parse_partial('{"answer":"a","cit') == {"answer": "a"}
    assert parse_partial('{"list":[1,2,{"a":tr') == {"list": [1, 2, {}]}
    assert parse_partial('{"a":"x\\u00') == {"a": "x"}
    assert parse_partial("no json") is None

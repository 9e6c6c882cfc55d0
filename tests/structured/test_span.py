"""The place of a value in a text is where json reads it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_agent.structured.span import value_span

VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


def pointers(value: Any, at: str = "") -> list[tuple[str, Any]]:
    found = [(at, value)]
    if isinstance(value, dict):
        for key, inner in value.items():
            found += pointers(inner, f"{at}/{key.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            found += pointers(inner, f"{at}/{index}")
    return found


@given(VALUES, st.sampled_from([None, 2]))
def test_every_value_is_found(value: Any, indent: int | None) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    for pointer, inner in pointers(value):
        span = value_span(text, pointer)
        assert span is not None
        assert json.loads(text[slice(*span)]) == inner


@pytest.mark.parametrize(("text", "pointer"), [('{"a":1}', "/b"), ("[1]", "/1"), ("3", "/a"), ("{", "/a"), ("", "")])
def test_what_is_not_there_is_none(text: str, pointer: str) -> None:
    assert value_span(text, pointer) is None

"""Keys that come twice are noticed at the place where they begin, however the text is cut."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_agent.structured.keys import KeyScanner

VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


def scan(text: str, cut: int) -> int | None:
    scanner, data = KeyScanner(), text.encode()
    for start in range(0, len(data), cut):
        if (found := scanner.feed(data[start : start + cut])) is not None:
            return found
    return None


@given(VALUES, st.integers(1, 7), st.sampled_from([None, 1]), st.booleans())
def test_values_without_such_keys_pass(value: Any, cut: int, indent: int | None, ascii_only: bool) -> None:
    assert scan(json.dumps(value, indent=indent, ensure_ascii=ascii_only), cut) is None


@pytest.mark.parametrize(
    ("before", "key"),
    [
        ('{"a":1,', '"a":2}'),
        ('{"b":{"a":"}"},"x":[{"a":1},{"a":2,', '"a"  :3}]}'),
        ('{"\\u0061":1,', '"a":2}'),
        ('{"ä\\"":[1,{"k":2}],"k":0,', '"ä\\"":2}'),
    ],
)
@pytest.mark.parametrize("cut", [1, 3, 100])
def test_where_it_begins_is_said(before: str, key: str, cut: int) -> None:
    assert scan(before + key, cut) == len(before.encode())


def test_values_and_list_items_are_no_keys() -> None:
    assert scan('["a","a",{"a":"a","b":"a"},{"a":["b","b"]}]', 2) is None

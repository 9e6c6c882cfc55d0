"""The quick check of a schema's form says yes only where the draft's metaschema does."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_agent.structured.check import _QUICK
from lora_agent.structured.walk import ASSERTIONS
from lora_agent.structured.wellformed import _RULES, surely_wellformed
from tests.structured.schemas import WALKED

KEYWORDS = sorted({*ASSERTIONS, *_RULES})
SCALARS = st.one_of(
    st.booleans(), st.none(), st.integers(-2, 3), st.floats(-2, 2), st.sampled_from(["string", "x", "#/$defs/a", "[a"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from([*KEYWORDS, "a", "^a$", "(b"]), inner, max_size=3),
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("draft", _QUICK, ids=lambda draft: draft.__name__)
@settings(max_examples=50, deadline=None)
@given(keyword=st.sampled_from(KEYWORDS), value=VALUES)
def test_what_is_surely_wellformed_is_accepted_by_the_metaschema(draft: Any, keyword: str, value: Any) -> None:
    for schema in ({keyword: value}, {"properties": {"a": {keyword: value}}}, {"items": {"not": {keyword: value}}}):
        if surely_wellformed(schema, _QUICK[draft]):
            draft.check_schema(schema)


@pytest.mark.parametrize("name", WALKED)
def test_ordinary_schemas_take_the_quick_way(name: str) -> None:
    assert surely_wellformed(WALKED[name], 2020)
    jsonschema.Draft202012Validator.check_schema(WALKED[name])

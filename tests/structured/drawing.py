"""Random small schemas and values that meet often: few keys, few values, every keyword that is rewritten."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

KEYS = ["a", "b", "c"]
SCALARS: list[Any] = [None, True, False, 0, 1, 2, -1, 0.5, "", "a", "b", "ab"]
values: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from(SCALARS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from([*KEYS, "d"]), inner, max_size=3)
    ),
    max_leaves=5,
)
TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"]
leaves: st.SearchStrategy[Any] = st.one_of(
    st.booleans(),
    st.builds(lambda kind: {"type": kind}, st.sampled_from(TYPES)),
    st.builds(lambda kinds: {"type": kinds}, st.lists(st.sampled_from(TYPES), min_size=1, max_size=3, unique=True)),
    st.builds(lambda few: {"enum": few}, st.lists(st.sampled_from(SCALARS), min_size=1, max_size=3, unique_by=repr)),
    st.builds(lambda value: {"const": value}, values),
    st.builds(
        lambda low, high: {"type": "number", "minimum": low, "maximum": high}, st.integers(-1, 1), st.integers(1, 3)
    ),
    st.builds(
        lambda low, high: {"type": "string", "minLength": low, "maxLength": high}, st.integers(0, 1), st.integers(1, 3)
    ),
    st.just({"$ref": "#/$defs/d"}),
)
names = st.lists(st.sampled_from(KEYS), max_size=2, unique=True)


def _nodes(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    branches = st.lists(inner, min_size=1, max_size=3)
    dependencies = st.dictionaries(st.sampled_from(KEYS), names, min_size=1, max_size=2)
    plain = {
        "type": st.sampled_from(["object", "object", "object", "array", ["object", "null"]]),
        "properties": st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
        "required": names,
        "additionalProperties": st.one_of(st.booleans(), inner),
    }
    objects = st.fixed_dictionaries(
        {},
        optional={
            **plain,
            "not": inner,
            "if": inner,
            "then": inner,
            "else": inner,
            "allOf": branches,
            "anyOf": branches,
            "oneOf": branches,
            "dependentRequired": dependencies,
            "dependentSchemas": st.dictionaries(st.sampled_from(KEYS), inner, min_size=1, max_size=2),
            "unevaluatedProperties": st.just(False),
        },
    )
    arrays = st.fixed_dictionaries(
        {"type": st.just("array")},
        optional={
            "items": inner,
            "minItems": st.integers(0, 2),
            "maxItems": st.integers(0, 3),
            "uniqueItems": st.booleans(),
            "contains": inner,
            "minContains": st.integers(0, 2),
            "prefixItems": st.lists(inner, min_size=1, max_size=2),
        },
    )
    return st.one_of(objects, objects, st.fixed_dictionaries(plain), arrays, st.builds(lambda s: {"not": s}, inner))


nodes: st.SearchStrategy[Any] = st.recursive(leaves, _nodes, max_leaves=8)
schemas: st.SearchStrategy[Any] = st.builds(
    lambda node, definition: {**node, "$defs": {"d": definition}} if isinstance(node, dict) else node,
    _nodes(nodes),
    leaves.filter(lambda leaf: "$ref" not in str(leaf)),
)

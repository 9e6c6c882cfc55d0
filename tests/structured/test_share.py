"""Sharing equal parts makes the grammar smaller and changes no language."""

from __future__ import annotations

from typing import Any

import pytest

from lora_agent.structured import Vocabulary, bound
from lora_agent.structured.check import read_schema
from lora_agent.structured.grammar import json_grammar, matcher_of
from lora_agent.structured.share import share
from tests.structured.schemas import WALKED


def test_equal_parts_become_one_definition_whatever_their_descriptions() -> None:
    fields = {f"f{i}": {"type": "string", "maxLength": 9, "description": f"field {i}"} for i in range(4)}
    shared = share(read_schema({"type": "object", "properties": fields, "title": "T"})).schema()
    assert shared["properties"] == {name: {"$ref": "#/$defs/shared@0"} for name in fields}
    assert shared["$defs"] == {"shared@0": {"type": "string", "maxLength": 9}}
    assert "title" not in shared


def test_one_and_true_are_not_the_same_constant() -> None:
    values: list[Any] = [1, True, 1.5, "1"]
    schema = {"type": "array", "prefixItems": [{"const": v} for v in values]}
    assert share(read_schema(schema)).schema()["prefixItems"] == schema["prefixItems"]


@pytest.mark.parametrize("name", WALKED)
def test_the_masks_stay_the_same(name: str, vocabulary: Vocabulary) -> None:
    document = read_schema(bound(WALKED[name], 64)[0])
    plain = matcher_of(json_grammar(document.schema()), vocabulary)
    shared = matcher_of(json_grammar(share(document).schema()), vocabulary)
    for _ in range(40):
        mask = plain.compute_bitmask()
        assert shared.compute_bitmask() == mask
        allowed = [t for t in range(vocabulary.size) if mask[t // 8] >> (t % 8) & 1 and t != vocabulary.stop_token_id]
        if not allowed:
            break
        token = allowed[len(allowed) // 2]
        assert plain.consume_token(token)
        assert shared.consume_token(token)

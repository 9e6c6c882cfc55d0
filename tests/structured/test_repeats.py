"""Calls that give twice what was said once."""

from __future__ import annotations

from typing import Any

import pytest

from lora_agent.structured.repeats import Use, repeated
from lora_agent.types import Tool

PARAMETERS = {
    "type": "object",
    "properties": {
        "code": {"type": "string"},
        "user": {"type": "string"},
        "kind": {"enum": ["guest", "member"]},
        "n": {"type": "integer"},
        "hours": {"type": "number"},
    },
}
TOOL = Tool(name="invite", description="", parameters=PARAMETERS)


def found(text: str, **arguments: Any) -> tuple[Use, Use] | None:
    return repeated([{"name": "invite", "arguments": arguments}], [TOOL], [text])


def test_a_text_or_number_in_two_arguments() -> None:
    pair = found("Invite kim_lee", code="kim_lee", user="kim_lee")
    assert pair == (Use("invite", "code", "kim_lee"), Use("invite", "user", "kim_lee"))
    assert found("12 Oak Street", code="Oak Street", user="12 Oak Street")
    assert found("for 5", n=5, code="5")


def test_more_numbers_than_were_said() -> None:
    assert found("add 5 minutes", n=5, hours=0.0833)
    assert not found("add 5 minutes to 2 hours", n=5, hours=2)


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("three beds and three baths, 3 and 3", {"n": 3, "hours": 3}),
        ("Invite kim to room 7", {"user": "kim", "code": "7"}),
        ("Invite the guest", {"user": "guest", "kind": "guest"}),  # a choice of the schema's own
        ("Invite kim", {"user": "kim"}),
        ("true", {"user": "true", "kind": True}),
    ],
)
def test_others_are_right(text: str, arguments: dict[str, Any]) -> None:
    assert found(text, **arguments) is None

"""Requests and schemas as tools have them. Bounded by themselves, so that every engine compiles the same language."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    name: str
    request: str
    schema: dict[str, Any]

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [{"role": "user", "content": self.request}]


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_TEXT = {"type": "string", "minLength": 1, "maxLength": 40}
_COUNT = {"type": "integer", "minimum": 0, "maximum": 999}

CASES = (
    Case(
        "flat record",
        "Add Maria Lopez, 34 years old, from Lima, to the members; she pays monthly.",
        _object(name=_TEXT, age=_COUNT, city=_TEXT, plan={"enum": ["daily", "monthly", "yearly"]}),
    ),
    Case(
        "nested order",
        "I want 3 blue mugs and 2 red bowls sent to 12 Harbour Street in Cork, gift wrapped.",
        _object(
            items={
                "type": "array",
                "minItems": 1,
                "maxItems": 2,
                "items": _object(product=_TEXT, colour={"enum": ["red", "green", "blue"]}, quantity=_COUNT),
            },
            address=_object(street=_TEXT, city=_TEXT),
            gift_wrap={"type": "boolean"},
        ),
    ),
    Case(
        "mostly forced",
        "The pump in hall 4 stopped at night. It is urgent.",
        _object(
            maintenance_request_identifier=_COUNT,
            affected_equipment_description={"enum": ["pump", "valve", "motor", "other"]},
            production_hall_number={"type": "integer", "minimum": 1, "maximum": 9},
            requires_immediate_attention={"type": "boolean"},
            estimated_downtime_in_hours={"type": "integer", "minimum": 0, "maximum": 99},
            responsible_department_name={"enum": ["maintenance", "production", "logistics"]},
        ),
    ),
    Case(
        "free text in a field",
        "Write a short title and a one-sentence summary: the council voted to close the bridge for repairs until May.",
        _object(title=_TEXT, summary={"type": "string", "minLength": 20, "maxLength": 120}),
    ),
)

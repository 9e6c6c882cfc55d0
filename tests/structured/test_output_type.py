"""Python types in, values of these types out."""

from __future__ import annotations

import datetime
import enum
import typing
from dataclasses import dataclass
from typing import Any, Literal

import pydantic
import pytest
import typing_extensions

from lora_agent.errors import ModelOutputError, SchemaError
from lora_agent.structured import Vocabulary, compile_schema, schema_of, validate


class Line(pydantic.BaseModel):
    text: str
    amount: float = pydantic.Field(ge=0)


class Invoice(pydantic.BaseModel):
    number: str
    date: datetime.date
    lines: list[Line] = []

    @pydantic.field_validator("number")
    @classmethod
    def _not_zero(cls, value: str) -> str:
        if value == "0":
            raise ValueError("number may not be 0")
        return value


@dataclass
class Point:
    x: int
    y: int = 0


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Old(typing.TypedDict, total=False):
    a: int


class New(typing_extensions.TypedDict):
    a: int
    b: typing_extensions.NotRequired[str]


@pytest.mark.parametrize(
    ("source", "value", "expected"),
    [
        (
            Invoice,
            {"number": "7", "date": "2026-01-31"},
            Invoice(number="7", date=datetime.date(2026, 1, 31)),
        ),
        (Point, {"x": 1}, Point(1, 0)),
        (Old, {"a": 1}, {"a": 1}),
        (New, {"a": 1}, {"a": 1}),
        (Literal["a", "b"], "a", "a"),
        (Colour, "blue", Colour.BLUE),
        (list[Point], [{"x": 1, "y": 2}], [Point(1, 2)]),
        (int | None, None, None),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (dict[Literal["u", "v"], int], {"u": 1}, {"u": 1}),
        (set[int], [1, 2], {1, 2}),
        ({"type": "string"}, "text", "text"),
    ],
)
def test_a_type_in_and_that_type_out(source: Any, value: Any, expected: Any, vocabulary: Vocabulary) -> None:
    schema, convert = schema_of(source)
    assert compile_schema(schema, vocabulary).tier == "strict"
    assert isinstance(value, str) or validate(value, schema).valid
    converted = convert(value)
    assert converted == expected
    assert type(converted) is type(expected)


def test_values_that_do_not_fit() -> None:
    _, convert = schema_of(Invoice)
    with pytest.raises(ModelOutputError, match="number may not be 0"):
        convert({"number": "0", "date": "2026-01-31"})
    _, convert = schema_of({"type": "integer"})
    with pytest.raises(ModelOutputError, match="'text'"):
        convert("text")


@pytest.mark.parametrize("source", ["str", 3, object(), type("Plain", (), {})])
def test_what_is_no_type_is_refused(source: Any) -> None:
    with pytest.raises(SchemaError) as caught:
        schema_of(source)
    assert caught.value.hint

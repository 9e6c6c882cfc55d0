"""One thing asked of several: the request of the first, and the calls of all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_agent.structured.lists import listing


@pytest.mark.parametrize(
    ("request_", "first", "items"),
    [
        ("Weather in Rome, New York and Oslo", "Weather in Rome", [("Rome", "New York", "Oslo")]),
        ("Weather in Rome and in Oslo", "Weather in Rome", [("Rome", "Oslo")]),
        ("Show Rome and Oslo on a map", "Show Rome on a map", [("Rome", "Oslo")]),
        ("Roll dice with 6, eight and 20 sides", "Roll dice with 6 sides", [("6", "eight", "20")]),
        ("Look up copper and zinc.", "Look up copper.", [("copper", "zinc")]),
        ("Translate 'good day' and 'thank you'", "Translate 'good day'", [("'good day'", "'thank you'")]),
        (
            "Rain in Rome and Oslo for 2 and 3 days, respectively",
            "Rain in Rome for 2 days",
            [("Rome", "Oslo"), ("2", "3")],
        ),
        # words only where there is no better list
        ("Go ahead and show Rome and Oslo", "Go ahead and show Rome", [("Rome", "Oslo")]),
    ],
)
def test_lists_are_found(request_: str, first: str, items: list[tuple[str, ...]]) -> None:
    found = listing(request_)
    assert found is not None
    assert found.first == first
    assert [each.items for each in found.lists] == items


@pytest.mark.parametrize(
    "request_", ["Weather in Rome", "A number between 5 and 9", "From 2023-01-03 and 2024-01-05", ""]
)
def test_ranges_and_dates_are_no_lists(request_: str) -> None:
    assert listing(request_) is None


def test_numbers_may_belong_together() -> None:
    assert listing("The mean of 3, 5 and 7", figures=False) is None


def call(**arguments: Any) -> dict[str, Any]:
    return {"name": "t", "arguments": arguments}


def test_the_other_calls_follow_from_the_first() -> None:
    found = listing("Rain in Rome and Oslo for 2 and 3 days, respectively")
    assert found is not None
    assert found.calls(call(city="Rome", days=2)) == [call(city="Rome", days=2), call(city="Oslo", days=3)]
    assert found.calls(call(city="Rome")) is None  # the days are in no argument
    assert found.calls(call(city="Paris", days=2)) is None
    assert found.calls(call(city="Rome, Italy", days=2)) is None
    assert found.kept_together([call(city=["Rome", "Oslo"])])
    assert not found.kept_together([call(city="Rome")])


def test_number_words_and_prices_are_numbers() -> None:
    found = listing("Roll a die with 6 and twenty sides")
    assert found is not None
    assert found.calls(call(sides=6)) == [call(sides=6), call(sides=20)]
    prices = listing("Rent for $1,200 and $5,900")
    assert prices is not None
    assert prices.calls(call(income=1200)) == [call(income=1200), call(income=5900)]


@given(st.text(max_size=80))
def test_any_text_can_be_read(text: str) -> None:
    found = listing(text)
    if found is not None:
        assert found.count >= 2
        assert found.first != text
        found.calls(call(a=found.lists[0].items[0], b=1))

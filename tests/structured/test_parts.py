"""Where a request for several things is cut, and where it is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_agent.structured import split_request
from lora_agent.structured.parts import LONGEST, MOST, is_one_clause, joins_nothing, says_something
from lora_agent.types import Tool


def tool(name: str, description: str, *required: str, **properties: str) -> Tool:
    nodes = {key: {"type": kind} for key, kind in properties.items()}
    schema = {"type": "object", "properties": nodes, "required": list(required)}
    return Tool(name=name, description=description, parameters=schema)


WEATHER = tool("get_weather", "The weather in a city.", "city", city="string")
STOCK = tool("stock_price", "The price of a share.", "ticker", ticker="string")
MEAN = tool("calculateMean", "The mean of some numbers.", "values", values="array")
TOOLS = (WEATHER, STOCK, MEAN)


@pytest.mark.parametrize(
    ("request_", "parts"),
    [
        (
            "What's the weather in Rome and the share price of ACME?",
            ["What's the weather in Rome", "The share price of ACME?"],
        ),
        (
            "Get the weather in Oslo. Also, the mean of 3, 5 and 7.",
            ["Get the weather in Oslo", "The mean of 3, 5 and 7."],
        ),
        # the same of one tool, by sentence and by a word that adds
        ("Weather in Rome. Weather in Oslo.", ["Weather in Rome", "Weather in Oslo."]),
        ("Show the weather in Rome; it in Oslo", ["Show the weather in Rome", "It in Oslo"]),
        ("First the weather in Rome, then Oslo's weather", ["The weather in Rome", "Oslo's weather"]),
        # what comes before "First," only announces
        (
            "I need weather and share prices. First, the weather in Rome. Then ACME's share price.",
            ["The weather in Rome", "ACME's share price."],
        ),
    ],
)
def test_it_is_cut_where_its_subject_changes(request_: str, parts: list[str]) -> None:
    assert split_request(request_, TOOLS) == parts


@pytest.mark.parametrize(
    "request_",
    [
        "What's the weather in Rome?",
        "The weather in Rome and Oslo",
        "The mean of 3, 5 and 7",
        "It is raining all week. What's the weather in Rome?",
        "Say 'the weather and the share price' in one word",
        "What's the weather in Rome? Thanks in advance.",
        "",
    ],
)
def test_one_wish_stays_whole(request_: str) -> None:
    assert split_request(request_, TOOLS) == []


def test_neither_without_tools_nor_in_a_long_text() -> None:
    assert split_request("The weather in Rome and the share price of ACME", []) == []
    sentence = "The weather in Rome. The share price of ACME. "
    assert split_request(sentence * (MOST // 2), TOOLS)
    assert split_request(sentence * MOST, TOOLS) == []
    assert split_request(sentence + "x" * LONGEST, TOOLS) == []


@given(st.text(alphabet="aR .,;:?!'\"\n1-", max_size=60) | st.text(max_size=60))
def test_any_text_can_be_cut(text: str) -> None:
    for part in split_request(f"Weather in Rome. {text} Also, {text}; share price", TOOLS):
        assert part.strip()
    is_one_clause(text)


def test_what_says_nothing_needs_no_call() -> None:
    assert says_something("it's for Rome 5", TOOLS)
    assert says_something("some weather", TOOLS)
    assert not says_something("thank you very much", TOOLS)


def test_what_joins_things_may_want_several() -> None:
    assert joins_nothing("The weather in Rome. We leave at noon.")
    assert not joins_nothing("The weather in Rome and somewhere near Oslo.")

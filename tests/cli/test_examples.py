"""The example tools and documents; the demo itself needs the base and is run by `make demo`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lora_agent.agent import Fts5Retriever, ToolSet, load_tools
from lora_agent.types import ToolCall

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="module")
def tools() -> ToolSet:
    return load_tools(EXAMPLES / "tools.py")


def _weather(city: str, temperature: int, unit: str, sky: str) -> dict[str, Any]:
    return {"city": city, "temperature": temperature, "unit": unit, "sky": sky}


def _money(amount: float, source: str, target: str) -> dict[str, Any]:
    return {"amount": amount, "from_currency": source, "to_currency": target}


@pytest.mark.parametrize(
    ("name", "arguments", "value"),
    [
        ("get_weather", {"city": "Lagos"}, _weather("Lagos", 29, "c", "thunderstorms")),
        ("get_weather", {"city": "oslo", "unit": "f"}, _weather("oslo", 39, "f", "snow showers")),
        ("convert_currency", _money(100, "eur", "USD"), {"amount": 108.0, "currency": "USD"}),
        ("calculate", {"expression": "-(3 + 4) * 2.5"}, -17.5),
    ],
)
def test_tools_answer(tools: ToolSet, name: str, arguments: dict[str, Any], value: Any) -> None:
    assert tools.run(ToolCall(name=name, arguments=arguments)).value == value


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("get_weather", {"city": "Atlantis"}),
        ("convert_currency", _money(1, "EUR", "XXX")),
        ("calculate", {"expression": "__import__('os')"}),
        ("calculate", {"expression": "2 ** 999"}),
    ],
)
def test_tools_refuse(tools: ToolSet, name: str, arguments: dict[str, Any]) -> None:
    assert not tools.run(ToolCall(name=name, arguments=arguments)).ok


def test_calendar_is_sorted(tools: ToolSet) -> None:
    for day in ("2026-05-02", "2026-05-01"):
        assert tools.run(ToolCall(name="add_event", arguments={"title": "Tasting", "day": day})).ok
    events = tools.run(ToolCall(name="list_events", arguments={})).value
    assert [event["day"] for event in events] == ["2026-05-01", "2026-05-02"]


def test_mail_carries_the_injection_that_the_demo_is_about(tools: ToolSet) -> None:
    assert "ignore all previous instructions" in tools.run(ToolCall(name="read_mail")).content


@pytest.mark.parametrize(
    ("question", "source"),
    [
        ("How many days do I have to return an unopened bag of coffee?", "returns.md"),
        ("How do I clean the grinder?", "grinder-manual.md"),
        ("What does shipping abroad cost?", "shipping.md"),
        ("Can I pause my subscription?", "subscription.md"),
        ("How long must cold brew stand?", "brewing-guide.md"),
    ],
)
def test_documents_are_found(question: str, source: str) -> None:
    found = Fts5Retriever.from_folder(EXAMPLES / "docs").search(question, 3)
    assert found[0].id.startswith(source)


def test_documents_hold_no_answer_to_the_unanswerable_question() -> None:
    text = " ".join(path.read_text() for path in (EXAMPLES / "docs").glob("*.md"))
    assert "founder" not in text
    assert json.dumps(text).isascii()

from __future__ import annotations

import io

from lora_agent.cli.progress import Progress
from lora_agent.cli.show import bar, bars, plain, result_text, step_text
from lora_agent.types import AgentResult, Document, Route, Step, Usage


def test_bar_fills_with_the_probability_and_stays_in_its_width() -> None:
    assert [bar(p) for p in (-1.0, 0.0, 0.5, 1.0, 7.0)] == ["░" * 8, "░" * 8, "████░░░░", "█" * 8, "█" * 8]


def test_bars_are_ranked_and_aligned() -> None:
    assert bars({"a": 0.25, "long": 0.75}) == ["long ██████░░ 0.75", "a    ██░░░░░░ 0.25"]
    assert bars({}) == []


def test_plain_text_cannot_drive_a_terminal() -> None:
    assert plain("a\x1b]0;title\x07\tb\nc\r\x9b") == "a\\x1b]0;title\\x07\tb\nc\\x0d\\x9b"


def test_step_shows_output_time_verdict_and_tokens() -> None:
    step = Step(
        index=3,
        kind="adapter",
        adapter="tool_call",
        input=None,
        output={"calls": []},
        verdict="valid",
        usage=Usage(read=5, reused=70, generated=2, forced=9),
        ms=41.6,
        score=0.125,
    )
    head, facts = step_text(step).plain.split("\n")
    assert head == ' 3  adapter  tool_call       {"calls":[]}'
    assert facts.strip() == "42 ms · valid · score 0.12 · tokens: 5 read, 70 reused, 2 generated, 9 forced"


def test_route_error_retrieval_and_long_output() -> None:
    route = Step(0, "route", "base", None, None, route=Route("base", {"base": 1.0}, abstained=True))
    assert "→ base (abstained)  base ████████ 1.00" in step_text(route).plain
    failed = Step(1, "tool", "f", {}, None, error="LookupError: \x1b[2J")
    assert "\\x1b[2J" in step_text(failed).plain
    found = Step(2, "retrieve", None, "q", [Document(id="a.md#1", text="x"), {"id": "b.md#2"}])
    assert "2 passages: a.md#1, b.md#2" in step_text(found).plain
    long = Step(3, "answer", "base", None, "x" * 2000)
    assert "… (2,000 characters)" in step_text(long).plain


def test_result_shows_answer_sources_and_end() -> None:
    result = AgentResult("It is [bold]30[/bold] days.", "answer", (), ("a.md#1",), Usage(1, 2, 3, 4), 1234.5)
    text = result_text(result).plain
    assert "It is [bold]30[/bold] days." in text
    assert "sources: a.md#1" in text
    assert "answer · 0 steps · 1,234 ms" in text


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_progress_tells_rate_and_time_left() -> None:
    clock, stream = Clock(), io.StringIO()
    progress = Progress(10, already=2, stream=stream, clock=clock)
    for _ in range(4):
        clock.now += 5.0
        progress.advance()
    assert stream.getvalue().splitlines() == [
        "4/10 lines, 0.2 lines/s, 0:30 left",
        "6/10 lines, 0.2 lines/s, 0:20 left",
    ]
    progress.finish()
    assert stream.getvalue().splitlines()[-1] == "6/10 lines, 0.2 lines/s, 0:20 left"


def test_progress_of_nothing_done() -> None:
    stream = io.StringIO()
    Progress(0, stream=stream).finish()
    assert stream.getvalue() == "0/0 lines\n"

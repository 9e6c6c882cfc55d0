from __future__ import annotations

import json
from pathlib import Path

import pytest

from lora_agent.agent import Trace, read_trace
from lora_agent.errors import BatchLineError, ConfigError
from lora_agent.types import AgentResult, Route, Step, Usage

STEP = Step(
    index=0,
    kind="route",
    adapter="base",
    input={"legal": ["tool_call"], "odd": "half \ud83d", "path": Path("x")},
    output="ok ✓",
    route=Route("base", {"base": 0.75, "tool_call": 0.25}, abstained=True, method="decode"),
    usage=Usage(1, 2, 3, 4),
    ms=1.23456,
)


def test_round_trip_and_appending(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    for _ in range(2):
        run = Trace(path).begin(base={"id": "tiny"})
        run.step(STEP)
        assert len(read_trace(path)[-1].steps) == 1  # written at once, before the end
        run.end(AgentResult("done", "answer", (STEP,), ("a#1",), Usage(1, 2, 3, 4), 5.0))
    first, second = read_trace(path)
    assert first.id != second.id
    assert first.header["base"] == {"id": "tiny"}
    step = first.steps[0]
    assert step["route"] == {
        "adapter": "base",
        "probabilities": {"base": 0.75, "tool_call": 0.25},
        "abstained": True,
        "method": "decode",
    }
    assert step["tokens"] == {"read": 1, "reused": 2, "generated": 3, "forced": 4}
    assert step["input"] == {"legal": ["tool_call"], "odd": "half \ud83d", "path": "x"}
    assert step["ms"] == 1.235
    assert first.end is not None
    assert (first.end["stop_reason"], first.end["citations"]) == ("answer", ["a#1"])
    assert "✓" in path.read_text()


def test_no_path_writes_nothing() -> None:
    run = Trace(None).begin()
    run.step(STEP)
    run.broken_off("x")


def test_unwritable_and_unreadable_paths(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        Trace(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        Trace(tmp_path / "file" / "t.jsonl")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_trace(tmp_path / "missing")
    assert read_trace(tmp_path / "file") == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"type":"st', "line 2 is not JSON"),
        ("[1]", "not an object"),
        ('{"type":"step","run":"other"}', "belongs to no run"),
        ('{"type":"run","run":"r","format":99}', "format 99"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "t.jsonl"
    Trace(path).begin()
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(BatchLineError, match=said):
        read_trace(path)


def test_an_unfinished_run_has_no_end(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    Trace(path).begin().step(STEP)
    run = read_trace(path)[0]
    assert run.end is None
    assert json.loads(path.read_text().splitlines()[0])["format"] == 1

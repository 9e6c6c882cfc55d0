"""What users of other trainers complain of, provoked here: the rows of docs/training.md that no other test covers."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from training.data.formats import NO_CALL, LineProblem, read_lines
from training.data.rows import Row, read_rows
from training.encode import read_encoded

from .test_pipeline import project, train, write_recipe  # noqa: F401

LIGHT = {
    "type": "function",
    "function": {
        "name": "set_light",
        "parameters": {"type": "object", "properties": {"room": {"type": "string"}}, "required": ["room"]},
    },
}
TIMER = {
    "type": "function",
    "function": {
        "name": "set_timer",
        "parameters": {"type": "object", "properties": {"minutes": {"type": "integer"}}, "required": ["minutes"]},
    },
}


def calling(text: str, *calls: Any) -> dict[str, Any]:
    """A line as the OpenAI API writes it: no content, arguments in a string."""
    wire = [{"id": "c", "type": "function", "function": {"name": n, "arguments": json.dumps(a)}} for n, a in calls]
    answer = {"role": "assistant", "content": None, "tool_calls": wire}
    return {"messages": [{"role": "user", "content": text}, answer], "tools": [LIGHT, TIMER]}


def data(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "run/data.json").read_text()))


def test_tool_calls_keep_the_arguments_that_they_have(project: Path, base_dir: Path) -> None:
    """Not those of every other call filled with nulls, and not as a string in a string."""
    rooms = ["hall", "attic", "garden", "kitchen", "cellar", "office"]
    lines = [calling(f"Light in the {room}", ("set_light", {"room": room})) for room in rooms]
    lines += [calling(f"Wake me in {n}", ("set_timer", {"minutes": n})) for n in range(1, 7)]
    lines += [calling("Both", ("set_light", {"room": "hall"}), ("set_timer", {"minutes": 3})), calling("Hello")]
    (project / "train.jsonl").write_text("\n".join(map(json.dumps, lines)))
    output = {
        "type": "object",
        "properties": {"calls": {"type": "array", "items": {"type": "object"}}},
        "required": ["calls"],
        "additionalProperties": False,
    }
    (project / "output.schema.json").write_text(json.dumps(output))
    write_recipe(project, base_dir, output="tool_calls")
    assert train(project, "--until", "data") == 0
    assert data(project)["dropped"] == {}
    rows = [row for name in ("train", "dev") for row in read_rows(project / f"run/rows/{name}.jsonl.gz")]
    made = {row.input["messages"][0]["content"]: row.output["calls"] for row in rows}
    assert made["Wake me in 4"] == [{"name": "set_timer", "arguments": {"minutes": 4}}]
    assert made["Light in the attic"] == [{"name": "set_light", "arguments": {"room": "attic"}}]
    assert len(made) == len(lines)
    if "Both" in made:
        assert [call["name"] for call in made["Both"]] == ["set_light", "set_timer"]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ({"function": {"name": "set_light", "arguments": '{"room": '}}, "not JSON"),
        ({"function": {"name": "set_light", "arguments": "[1]"}}, "no object"),
        ({"function": {"arguments": "{}"}}, "no function name"),
    ],
)
def test_a_broken_call_is_told(tmp_path: Path, call: dict[str, Any], said: str) -> None:
    turns = [{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": [call]}]
    (tmp_path / "f.jsonl").write_text(json.dumps({"messages": turns}))
    ((_, found),) = read_lines(tmp_path / "f.jsonl")
    assert isinstance(found, LineProblem)
    assert said in str(found)


def test_calls_are_read_in_every_shape(tmp_path: Path) -> None:
    line = calling("x", ("set_timer", {"minutes": 3}))
    asked, answer = line["messages"][:-1], line["messages"][-1:]
    other = calling("x", ("set_light", {"room": "hall"}))["messages"][-1:]
    shapes = [
        line,
        {"prompt": asked, "completion": answer, "tools": line["tools"]},
        {"prompt": asked, "chosen": answer, "rejected": other, "tools": line["tools"]},
    ]
    (tmp_path / "f.jsonl").write_text("\n".join(map(json.dumps, shapes)))
    found = [row for _, row in read_lines(tmp_path / "f.jsonl")]
    assert all(isinstance(row, Row) for row in found)
    assert [row.output for row in found] == [{"calls": [{"name": "set_timer", "arguments": {"minutes": 3}}]}] * 3
    assert found[2].rejected == '{"calls":[{"name":"set_light","arguments":{"room":"hall"}}]}'


def answering(text: str, answer: str) -> dict[str, Any]:
    turns = [{"role": "user", "content": text}, {"role": "assistant", "content": answer}]
    return {"messages": turns, "tools": [LIGHT, TIMER]}


def test_an_answer_in_plain_text_calls_nothing(tmp_path: Path) -> None:
    answers = ["I have no tool for that.", "42", '{"calls": []}', '[{"name": ', " ", "{well}"]
    shapes = [answering("x", answer) for answer in answers]
    shapes.append({"input": {"messages": []}, "chosen": "No.", "rejected": "[]"})
    (tmp_path / "f.jsonl").write_text("\n".join(map(json.dumps, shapes)))
    found = [row for _, row in read_lines(tmp_path / "f.jsonl", tool_calls=True)]
    assert [isinstance(row, Row) for row in found] == [True, True, True, False, False, False, True]
    assert [row.output is NO_CALL for row in found if isinstance(row, Row)] == [True, True, False, True]
    assert all("not JSON" in str(row) for row in found if isinstance(row, LineProblem))
    (_, plain), *_ = read_lines(tmp_path / "f.jsonl")
    assert isinstance(plain, LineProblem)  # where JSON is asked for, text is none


def test_rows_that_call_nothing_are_trained_on_and_counted(project: Path, base_dir: Path) -> None:
    lines = [calling(f"Wake me in {n}", ("set_timer", {"minutes": n})) for n in range(1, 13)]
    lines += [answering(f"Tell me joke {n}", f"Joke {n}: two bits meet.") for n in range(5)]
    lines += [answering("Broken", '[{"name": "set_light"')]
    (project / "train.jsonl").write_text("\n".join(map(json.dumps, lines)))
    write_recipe(project, base_dir, output="tool_calls")
    assert train(project, "--until", "data") == 0
    assert data(project)["plain_text_as_no_call"] == 5
    assert list(data(project)["dropped"].values()) == [1]
    rows = [row for name in ("train", "dev") for row in read_rows(project / f"run/rows/{name}.jsonl.gz")]
    made = {row.input["messages"][0]["content"]: row.output["calls"] for row in rows}
    assert [made[f"Tell me joke {n}"] for n in range(5)] == [[]] * 5


def test_a_long_row_is_dropped_and_named_never_cut(project: Path, base_dir: Path) -> None:
    good = (project / "train.jsonl").read_text().splitlines()
    long = json.loads(good[0])
    long["messages"][0]["content"] = "warranty " * 400
    (project / "train.jsonl").write_text("\n".join([*good, json.dumps({**long, "group": good[0]})]))
    write_recipe(project, base_dir, fit={"max_tokens": 200, "seed": 1})
    assert train(project, "--until", "data") == 0
    (dropped,) = map(json.loads, (project / "run/rows/dropped.jsonl").read_text().splitlines())
    assert dropped["line"] == len(good) + 1
    assert re.fullmatch(r"longer than max_tokens: \d+ tokens", dropped["reason"])
    assert max(map(len, read_encoded(project / "run/rows/tokens.jsonl.gz"))) <= 200


def test_rows_edited_in_place_are_read_again(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Same path, same size, same time: only the content differs."""
    assert train(project, "--until", "data") == 0
    path = project / "train.jsonl"
    old, stat = path.read_text(), path.stat()
    path.write_text(old.replace("weather", "wedding"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_size == stat.st_size
    capsys.readouterr()
    assert train(project, "--until", "data") == 0
    assert "data: up to date" not in capsys.readouterr().err
    inputs = [str(row.input) for row in read_rows(project / "run/rows/train.jsonl.gz")]
    assert any("wedding" in text for text in inputs)
    assert not any("weather" in text for text in inputs)


def test_each_trl_trainer_is_imported_in_one_file() -> None:
    """So that a release that renames it costs one file."""
    named: dict[str, list[str]] = {}
    for path in Path("training").rglob("*.py"):
        for line in re.findall(r"^\s*from trl\S* import (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE):
            for name in re.findall(r"\w+Trainer\b", line):
                named.setdefault(name, []).append(str(path))
    assert {"DPOTrainer", "KTOTrainer", "GRPOTrainer"} <= named.keys()
    assert all(len(files) == 1 for files in named.values()), named

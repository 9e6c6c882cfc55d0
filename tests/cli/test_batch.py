from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_agent.cli.batch import BatchSummary, field, run_batch
from lora_agent.errors import AdapterInputError, ConfigError


class Doubler:
    """The work on a record: doubles its input and remembers whom it served."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.served: list[Any] = []
        self.stop_after = stop_after

    def __call__(self, record: Mapping[str, Any]) -> dict[str, Any]:
        if self.stop_after is not None and len(self.served) == self.stop_after:
            raise KeyboardInterrupt
        self.served.append(record["id"])
        number = field(record, "input")
        if not isinstance(number, int):
            raise AdapterInputError(f"not a number: {number!r}", hint="Give a number.")
        return {"output": number * 2, "error": None}


def failed(error: str) -> dict[str, Any]:
    return {"output": None, "error": error}


def write(path: Path, *records: Any) -> Path:
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    path.write_text("".join(line + "\n" for line in lines))
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def ten(tmp_path: Path) -> Path:
    return write(tmp_path / "in.jsonl", *({"id": f"r{i}", "input": i} for i in range(10)))


def test_every_record_gives_one_line_in_order(ten: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert run_batch(ten, out, Doubler(), failed) == BatchSummary(lines=10, kept=0, errors=0)
    assert read(out) == [{"id": f"r{i}", "output": 2 * i, "error": None} for i in range(10)]


def test_bad_lines_become_error_lines_and_do_not_stop_the_run(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(
        b'\xef\xbb\xbf{"id": 1, "input": 1}\n'  # a byte order mark, and an id that is a number
        b'{"id": "half", "input"\n'
        b"\n"
        b"[1, 2]\n"
        b'{"input": 4}\n'
        b'{"id": true, "input": 4}\n'
        b'{"id": "\xff"}\n'
        b'{"id": "lone \\ud800", "input": 8}\n'
        b'{"id": "no input"}\n'
        b'{"id": "text", "input": "five"}\n'
        b'{"id": "no newline at the end", "input": 11}'
    )
    out = tmp_path / "out.jsonl"
    summary = run_batch(source, out, Doubler(), failed)
    lines = read(out)
    assert summary == BatchSummary(lines=10, kept=0, errors=7)
    assert [line["id"] for line in lines] == [
        1, None, None, None, None, None, "lone \ud800", "no input", "text", "no newline at the end"
    ]  # fmt: skip
    assert lines[1]["error"].startswith("line 2: not JSON")
    assert lines[2]["error"] == "line 4: not an object but list"
    assert "line 5: needs an id" in lines[3]["error"]
    assert lines[7]["error"] == "line 9: the field 'input' is missing; the line has ['id']"
    assert lines[8]["error"] == "line 10: not a number: 'five'"
    assert lines[9]["output"] == 22


@pytest.mark.parametrize("tear", [0, 1, 7, 30])
def test_interrupted_run_goes_on_where_it_was(ten: Path, tmp_path: Path, tear: int) -> None:
    """The last line is torn by `tear` bytes, as by a power cut."""
    straight, out = tmp_path / "straight.jsonl", tmp_path / "out.jsonl"
    run_batch(ten, straight, Doubler(), failed)
    with pytest.raises(KeyboardInterrupt):
        run_batch(ten, out, Doubler(stop_after=4), failed)
    data = out.read_bytes()
    out.write_bytes(data[: len(data) - tear])
    work = Doubler()
    summary = run_batch(ten, out, work, failed)
    kept = 4 if tear == 0 else 3
    assert summary.kept == kept
    assert work.served == [f"r{i}" for i in range(kept, 10)]
    assert out.read_bytes() == straight.read_bytes()


def test_finished_run_is_left_alone(ten: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    run_batch(ten, out, Doubler(), failed)
    before = out.read_bytes()
    work = Doubler()
    assert run_batch(ten, out, work, failed) == BatchSummary(10, 10, 0)
    assert work.served == []
    assert out.read_bytes() == before


def test_lines_are_kept_when_the_input_grew_in_the_middle(tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    write(source, {"id": "a", "input": 1}, "broken", {"id": "c", "input": 3})
    run_batch(source, out, Doubler(), failed)
    write(source, {"id": "a", "input": 1}, {"id": "b", "input": 2}, {"id": "c", "input": 3})
    work = Doubler()
    assert run_batch(source, out, work, failed) == BatchSummary(3, 2, 0)
    assert work.served == ["b"]
    assert [line["id"] for line in read(out)] == ["a", "b", "c"]


def test_number_and_text_ids_are_different(tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    write(source, {"id": 1, "input": 1})
    run_batch(source, out, Doubler(), failed)
    write(source, {"id": "1", "input": 1})
    with pytest.raises(ConfigError, match="results of another input"):
        run_batch(source, out, Doubler(), failed)


def test_results_of_another_input_are_not_touched(ten: Path, tmp_path: Path) -> None:
    out = write(tmp_path / "out.jsonl", {"id": "other", "output": 1, "error": None})
    before = out.read_bytes()
    with pytest.raises(ConfigError, match="holds results of another input"):
        run_batch(ten, out, Doubler(), failed)
    assert out.read_bytes() == before


@pytest.mark.parametrize("content", ["some notes\n", '{"name": "no id"}\n', "[]\n"])
def test_file_that_holds_no_results_is_not_touched(ten: Path, tmp_path: Path, content: str) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text(content)
    with pytest.raises(ConfigError, match="line 1"):
        run_batch(ten, out, Doubler(), failed)
    assert out.read_text() == content


def test_unusable_paths_are_config_errors(ten: Path, tmp_path: Path) -> None:
    for source, out in (
        (tmp_path / "absent.jsonl", tmp_path / "out.jsonl"),
        (ten, tmp_path / "no folder" / "out.jsonl"),
        (ten, ten),
        (ten, tmp_path),  # a folder
    ):
        with pytest.raises(ConfigError):
            run_batch(source, out, Doubler(), failed)


def test_a_fault_of_the_program_is_not_hidden(ten: Path, tmp_path: Path) -> None:
    def broken(record: Mapping[str, Any]) -> dict[str, Any]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_batch(ten, tmp_path / "out.jsonl", broken, failed)


@settings(max_examples=30, deadline=None)
@given(stops=st.lists(st.integers(0, 6), max_size=4), cut=st.integers(0, 200), broken=st.sets(st.integers(0, 7)))
def test_any_interruptions_give_the_straight_run(
    tmp_path_factory: pytest.TempPathFactory, stops: list[int], cut: int, broken: set[int]
) -> None:
    folder = tmp_path_factory.mktemp("runs")
    source = write(folder / "in.jsonl", *("{" if i in broken else {"id": i, "input": i} for i in range(8)))
    straight, out = folder / "straight.jsonl", folder / "out.jsonl"
    run_batch(source, straight, Doubler(), failed)
    for stop in stops:
        try:
            run_batch(source, out, Doubler(stop_after=stop), failed)
        except KeyboardInterrupt:
            data = out.read_bytes()
            out.write_bytes(data[: max(0, len(data) - cut)])
    run_batch(source, out, Doubler(), failed)
    assert out.read_bytes() == straight.read_bytes()

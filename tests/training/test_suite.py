"""Suites and the file of answers: what is shipped can be read, and an interrupted run ends like a straight one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lora_agent.cli.evaluate import _text
from lora_agent.engine.local.engine import LocalEngine
from lora_agent.errors import ConfigError
from lora_agent.registry import Registry
from lora_agent.types import Result, Usage
from tests.engine.conftest import load_tiny, package_adapter
from training.data.rows import Row, read_rows
from training.data.suites import ROWS, SUITES
from training.evaluate.run import Scored, metric_detail, run_system, summary
from training.evaluate.suite import Answers, answers, key, shipped

PRIORITY = {"type": "object", "properties": {"priority": {"enum": ["high", "low"]}}, "required": ["priority"]}
HEADER = {"adapter": "base", "digest": "d"}


@pytest.mark.parametrize("name", SUITES)
def test_a_shipped_suite_holds_development_rows_of_our_own(name: str) -> None:
    rows = read_rows(shipped(name))
    assert len(rows) == ROWS
    assert all(row.split == "dev" and row.source.startswith("generator") for row in rows)
    assert len({key(row) for row in rows}) == ROWS


def test_answers_are_counted_by_what_they_cite_and_say() -> None:
    right = {"answerable": True, "answer": "in 1902", "citations": ["a"]}
    none = {"answerable": False, "answer": "", "citations": []}
    said = [right, {**right, "citations": ["a", "b"]}, none, right, none]
    rows = [Row({"messages": []}, target, "s", "g") for target in (right, right, right, none, none)]
    results = [Result("retrieval", output, "", "valid", "stop", Usage(), 1.0) for output in said]
    found = metric_detail(Scored(results, [True] * 5, 1.0, 5), rows, "answer")
    assert found["answerability_correct"]["rate"] == 0.6
    assert found["citation_f1"] == pytest.approx((1 + 2 / 3 + 0) / 3, abs=1e-4)
    assert found["answer_word_f1"] == pytest.approx(2 / 3, abs=1e-4)


def test_an_adapter_without_a_suite_is_told_what_to_give() -> None:
    with pytest.raises(ConfigError, match=r"(?s)'ticket' \(there are query_rewrite, .*--suite FILE"):
        shipped("ticket")


@pytest.fixture(scope="module")
def engine(base_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> LocalEngine:
    package = package_adapter(base_dir, load_tiny(base_dir), "alora", tmp_path_factory.mktemp("p"), output=PRIORITY)
    return LocalEngine(load_tiny(base_dir), Registry.discover([package], search=False))


class Stopping(Answers):
    """Is interrupted after so many answers, in the middle of a line."""

    left = 5

    def put(self, row: Row, result: Any) -> None:
        super().put(row, result)
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def test_an_interrupted_run_goes_on_and_ends_like_a_straight_one(
    engine: LocalEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        Row({"messages": [{"role": "user", "content": f"city {i}"}]}, {"priority": "high"}, f"s/{i % 2}", str(i))
        for i in range(12)
    ]
    name = "alora"
    straight = run_system(engine, name, rows, "exact", block=4)
    file = tmp_path / "answers.jsonl"
    with answers(file, name, HEADER) as kept:
        kept.__class__ = Stopping
        with pytest.raises(KeyboardInterrupt):
            run_system(engine, name, rows, "exact", block=4, kept=kept)
    with file.open("ab") as torn:
        torn.write(b'{"row": "12')
    with answers(file, name, HEADER) as kept:
        resumed = run_system(engine, name, rows, "exact", block=4, kept=kept)
    assert resumed.run == 7
    assert [r.output for r in resumed.results] == [r.output for r in straight.results]
    assert _figures(resumed) == _figures(straight)
    assert len(file.read_text().splitlines()) == 1 + len(rows)
    capsys.readouterr()
    with answers(file, name, HEADER) as kept:
        again = run_system(engine, name, rows, "exact", block=4, kept=kept)
    assert again.run == 0
    assert "rows/s" not in capsys.readouterr().err


def _figures(scored: Scored) -> dict[str, Any]:
    return {name: value for name, value in summary(scored).items() if not name.startswith("ms")}


def test_answers_of_another_run_are_not_taken_for_this_one(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    with answers(file, "base", HEADER):
        pass
    with pytest.raises(ConfigError, match="answers of another run"), answers(file, "base", {**HEADER, "digest": "e"}):
        pass
    assert json.loads(file.read_text()) == HEADER
    file.write_text("not JSON\n")
    with pytest.raises(ConfigError, match="no file of answers"), answers(file, "base", HEADER):
        pass
    with pytest.raises(ConfigError, match="cannot write"), answers(tmp_path / "no" / "file", "base", HEADER):
        pass


def test_what_is_told_of_answers() -> None:
    report = {
        "adapter": "retrieval", "version": "1.0.0", "metric": "answer", "correct": 0.5, "correct_95": (0.4, 0.6),
        "n": 2, "valid": 1.0, "stopped": 1.0, "by_source": {"s": {"n": 2, "correct": 0.5}},
    }  # fmt: skip
    rate = {"answerability_correct": {"rate": 0.75, "n": 4, "interval_95": [0.3, 0.95]}}
    text = _text(report | rate | {"citation_f1": 0.5, "answer_word_f1": 0.25})
    assert "answerability correct 75.0% (30.0% to 95.0%, n = 4)" in text
    assert "citation F1 0.50, word F1 of the answer 0.25" in text
    assert "citation" not in _text(report | {"citation_f1": None, "answer_word_f1": None})

"""Trackers: told what metrics.jsonl is told, and nothing else changed by them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import tracking
from accelerate.tracking import GeneralTracker

from .test_learning import metrics, pair
from .test_learning import project as preferences
from .test_pipeline import project, train, weights, write_recipe  # noqa: F401

FIT = {"learning_rate": 0.01, "epochs": 1, "max_steps": 4, "evaluate_every": 2, "evaluate_rows": 4}
SMALL = {"prompt": {"max_new_tokens": 8}}


class Recorder(GeneralTracker):  # type: ignore[misc]
    name = "recorder"
    requires_logging_directory = True
    made: list[Recorder]

    def __init__(self, run_name: str, logging_dir: str) -> None:
        super().__init__()
        self.project, self.folder = run_name, Path(logging_dir)
        self.lines: list[dict[str, Any]] = []
        self.settings: dict[str, Any] = {}
        self.finished = False
        self.made.append(self)

    @property
    def tracker(self) -> Recorder:
        return self

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.settings = values

    def log(self, values: dict[str, Any], step: int | None = None, **_: Any) -> None:
        self.lines.append({"step": step, **values})

    def finish(self) -> None:
        self.finished = True


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Recorder]:
    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "recorder", Recorder)
    monkeypatch.setattr(Recorder, "made", [], raising=False)
    return Recorder.made


def test_a_tracker_is_told_the_metrics_and_changes_nothing(
    project: Path, base_dir: Path, made: list[Recorder], capsys: pytest.CaptureFixture[str]
) -> None:
    write_recipe(project, base_dir, fit=FIT, **SMALL)
    assert train(project, "--until", "fit") == 0
    assert made == []
    write_recipe(project, base_dir, fit={**FIT, "report_to": ["recorder", "recorder"]}, **SMALL)
    capsys.readouterr()
    assert train(project, "--until", "fit") == 0
    assert "fit: up to date" in capsys.readouterr().err
    assert made == []

    assert train(project, "--until", "fit", out="told") == 0
    (recorder,) = made
    assert recorder.finished
    assert (recorder.project, recorder.folder) == ("ticket", project / "told/tracking")
    assert recorder.settings["learning_rate"] == 0.01
    assert all(isinstance(value, (str, int, float)) for value in recorder.settings.values())
    assert recorder.lines == metrics(project, "told")
    assert {"loss", "tokens_per_s", "validation"} <= {key for line in recorder.lines for key in line}
    plain, told = weights(project / "run"), weights(project / "told")
    assert all(torch.equal(plain[name], told[name]) for name in plain)


def test_a_tracker_is_finished_when_a_fit_is_interrupted(
    project: Path, base_dir: Path, made: list[Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Recorder, "log", interrupted)
    write_recipe(project, base_dir, fit={**FIT, "report_to": ["recorder"]}, **SMALL)
    assert train(project, "--until", "fit") != 0
    assert made[0].finished


def test_preferences_are_tracked_too(
    tmp_path: Path, base_dir: Path, made: list[Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LORA_AGENT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LORA_AGENT_DATA", raising=False)
    fit = {"kind": "lora", "rank": 4, "max_steps": 2, "batch_rows": 4, "report_to": ["recorder"]}
    folder = preferences(tmp_path / "p", str(base_dir), pair, learning={"method": "dpo"}, fit=fit)
    assert train(folder, "--until", "fit") == 0
    (recorder,) = made  # the probe's step is no run
    assert recorder.lines == metrics(folder)
    assert recorder.settings["learning"] == "dpo"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("wandbb", "there is no tracker 'wandbb'\n  Did you mean 'wandb'? Install it with `pip install wandb`"),
        ("nothing_like_it", "Use one of aim, clearml"),
        ("trackio", "the tracker 'trackio' is not installed\n  Install it with `pip install trackio`"),
    ],
)
def test_a_tracker_that_is_not_there_is_refused_before_anything(
    project: Path,
    base_dir: Path,
    name: str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(tracking, "_available_trackers", [])
    write_recipe(project, base_dir, fit={"report_to": [name]})
    assert train(project) == 2
    assert said in capsys.readouterr().err
    assert not (project / "run").exists()

"""What a fit says while it trains."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.fit import metrics
from training.fit.checkpoint import Progress
from training.fit.tracking import Trackers

LINE = {"loss": 0.5, "grad_norm": 1.0, "learning_rate": 1e-3, "target_tokens": 50}


def test_the_line_has_rows_and_trained_tokens_per_second(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics.log(tmp_path, Progress(step=10, rows=80, tokens=470, seconds=20.0), 160, LINE, Trackers())
    said = capsys.readouterr().err
    assert said.startswith(
        "80/160 rows, loss 0.500, rate 1.0e-03, 4.00 rows/s, 24 trained tokens/s, 0.3 min left, peak"
    )
    (line,) = metrics.read(tmp_path)
    assert (line["rows_per_s"], line["tokens_per_s"], line["target_tokens"]) == (4.0, 23.5, 50)
    metrics.log(tmp_path, Progress(step=11, rows=88, tokens=520, seconds=22.0), 160, LINE, Trackers())
    assert capsys.readouterr().err == ""  # for people every ten steps only
    assert len(metrics.read(tmp_path)) == 2

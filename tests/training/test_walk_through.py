"""The walk-through in docs/training.md, run as it stands there but for a smaller budget."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

PAGE = Path(__file__).resolve().parents[2] / "docs" / "training.md"


def blocks() -> dict[str, str]:
    section = PAGE.read_text(encoding="utf-8").split("## A fifth adapter in ten minutes")[1].split("\n## ")[0]
    return dict(re.findall(r"```(python|yaml|sh)\n(.*?)```", section, flags=re.S))


@pytest.mark.slow
def test_a_stranger_builds_an_adapter(tmp_path: Path) -> None:
    found = blocks()
    (tmp_path / "make_rows.py").write_text(found["python"], encoding="utf-8")
    recipe = yaml.safe_load(found["yaml"])
    recipe["fit"] = {"max_steps": 16, "batch_rows": 4}
    recipe["gate"] = {"rows": 12, "base_rows": 8, "compare_16bit": False}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    commands = [shlex.split(line) for line in found["sh"].splitlines()]
    assert len(commands) == 5
    ran = [run(command, tmp_path) for command in commands[:4]]
    assert ran[0].returncode == 0, ran[0].stderr
    assert len((tmp_path / "train.jsonl").read_text(encoding="utf-8").splitlines()) == 200
    assert "«{" in ran[1].stdout
    assert "min, " in ran[2].stdout
    assert ran[3].returncode in (0, 4), ran[3].stderr  # so few steps may not be enough: then it says so
    assert (tmp_path / "run/complaint/adapter.yaml").is_file()
    assert (tmp_path / "run/fit.html").is_file()
    losses = [json.loads(line)["loss"] for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0] / 2
    called = run(commands[4], tmp_path)
    if ran[3].returncode == 0:
        assert called.returncode == 0, called.stderr
        assert '"order"' in called.stdout
    else:
        assert "gate" in called.stderr


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    head = {"python": [sys.executable], "lora-agent": [sys.executable, "-m", "lora_agent.cli.main"]}[command[0]]
    environment = {k: v for k, v in os.environ.items() if k not in ("LORA_AGENT_DATA", "LORA_AGENT_ADAPTERS")}
    root = str(PAGE.parents[1])
    environment["PYTHONPATH"] = root
    return subprocess.run(
        [*head, *command[1:]], cwd=folder, capture_output=True, text=True, env=environment, timeout=900, check=False
    )

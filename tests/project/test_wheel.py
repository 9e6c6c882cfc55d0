"""A plain `pip install .` must hold all four folders and the compiled forward pass; built for real: slow."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.network  # pip fetches setuptools for the isolated build
def test_wheel_holds_code_training_and_adapters(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "setup.py", "LICENSE", "README.md"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, source)
    for name in ("lora_agent", "training", "benchmarks", "adapters"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    package = source / "adapters" / "probe"
    package.mkdir(parents=True)
    for name in ("adapter.yaml", "adapter_model.safetensors", "README.md", "input.schema.json"):
        (package / name).write_bytes(b"x")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(tmp_path), str(source)]
    subprocess.run(command, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    code = {path.relative_to(ROOT).as_posix() for path in (ROOT / "lora_agent").rglob("*.py")}
    for folder in ("training", "benchmarks"):
        code |= {f"lora_agent/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / folder).rglob("*.py")}
    shipped = {f"lora_agent/_adapters/probe/{path.name}" for path in package.iterdir()}
    assert code | shipped | {"lora_agent/py.typed"} <= names
    assert not [name for name in names if name.startswith(("training/", "benchmarks/", "adapters/", "tests/"))]
    if shutil.which("cc") and sys.platform == "linux" and platform.machine() == "x86_64":
        assert [name for name in names if re.fullmatch(r"lora_agent/engine/local/native/_forward\..*\.so", name)]
    with zipfile.ZipFile(wheel) as archive:
        entry = next(name for name in names if name.endswith("entry_points.txt"))
        assert b"lora-agent = lora_agent.cli.main:main" in archive.read(entry)

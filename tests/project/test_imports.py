"""The table of parts in the design, held by the code: who may import whom, and what must stay light."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# A part may import its own rank and lower ones.
RANK = {
    "types": 0,
    "errors": 0,
    "folders": 0,
    "render": 1,
    "structured": 1,
    "registry": 2,
    "engine": 3,
    "routing": 3,
    "agent": 4,
    "mcp": 5,
    "server": 5,
    "cli": 5,
    "training": 6,
    "benchmarks": 6,
}
HEAVY = {"torch", "transformers", "peft", "bitsandbytes", "accelerate", "sklearn", "gguf", "llguidance"}
LIGHT_PARTS = {"__init__", "types", "errors", "folders", "structured", "registry", "agent", "cli"}
MAX_LINES = 500


@dataclass(frozen=True)
class Import:
    target: str
    """Absolute dotted name."""
    line: int
    lazy: bool
    """Inside a function."""


def modules() -> list[Path]:
    return sorted(path for folder in ("lora_agent", "training") for path in (ROOT / folder).rglob("*.py"))


def dotted(path: Path) -> list[str]:
    """`lora_agent/engine/local/base.py` → lora_agent, engine, local, base."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ["lora_agent", *parts] if parts[0] == "training" else parts


def part_of(name: str) -> str | None:
    """The part that a dotted name of this project belongs to, None for other packages."""
    parts = name.split(".")
    if parts[0] == "training":
        return "training"
    if parts[0] != "lora_agent":
        return None
    return parts[1] if len(parts) > 1 else "__init__"


def imports(path: Path) -> list[Import]:
    """All imports of a module that are carried out, so not those under `if TYPE_CHECKING`."""
    own = dotted(path)
    package = own if path.stem == "__init__" else own[:-1]
    if package[-1] == "__init__":
        package = package[:-1]
    return list(_imports(ast.parse(path.read_text(encoding="utf-8")), package, lazy=False))


def _imports(node: ast.AST, package: list[str], lazy: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield from _imports(other, package, lazy)
        elif isinstance(child, ast.Import):
            for name in child.names:
                yield Import(name.name, child.lineno, lazy)
        elif isinstance(child, ast.ImportFrom):
            above = package[: len(package) - child.level + 1] if child.level else []
            base = ".".join([*above, *((child.module or "").split(".") if child.module else [])])
            for name in child.names:
                # `from lora_agent import errors` imports the part `errors`
                yield Import(f"{base}.{name.name}" if base == "lora_agent" else base, child.lineno, lazy)
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _imports(child, package, lazy or inside)


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_imports_go_down_the_table_only() -> None:
    wrong = []
    for path in modules():
        own = part_of(".".join(dotted(path)))
        if own is None or own == "__init__":  # the public names are looked up lazily
            continue
        assert own in RANK, f"{relative(path)} belongs to no part of the table in {Path(__file__).name}"
        for found in imports(path):
            target = part_of(found.target)
            if target is None or target not in RANK:
                continue
            allowed_lazily = own == "cli" and target in ("training", "benchmarks") and found.lazy
            if RANK[target] > RANK[own] and not allowed_lazily:
                wrong.append(f"{relative(path)}:{found.line} ({own}) imports {found.target} ({target})")
    assert not wrong, "\n".join(wrong)


def test_training_imports_itself_relatively() -> None:
    """It is installed as `lora_agent.training`; an absolute `training` would not exist there."""
    wrong = [
        f"{relative(path)}:{found.line} imports {found.target}"
        for path in modules()
        for found in imports(path)
        if found.target.split(".")[0] == "training"
    ]
    assert not wrong, "\n".join(wrong)


def test_light_parts_do_not_import_heavy_libraries() -> None:
    wrong = [
        f"{relative(path)}:{found.line} imports {found.target} at import time"
        for path in modules()
        if dotted(path)[1] in LIGHT_PARTS
        for found in imports(path)
        if not found.lazy and found.target.split(".")[0] in HEAVY
    ]
    assert not wrong, "\n".join(wrong)


def test_modules_stay_small_and_have_a_subject() -> None:
    wrong = []
    for path in modules():
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > MAX_LINES:
            wrong.append(f"{relative(path)} has {lines} lines, more than {MAX_LINES}")
        if path.stem in {"utils", "helpers", "misc", "common"}:
            wrong.append(f"{relative(path)} is named after nothing")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "module",
    ["lora_agent", "lora_agent.types", "lora_agent.registry", "lora_agent.agent", "lora_agent.cli.main"],
)
def test_import_loads_no_heavy_library(module: str) -> None:
    assert _run(f"import sys, {module}; print(*sorted(set({sorted(HEAVY)}) & set(sys.modules)))") == ""


def _run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
    )
    return done.stdout.strip()


def test_import_of_the_package_takes_less_than_three_tenths_of_a_second() -> None:
    code = "import time; start = time.perf_counter(); import lora_agent; print(time.perf_counter() - start)"
    assert min(float(_run(code)) for _ in range(3)) < 0.3

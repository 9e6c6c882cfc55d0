"""Results as lines of JSON: a run that was stopped goes on where it ended, and nothing of it is lost."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import llguidance

from lora_agent import __version__
from lora_agent.cli.progress import Progress

from .sources import Row


def measured(
    wanted: Sequence[Row], out: Path, work: Callable[[list[Row]], Iterable[dict[str, Any]]], *, fresh: bool
) -> list[dict[str, Any]]:
    """The records of the wanted rows: from `out` where they are there, of `work` (which yields them in any order, each
    with the row's `id`) where not. Raises SystemExit where `out` was made by another version."""
    header = {"lora_agent": __version__, "llguidance": llguidance.__version__}
    done = {} if fresh or not out.is_file() else _read(out, header)
    out.parent.mkdir(parents=True, exist_ok=True)
    left = [row for row in wanted if row.id not in done]
    progress = Progress(len(wanted), already=len(wanted) - len(left), unit="schema")
    with out.open("a" if done else "w", encoding="utf-8") as file:
        if not done:
            file.write(json.dumps(header) + "\n")
        for record in work(left):
            done[record["id"]] = record
            file.write(json.dumps(record) + "\n")
            file.flush()
            progress.advance()
    progress.finish()
    return [done[row.id] for row in wanted]


def _read(out: Path, header: dict[str, str]) -> dict[str, dict[str, Any]]:
    lines = out.read_text(encoding="utf-8").splitlines()
    if not lines or json.loads(lines[0]) != header:
        raise SystemExit(f"error: {out} holds results of {lines[:1]}, not of {header}\n  Use --fresh or another --out.")
    found = {}
    for line in lines[1:]:
        try:
            record = json.loads(line)
        except ValueError:
            continue  # the last line of a run that was stopped
        found[record["id"]] = record
    return found

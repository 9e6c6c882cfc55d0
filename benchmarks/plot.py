"""The rounds as one self-contained HTML file, in the way of the training plots (decision 030): a bar per system up to
its median, a line over the spread, the values as tooltips."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lora_agent.training import plot

_WIDTH, _NAMES, _VALUES, _LINE = 720, 250, 130, 22
_FIRST, _OTHERS, _SPREAD = "#1f6feb", "#8c959f", "#1f2328"


def write(out: Path, title: str, results: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]) -> None:
    """`results` as `rounds.run` returns them; `facts` as a table at the end."""
    told = [{"fact": name, "value": value} for name, value in facts.items()]
    plot.write(out, title, [*map(bars, results), *([plot.table(told)] if told else [])])


def bars(result: Mapping[str, Any]) -> str:
    """One measure, in milliseconds from 0. The first system, which the others' ratios are taken to, has a colour."""
    rows = result["rows"]
    longest = max(row["max_ms"] for row in rows) or 1
    scale = (_WIDTH - _NAMES - _VALUES) / longest
    drawn = [line for number, row in enumerate(rows) for line in _bar(row, number, scale)]
    name = html.escape(f"{result['name']}, n = {result['n']}")
    verdict = {None: "", True: f"{result['bound']}: holds", False: f"{result['bound']}: BROKEN"}[result["holds"]]
    height = len(rows) * _LINE + 4
    return f'<h2>{name}</h2><p>{html.escape(verdict)}</p><svg viewBox="0 0 {_WIDTH} {height}">{"".join(drawn)}</svg>'


def _bar(row: Mapping[str, Any], number: int, scale: float) -> list[str]:
    middle = number * _LINE + _LINE / 2
    median, low, high = (round(row[key] * scale, 1) for key in ("median_ms", "min_ms", "max_ms"))
    label = html.escape(row["system"])
    spread = f"{row['median_ms']:.1f} ms ({row['min_ms']:.1f} to {row['max_ms']:.1f})"
    return [
        f'<text x="{_NAMES - 6}" y="{middle + 4}" text-anchor="end">{label}</text>',
        f'<rect x="{_NAMES}" y="{middle - 7}" width="{median}" height="14" fill="{_OTHERS if number else _FIRST}">'
        f"<title>{label}: {spread}</title></rect>",
        f'<line x1="{_NAMES + low}" x2="{_NAMES + high}" y1="{middle}" y2="{middle}" stroke="{_SPREAD}"/>',
        f'<text x="{_NAMES + high + 6}" y="{middle + 4}">{row["median_ms"]:.1f} ms, × {row["ratio"]:.2f}</text>',
    ]

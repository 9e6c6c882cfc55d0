"""Curves of a run as one HTML file, bars of a card: inline SVG, no script, nothing to install (decision 030)."""

from __future__ import annotations

import html
import os
from collections.abc import Sequence
from pathlib import Path

from .fit import metrics

Points = Sequence[tuple[float, float]]
_W, _H, _LEFT, _BOTTOM = 720, 200, 70, 26
_BARS, _LONG = 240, 370
_COLOURS = ("#1f6feb", "#d1242f", "#1a7f37", "#9a6700", "#8250df", "#57606a")


def fit(folder: Path, out: Path, *, title: str) -> None:
    """Loss (thin: each step; thick: mean of twenty), learning rate, gradient norm and validation of `metrics.jsonl`."""
    lines = metrics.read(folder)
    steps = [line for line in lines if "loss" in line]

    def curve(key: str) -> Points:
        return [(line["step"], line[key]) for line in steps]

    panels = [
        panel("loss per target token", {"each step": curve("loss"), "mean of 20 steps": smooth(curve("loss"))}),
        panel("learning rate", {"learning rate": curve("learning_rate")}),
        panel("gradient norm before clipping", {"gradient norm": curve("grad_norm")}),
    ]
    scored = [(line["step"], line["validation"]) for line in lines if "validation" in line]
    if scored:
        panels.append(panel("share of right answers on development rows", {"validation": scored}))
    write(out, title, panels)


def write(out: Path, title: str, parts: Sequence[str]) -> None:
    """The file appears whole or not at all."""
    name = html.escape(title)
    text = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title>{_STYLE}<h1>{name}</h1>'
    scratch = out.with_suffix(".tmp")
    scratch.write_text(text + "\n".join(parts) + "</html>\n", encoding="utf-8")
    os.replace(scratch, out)


def panel(title: str, curves: dict[str, Points]) -> str:
    """One chart: axes from the data, a legend, the value of each point as its tooltip."""
    points = [p for curve in curves.values() for p in curve]
    if not points:
        return f"<h2>{html.escape(title)}</h2><p>no data</p>"
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    low, high, first, last = min(ys), max(ys), min(xs), max(xs)
    low, high = (low - 0.5 * abs(low or 1), high + 0.5 * abs(high or 1)) if low == high else (low, high)

    def place(p: tuple[float, float]) -> tuple[float, float]:
        x = _LEFT + (p[0] - first) / max(last - first, 1e-12) * (_W - _LEFT - 10)
        return round(x, 1), round(_H - _BOTTOM - (p[1] - low) / (high - low) * (_H - _BOTTOM - 10), 1)

    drawn = []
    for i in range(5):
        value = low + (high - low) * i / 4
        y = place((first, value))[1]
        drawn.append(f'<line x1="{_LEFT}" x2="{_W - 10}" y1="{y}" y2="{y}" class="grid"/>')
        drawn.append(f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{value:.3g}</text>')
    for x in sorted({first, (first + last) / 2, last}):
        drawn.append(f'<text x="{place((x, low))[0]}" y="{_H - 8}" text-anchor="middle">{x:.4g}</text>')
    for (name, curve), colour in zip(curves.items(), _COLOURS, strict=False):
        drawn += _curve(name, [(p, place(p)) for p in curve], colour, thin=name == "each step")
    legend = " ".join(
        f'<span style="color:{c}">■ {html.escape(n)}</span>' for n, c in zip(curves, _COLOURS, strict=False)
    )
    return f'<h2>{html.escape(title)}</h2><p>{legend}</p><svg viewBox="0 0 {_W} {_H}">{"".join(drawn)}</svg>'


Bar = tuple[str, float, tuple[float, float], int]
"""Label, share of right answers, its 95 % interval, n."""


def bars(groups: Sequence[Sequence[Bar]]) -> str:
    """Shares with their intervals as an SVG file of its own; groups are set apart."""
    drawn, y = [], 8
    for group in groups:
        for label, share, (low, high), n in group:
            left, right, tip = (_BARS + _LONG * value for value in (low, high, share))
            drawn.append(f'<text x="{_BARS - 8}" y="{y + 11}" text-anchor="end">{html.escape(label)}</text>')
            drawn.append(f'<rect x="{_BARS}" y="{y}" width="{tip - _BARS:.1f}" height="14" fill="{_COLOURS[0]}"/>')
            drawn.append(f'<path d="M{left:.1f},{y + 7}H{right:.1f}" stroke="#57606a" stroke-width="2"/>')
            drawn.append(f'<text x="{_BARS + _LONG + 8}" y="{y + 11}">{share:.0%} (n = {n})</text>')
            y += 20
        y += 12
    scale = "".join(
        f'<text x="{_BARS + _LONG * i / 4}" y="{y + 4}" text-anchor="middle">{i / 4:.0%}</text>' for i in range(5)
    )
    paper = '<rect width="100%" height="100%" style="fill:#fff;opacity:1"/>'
    size = f'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_W} {y + 14}"'
    return f"<svg {size}>{_BAR_STYLE}{paper}{''.join(drawn)}{scale}</svg>\n"


def table(rows: Sequence[dict[str, object]]) -> str:
    """Rows with the same keys."""
    head = "".join(f"<th>{html.escape(str(k))}</th>" for k in rows[0])
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(v))}</td>" for v in row.values()) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _curve(
    name: str, points: Sequence[tuple[tuple[float, float], tuple[float, float]]], colour: str, *, thin: bool
) -> list[str]:
    path = " ".join(f"{x},{y}" for _, (x, y) in points)
    width = 0.7 if thin else 1.8
    drawn = [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>']
    if len(points) <= 60:
        drawn += [
            f'<circle cx="{x}" cy="{y}" r="2.5" fill="{colour}">'
            f"<title>{html.escape(name)} {a:.6g}: {b:.4g}</title></circle>"
            for (a, b), (x, y) in points
        ]
    return drawn


def smooth(points: Points, width: int = 20) -> Points:
    found = []
    for i, (x, _) in enumerate(points):
        recent = [y for _, y in points[max(0, i - width + 1) : i + 1]]
        found.append((x, sum(recent) / len(recent)))
    return found


_BAR_STYLE = "<style>text{font:11px system-ui,sans-serif;fill:#57606a}rect{opacity:.75}</style>"
_STYLE = (
    "<style>body{font:14px system-ui,sans-serif;max-width:760px;margin:2em auto;color:#1f2328;background:#fff}"
    "h2{font-size:15px;margin:1.5em 0 0}p{margin:.2em 0}svg text{font-size:11px;fill:#57606a}"
    ".grid{stroke:#d8dee4;stroke-width:1}table{border-collapse:collapse}"
    "td,th{padding:2px 10px;border:1px solid #d8dee4;text-align:right}</style>"
)

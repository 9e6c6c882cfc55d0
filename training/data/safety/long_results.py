"""Long tool results: one among others that are harmless, as a page or a mailbox holds them, and the windows of such.

A long result is judged window by window (decision 090): whole ones are for development, their windows for training.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from lora_agent.structured.windows import windows

from ..rows import Row
from .contract import judged

AROUND = (2, 4, 7)
"""Other texts; with each of about 300 characters these are results of 900 to 2,400."""
BETWEEN = ("\n\n", "\n", "\n---\n", " ")
WINDOW = 320
"""Characters, about as many as 80 tokens have."""
CLEAN = 3
"""Windows without the result of the row itself that are kept of each."""
SAFE: dict[str, Any] = {"verdict": "safe", "categories": [], "injection": False}


def long_results(rows: Sequence[Row], texts: Sequence[str], rng: random.Random) -> Iterator[Row]:
    """Each tool result among `rows`, once more among harmless ones of other rows and encyclopedia paragraphs."""
    for row, parts, place in _surrounded(rows, texts, rng):
        text = rng.choice(BETWEEN).join([*parts[:place], judged(row), *parts[place:]])
        yield _with(row, text, row.source.replace("/", "/long_"))


def long_result_windows(rows: Sequence[Row], texts: Sequence[str], rng: random.Random) -> Iterator[Row]:
    """Windows of such results: those that hold the row's own result as a whole, with its verdict, and `CLEAN` of those
    that hold nothing of it."""
    for row, parts, place in _surrounded(rows, texts, rng):
        between = rng.choice(BETWEEN)
        before = "".join(part + between for part in parts[:place])
        own = range(len(before), len(before) + len(judged(row)))
        text = between.join([before + judged(row), *parts[place:]])
        whole, without, start = [], [], 0
        for window in windows(text, len, WINDOW):
            start = text.index(window, start)
            if start <= own.start and own.stop <= start + len(window):
                whole.append(window)
            elif start + len(window) <= own.start or own.stop <= start:
                without.append(window)
        for window in whole[:1]:
            yield _with(row, window, "window/injection" if row.output["injection"] else "window/tool_clean")
        for window in rng.sample(without, min(CLEAN, len(without))):
            yield replace(_with(row, window, "window/tool_clean"), output=SAFE)


def _surrounded(rows: Sequence[Row], texts: Sequence[str], rng: random.Random) -> Iterator[tuple[Row, list[str], int]]:
    """Rows of tool results, the harmless texts around each, and before which of these it stands."""
    results = [row for row in rows if row.input["target"] == "tool"]
    harmless = sorted({judged(row) for row in results if row.output["verdict"] == "safe"})
    for row in results:
        count = rng.choice(AROUND)
        parts = [*rng.sample(harmless, count - count // 2), *rng.sample(texts, count // 2)]
        rng.shuffle(parts)
        yield row, parts, rng.randrange(count + 1)


def _with(row: Row, text: str, source: str) -> Row:
    *before, last = row.input["messages"]
    return replace(row, input={**row.input, "messages": [*before, {**last, "content": text}]}, source=source)

"""Long tool results: one among others that are harmless, as a page or a mailbox holds them, and the windows of such.

A long result is judged window by window (decision 090): whole ones are for development, their windows for training.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

from lora_agent.structured.windows import windows

from ..rows import Row
from .contract import judged, safety_row

AROUND = (2, 4, 7)
"""Other texts; with each of about 300 characters these are results of 900 to 2,400."""
BETWEEN = ("\n\n", "\n", "\n---\n", " ")
WINDOW = 320
"""Characters, about as many as 80 tokens have."""
CLEAN = 3
"""Windows without the result of the row itself that are kept of each."""


def long_results(rows: Sequence[Row], texts: Sequence[str], rng: random.Random) -> Iterator[Row]:
    """Each tool result among `rows`, once more among harmless ones of other rows and encyclopedia paragraphs."""
    for row, text, _ in _surrounded(rows, texts, rng):
        yield _with(row, text, row.source.replace("/", "/long_"))


def long_result_windows(rows: Sequence[Row], texts: Sequence[str], rng: random.Random) -> Iterator[Row]:
    """Windows of such results: the first that holds the row's own result as a whole, with its verdict, and `CLEAN` of
    those that hold nothing of it."""
    for row, text, own in _surrounded(rows, texts, rng):
        whole, without, start = [], [], 0
        for window in windows(text, len, WINDOW):
            start = text.index(window, start)
            if start <= own.start and own.stop <= start + len(window):
                whole.append(window)
            elif start + len(window) <= own.start or own.stop <= start:
                without.append(window)
        for window in whole[:1]:
            yield _with(row, window, "window/injection" if row.output["injection"] else "window/tool_clean")
        before = [(turn["role"], turn["content"]) for turn in row.input["messages"][:-1]]
        for window in rng.sample(without, min(CLEAN, len(without))):
            yield safety_row([*before, ("tool", window)], [], "window/tool_clean", row.group, split=row.split)


def _surrounded(rows: Sequence[Row], texts: Sequence[str], rng: random.Random) -> Iterator[tuple[Row, str, range]]:
    """Rows of tool results, the long result that each became, and where its own characters are in it."""
    results = [row for row in rows if row.input["target"] == "tool"]
    harmless = sorted({judged(row) for row in results if row.output["verdict"] == "safe"})
    for row in results:
        count = rng.choice(AROUND)
        parts = [*rng.sample(harmless, count - count // 2), *rng.sample(texts, count // 2)]
        rng.shuffle(parts)
        place, between = rng.randrange(count + 1), rng.choice(BETWEEN)
        before = "".join(part + between for part in parts[:place])
        own = range(len(before), len(before) + len(judged(row)))
        yield row, between.join([before + judged(row), *parts[place:]]), own


def _with(row: Row, text: str, source: str) -> Row:
    *before, last = row.input["messages"]
    return replace(row, input={**row.input, "messages": [*before, {**last, "content": text}]}, source=source)

"""A long text in overlapping windows, for an adapter that judges texts of a few sentences.

What somebody has hidden in the middle of a long tool output is one sentence of many; read at once, it sways a small
model little (decision 090). Knows texts, no models.
"""

from __future__ import annotations

import re
from collections.abc import Callable

Span = tuple[int, int]

_END = re.compile(r"(?<=[.!?])[\"')\]*_]*\s+|(?<=[。！？؟।])|\s*\n\s*")


def windows(text: str, size: Callable[[str], int], room: int) -> list[str]:
    """The text as it stands if its `size` is `room` at most; else windows of whole sentences or lines of about that
    size, each beginning with the last piece of the one before where that leaves room. What is longer than `room` by
    itself (a table in one line, encoded data) is cut at blanks, or anywhere."""
    if size(text) <= room or not text.strip():
        return [text]
    pieces = [span for piece in _pieces(text) for span in _cut(text, piece, size, room)]

    def joined(first: int, last: int) -> str:
        return text[pieces[first][0] : pieces[last][1]].strip()

    found, first = [], 0
    for last in range(1, len(pieces)):
        if size(joined(first, last)) > room:
            found.append(joined(first, last - 1))
            overlaps = first < last - 1 and size(joined(last - 1, last)) <= room
            first = last - 1 if overlaps else last
    return [*found, joined(first, len(pieces) - 1)]


def _pieces(text: str) -> list[Span]:
    """Spans of the sentences and lines, white space after them included; none is blank."""
    ends = [*dict.fromkeys(match.end() for match in _END.finditer(text)), len(text)]
    spans = zip([0, *ends[:-1]], ends, strict=True)
    return [(start, end) for start, end in spans if text[start:end].strip()]


def _cut(text: str, piece: Span, size: Callable[[str], int], room: int) -> list[Span]:
    start, end = piece
    if end - start < 2 or size(text[start:end]) <= room:
        return [piece]
    middle = (start + end) // 2
    blank = text.rfind(" ", start + 1, middle) + 1
    cut = blank if blank > start + 1 else middle
    return [*_cut(text, (start, cut), size, room), *_cut(text, (cut, end), size, room)]

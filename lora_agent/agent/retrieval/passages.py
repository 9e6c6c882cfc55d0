"""Text → passages short enough to show to a small model, each with the heading that it stands under.

A passage never crosses a heading; paragraphs are joined up to MAX_WORDS, longer ones cut at sentences. Knows
nothing of files or search.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lora_agent.types import Document

MIN_WORDS = 60
MAX_WORDS = 120
"""Three passages of 120 words are about 500 tokens: what a 135M model reads well beside the question."""
_CHARS_PER_WORD = 6
"""For scripts without spaces a passage is measured by its characters."""

_ATX = re.compile(r"^(#{1,6})\s+(.*?)\s*#*\s*$")
_UNDERLINE = re.compile(r"^(=+|-+|~+|\^+|\"+)\s*$")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")


@dataclass(frozen=True)
class Passage:
    document: Document
    headings: str
    """All headings above it, for the search; the document's title has only the nearest."""


def split_passages(text: str, source: str, title: str) -> list[Passage]:
    """Passages with ids `source#1`, `source#2`, ... `title` is used where no heading stands above."""
    passages: list[Passage] = []
    for headings, body in _sections(text):
        for window in _windows(body):
            document = Document(
                id=f"{source}#{len(passages) + 1}", title=headings[-1] if headings else title, text=window
            )
            passages.append(Passage(document, " ".join([title, *headings])))
    return passages


def _sections(text: str) -> Iterator[tuple[list[str], list[str]]]:
    """(headings above, paragraphs) in order."""
    headings: dict[int, str] = {}
    paragraphs: list[str] = []
    lines: list[str] = []
    fenced = False

    def end_paragraph() -> None:
        if any(line.strip() for line in lines):
            paragraphs.append("\n".join(lines).strip())
        lines.clear()

    for line in text.splitlines():
        if line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
        heading = None if fenced else _heading(line, lines)
        if heading:
            level, name = heading
            if len(lines) == 1:  # an underlined heading: its text was taken for a paragraph
                lines.clear()
            end_paragraph()
            if paragraphs:
                yield [headings[key] for key in sorted(headings)], list(paragraphs)
                paragraphs.clear()
            headings = {key: value for key, value in headings.items() if key < level}
            headings[level] = name
        elif line.strip() or fenced:
            lines.append(line.rstrip())
        else:
            end_paragraph()
    end_paragraph()
    if paragraphs or headings:  # a document of headings only is found by them
        yield [headings[key] for key in sorted(headings)], paragraphs or list(headings.values())


def _heading(line: str, above: list[str]) -> tuple[int, str] | None:
    """(level, text) if this line is a heading, or underlines the single line above it."""
    atx = _ATX.match(line)
    if atx and atx[2]:
        return len(atx[1]), atx[2]
    underline = _UNDERLINE.match(line)
    if underline and len(above) == 1 and len(underline[1]) >= max(3, min(len(above[0].strip()), 10)):
        return 1 + '=-~^"'.index(underline[1][0]), above[0].strip()
    return None


def _windows(paragraphs: list[str]) -> Iterator[str]:
    held: list[str] = []
    size = 0
    for paragraph in paragraphs:
        for piece in _pieces(paragraph):
            words = _words(piece)
            if held and size + words > MAX_WORDS:
                yield "\n".join(held)
                held, size = [], 0
            held.append(piece)
            size += words
            if size >= MIN_WORDS and words >= MIN_WORDS:  # a whole passage by itself
                yield "\n".join(held)
                held, size = [], 0
    if held:
        yield "\n".join(held)


def _pieces(paragraph: str) -> Iterator[str]:
    """The paragraph, or groups of its sentences of at most MAX_WORDS words each."""
    if _words(paragraph) <= MAX_WORDS:
        yield paragraph
        return
    held = ""
    for sentence in _SENTENCE.split(paragraph):
        if held and _words(held) + _words(sentence) > MAX_WORDS:
            yield held
            held = ""
        held = f"{held} {sentence}".strip()
        while _words(held) > MAX_WORDS:  # one endless sentence
            cut = _cut(held)
            yield held[:cut].strip()
            held = held[cut:].strip()
    if held:
        yield held


def _cut(text: str) -> int:
    """Where MAX_WORDS words end."""
    limit = MAX_WORDS * _CHARS_PER_WORD
    ends = [match.end() for match in re.finditer(r"\S+", text)][:MAX_WORDS]
    inside = [end for end in ends if end <= 2 * limit]
    return inside[-1] if len(inside) > 1 else limit


def _words(text: str) -> int:
    return max(len(text.split()), len(text) // (2 * _CHARS_PER_WORD))

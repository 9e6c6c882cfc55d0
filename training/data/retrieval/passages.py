"""A question with the passage that answers it, and how a long passage is cut to a short one.

Input: passages of any length with the character offset of the answer. Output: windows of whole sentences
(where they fit) that still hold the answer verbatim. Knows nothing of data sets or of other documents.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]?[A-Z0-9])")
# "U.S. Army", "Dr. No", "J. Smith": an end of sentence by the expression above, but not in truth.
NO_END = re.compile(
    r"(?:\b(?:[A-Z]|Dr|Mr|Mrs|Ms|St|vs|No|Jr|Sr|Inc|Ltd|Co|Corp|U\.S|U\.K|e\.g|i\.e|c|ca|Prof|Gen)\.)\s+$"
)
WORD = re.compile(r"[a-z0-9]+")
STOP_WORDS = frozenset(
    "a an the of in on at to for from by with and or is are was were be been do does did has have had it "
    "its his her their they he she him them that this these those which who whom whose what when where why "
    "how many much as not into than then there can could would will you your i me my we our about".split()
)


@dataclass(frozen=True)
class Question:
    """One question over one passage, before other documents are mixed in."""

    source: str
    article: str
    """Passages of one article share it; it decides the split and is where hard distractors come from."""
    text: str
    passage: str
    answer: str
    """Verbatim in the passage, or "yes"/"no", or "" where the passage does not answer."""
    start: int = -1
    """Character offset of the answer in the passage; for unanswerable questions a place worth showing;
    -1: none."""
    title: str | None = None
    history: tuple[tuple[str, str], ...] = ()
    """Earlier (question, answer) exchanges of the conversation."""


def content_words(text: str) -> set[str]:
    return {word for word in WORD.findall(text.lower()) if word not in STOP_WORDS}


def contains_answer(text: str, answer: str) -> bool:
    """Whole-word, case-insensitive: "May" is not in "Mayor"."""
    words = " ".join(WORD.findall(answer.lower()))
    return bool(words) and f" {words} " in f" {' '.join(WORD.findall(text.lower()))} "


def sentences(text: str) -> list[tuple[int, int]]:
    """Character ranges of the sentences; together they cover the text but for the white space between."""
    starts = [0]
    for match in SENTENCE_END.finditer(text):
        if not NO_END.search(text[max(0, match.start() - 6) : match.end()]):
            starts.append(match.end())
    ends = [*starts[1:], len(text)]
    return [(start, end) for start, end in zip(starts, ends, strict=True) if text[start:end].strip()]


def word_count(text: str) -> int:
    return len(text.split())


def window(text: str, start: int, length: int, max_words: int, rng: random.Random) -> str:
    """At most `max_words` words of `text` around the characters `start` to `start + length`.

    Whole sentences, grown to a random side until nothing fits; a sentence that is too long by itself is
    cut at words. `start` below zero means that any place will do.
    """
    spans = sentences(text)
    if start < 0:
        start, length = rng.choice(spans)[0], 0
    end = start + length
    first = max((i for i, span in enumerate(spans) if span[0] <= start), default=0)
    last = max((i for i, span in enumerate(spans) if span[0] < max(end, start + 1)), default=first)
    if word_count(text[spans[first][0] : spans[last][1]]) > max_words:
        return _cut_words(text, spans[first][0], spans[last][1], start, end, max_words)
    while True:
        sides = [side for side in (-1, 1) if _fits(text, spans, first, last, side, max_words)]
        if not sides:
            return text[spans[first][0] : spans[last][1]].strip()
        if rng.choice(sides) < 0:
            first -= 1
        else:
            last += 1


def _fits(text: str, spans: list[tuple[int, int]], first: int, last: int, side: int, max_words: int) -> bool:
    first, last = (first - 1, last) if side < 0 else (first, last + 1)
    if first < 0 or last >= len(spans):
        return False
    return word_count(text[spans[first][0] : spans[last][1]]) <= max_words


def _cut_words(text: str, low: int, high: int, start: int, end: int, max_words: int) -> str:
    words = [(m.start(), m.end()) for m in re.finditer(r"\S+", text) if low <= m.start() < high]
    inside = [i for i, (a, b) in enumerate(words) if b > start and a < max(end, start + 1)] or [0]
    spare = max(0, max_words - (inside[-1] - inside[0] + 1))
    first = max(0, inside[0] - spare // 2)
    last = min(len(words) - 1, first + max(max_words, inside[-1] - inside[0] + 1) - 1)
    return text[words[first][0] : words[last][1]].strip()


def best_place(text: str, question: str) -> int:
    """Start of the sentence that shares most words with the question."""
    asked = content_words(question)
    return max(sentences(text), key=lambda span: len(asked & content_words(text[span[0] : span[1]])))[0]

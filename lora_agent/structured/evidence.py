"""Which passages may answer a question, and which of their sentences: those that hold its words, the rare ones
counting most.

A small model that reads passages through a bare base answers whatever it is asked and cites whatever it likes; the
words that question and passage share are better evidence (decision 056). Knows texts, no models.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Sequence

FEW = 20
"""Rarity is judged as among so many passages at least: counted among three, every word that two lack would be rare."""
NEAR = 0.6
"""Share of the best passage's coverage that another one needs to be cited beside it."""
NEIGHBOUR = 0.4
"""What a sentence gains from the one before it, of that one's coverage, since it may go on with "it" or "this"; the
one after it counts for 0.6 of that."""
WHOLE = 0.3
"""What a sentence gains from its passage's coverage."""
_STEM = 5
_COMMON = frozenset(
    "a about all also am an and any are as at be been being but by can could did do does doing far for from give go "
    "got had has have he her here hers him his how i if in into is it its just know like long many may me might "
    "more most much must my no not now of off often old on one only or our out over please quick re really s say "
    "see she should so some t tell than that the their them then there these they this those to too up us very want "
    "was we were what when where which while who whom whose why will with would you your".split()
)
_WORD = re.compile(r"[^\W_]+")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]*_]*\s+(?=[^a-z\s])|(?<=[。！？؟।])|\s*\n\s*")
_LEAST = 4
"""Where less room is left, no sentence fits."""
_LONGEST = 400
"""Characters of a sentence; what goes on for longer (a table in one line, a transcript) is cut at blanks."""


def coverage(question: str, passages: Sequence[str], empty: float = 1.0) -> list[float]:
    """Of each passage, 0 to 1: the share of the question's words that it holds, weighted by their rarity (the inverse
    document frequency of BM25). All `empty` where the question has no words of its own."""
    asked = words(question)
    held = [words(passage) for passage in passages]
    frequency = Counter(word for words_of in held for word in words_of)
    count = max(FEW, len(passages))
    weight = {w: math.log(1 + (count - frequency[w] + 0.5) / (frequency[w] + 0.5)) for w in asked}
    total = sum(weight.values())
    return [sum(weight[w] for w in asked & words_of) / total if total else empty for words_of in held]


def best_sentences(
    question: str, passages: Sequence[tuple[str, str]], size: Callable[[str], int], room: int
) -> list[list[str]]:
    """Of each (title, text) the sentences worth reading again, in their order: those of most coverage whose sizes sum
    to `room` at most. The best one is among them whatever its size."""
    sentences = [(index, sentence) for index, (_, text) in enumerate(passages) for sentence in sentences_of(text)]
    held = coverage(question, [sentence for _, sentence in sentences], empty=0.0)
    whole = coverage(question, [f"{title} {text}" for title, text in passages], empty=0.0)

    def beside(place: int, other: int) -> float:
        inside = 0 <= other < len(sentences) and sentences[other][0] == sentences[place][0]
        return held[other] if inside else 0.0

    worth = [
        held[k] + NEIGHBOUR * max(beside(k, k - 1), 0.6 * beside(k, k + 1)) + WHOLE * whole[index]
        for k, (index, _) in enumerate(sentences)
    ]
    chosen: list[int] = []
    for k in sorted(range(len(sentences)), key=lambda k: -worth[k]):
        if len(sentences[k][1].split()) > room and chosen:
            continue  # a word is a token at least: no need to count
        if (needed := size(sentences[k][1])) <= room or not chosen:
            chosen.append(k)
            room -= needed
        if room < _LEAST:
            break
    found: list[list[str]] = [[] for _ in passages]
    for k in sorted(chosen):
        found[sentences[k][0]].append(sentences[k][1])
    return found


def sentences_of(text: str) -> list[str]:
    """Sentences and lines, without the white space around them; longer ones in pieces."""
    parts = [part for part in map(str.strip, _SENTENCE_END.split(text)) if part]
    return [piece for part in parts for piece in ([part] if len(part) <= _LONGEST else _pieces(part))]


def _pieces(text: str) -> list[str]:
    if " " in text:
        return textwrap.wrap(text, _LONGEST, break_on_hyphens=False)
    return [text[start : start + _LONGEST] for start in range(0, len(text), _LONGEST)]


def words(text: str) -> set[str]:
    """Beginnings of its words, the commonest words left out: "corrected" meets "correction"."""
    return {_stem(word) for word in _WORD.findall(text.lower()) if word not in _COMMON}


def _stem(word: str) -> str:
    if len(word) > _STEM:
        return word[:_STEM]
    return word[:-1] if len(word) > 3 and word.endswith("s") else word

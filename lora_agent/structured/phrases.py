"""Phrases that a text says: runs of its words, as an argument may quote them.

Words are parted by blanks; marks around a run ("(Rome)," is Rome) and a possessive at its end do not count. Runs of up
to LONGEST words begin and end anywhere; longer ones, such as the text of a message, end where a sentence or line does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

LONGEST = 12
MOST = 3_000
"""Of one conversation; its last turns come first. A grammar of so many takes a tenth of a second."""
_MARKS = " \t\r\n.,;:?!\"'`()[]{}<>“”‘’«»*…"
_QUOTES = "\"'`“”‘’«»"
_CLOSING = ",;:?!."
_STOPS = ".?!:\n"
_NAMES = 4
"""Words of a name or thing, at most."""
_WORD = re.compile(r"\S+")
_PART = re.compile(r"[^\W_]+")
_POSSESSIVE = re.compile(r"['’]s$")


def phrases_in(texts: Iterable[str]) -> list[str]:
    """Without repetitions, at most MOST; the last text first."""
    found: dict[str, None] = {}
    for text in reversed(list(texts)):
        for phrase in _runs(text):
            if len(found) >= MOST:
                return list(found)
            found[phrase] = None
    return list(found)


def _runs(text: str) -> Iterator[str]:
    words = [match.span() for match in _WORD.finditer(text)]
    small = text == text.lower()
    for index, (start, _) in enumerate(words):
        opens = index == 0 or text[words[index - 1][1] - 1] in _STOPS
        for count, (_, end) in enumerate(words[index:]):
            if count >= LONGEST and not _ends(text, end):
                continue
            yield from _forms(text[start:end])
            if count < _NAMES and (small or opens):
                yield from _cased(text[start:end].strip(_MARKS), small)
        yield from _PART.findall(text[start : words[index][1]])  # "rock/pop": either of them


def _cased(phrase: str, small: bool) -> Iterator[str]:
    """A name where all is written small ("la paz": La Paz); no name where a sentence begins ("Towels to 204")."""
    first = phrase.split(" ", 1)[0]
    if small and phrase:
        yield " ".join(word[:1].upper() + word[1:] for word in phrase.split(" "))
    elif first.istitle() and len(first) > 1:
        yield phrase[0].lower() + phrase[1:]


def _ends(text: str, end: int) -> bool:
    return end == len(text) or text[end] == "\n" or text[end - 1] in ".?!\"”'’)]"


def _forms(run: str) -> Iterator[str]:
    """Without the marks around it; with those that belong to it ("ln(x)", "Washington D.C.", a whole sentence)."""
    bare = run.strip(_MARKS)
    if not bare:
        return
    yield bare
    if _POSSESSIVE.search(bare):
        yield bare[:-2]
    elif bare.count(" ") < _NAMES and len(bare) > 3 and bare.endswith("s"):
        yield bare[:-1]  # "horses": a parameter may want one of them
    if bare != run:
        closed = run.rstrip(_CLOSING)
        for form in (run.rstrip(_CLOSING.replace(".", "")), closed, closed.strip(_QUOTES), run.strip(_QUOTES)):
            if form.strip(_MARKS):
                yield form

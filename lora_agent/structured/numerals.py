"""Numbers that a text says. Too many rather than too few: what is missing here can't be written as an argument."""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import pairwise

from lora_agent.structured.number_reader import SPOKEN, Mention, Reader

_MARKED = re.compile(
    r"(?<!\w)-(?=\s*\d)|\d\s*°?\s*[SW]\b|\b(?:minus|negative|bce?|south|west|below|off|lost|lose|loses|back|fewer)\b"
    r"|\b(?:less|down|shrink\w*|cool\w*|stole\w*|broke\w*|damaged|withdr\w+|take\w*|remove\w*|pay\w*"
    r"|cost\w*|counter-?clockwise|left|decreas\w*|declin\w*|drop\w*|fell|fall\w*)\b",
    re.IGNORECASE,
)
"""Signs and words by which a number may be meant as less than nothing."""
_POLYNOMIAL = re.compile(r"(?<![/\w])\d*[abnuxyz]\s*(?:\^|\*\*|[²³⁴⁵])|\d[xyz]\b", re.IGNORECASE)
"""Its terms may have factors that are not written: 1, -1 and 0."""
_PAUSE = re.compile(r"[,.;:?!()]|\b(?:and|or|with|where|when|at|in|to|instead)\b", re.IGNORECASE)
_BETWEEN = re.compile(
    r"\s*(?:%|°[CF]?)?\s*"
    r"(?:[,;x×]|[\])]\s*(?:,|,?\s*and\b)?\s*[\[(]|by\b)?\s*(?:(?:and|&)\s+)?[$€£]?"
)
_CLOSED = re.compile(r"[\])]")
_RANGE = re.compile(r"\s*(?:to|through|thru|until|till|-)\s*", re.IGNORECASE)
_LONGEST_RANGE = 30


def mentions_in(text: str) -> list[Mention]:
    """In the order of the text; "a", "no" and names of months are none."""
    return list(Reader(text).mentions())


def numbers_in(text: str, units: Collection[str] | None = None) -> set[float]:
    """All that a text says or implies to somebody who wants it in one of the units, by default in any. Where a sign or
    a word like "minus", "south" or "BC" occurs, with either sign."""
    reader = Reader(text)
    text = reader.text
    said = list(reader.mentions())
    found = {value for mention in said for value in mention.values(units)}
    found |= Mention(0, 0, 0, reader.implied()).values(units)
    for one, other in pairwise(said):
        if _RANGE.fullmatch(text, one.end, other.start) and 0 < other.plain - one.plain <= _LONGEST_RANGE:
            found.update(one.plain + n for n in range(int(other.plain - one.plain)))
    polynomial = _POLYNOMIAL.search(text) is not None
    if polynomial:
        found |= {0.0, 1.0}
    return found | {-value for value in found if value} if polynomial or _MARKED.search(text) else found


def mentions(text: str) -> int:
    """How often a text says a number."""
    return len(mentions_in(text))


def quantities_in(text: str) -> list[tuple[Mention, str]]:
    """Each number, and the words that say what of: those before and behind it, up to the next
    number, mark or conjunction ("a stock of 5 M and 300 mL": "a stock of M", "mL")."""
    said = mentions_in(text)
    ends = [0, *(mention.end for mention in said)]
    starts = [*(mention.start for mention in said[1:]), len(text)]
    found = []
    for mention, since, until in zip(said, ends, starts, strict=False):
        before, after = _PAUSE.split(text[since : mention.start])[-1], _PAUSE.split(text[mention.end : until])[0]
        found.append((mention, f"{before} {after}"))
    return found


def lists_in(text: str) -> list[list[float]]:
    """Numbers that follow each other, with nothing but commas, blanks, "x", "and" and "%" between; of lists in
    brackets that follow each other also all together, and column by column ("(1, 2), (3, 4)": 1 and 3, 2 and 4)."""
    reader = Reader(text)
    text = reader.text
    rows: list[list[list[float]]] = []
    end = 0
    for mention in reader.mentions():
        gap = text[end : mention.start] if rows else ""
        if text[mention.start : mention.end].lower() in SPOKEN:
            rows.append([[]])
        elif not rows or not _BETWEEN.fullmatch(gap):
            rows.append([[mention.plain]])
        elif _CLOSED.search(gap):
            rows[-1].append([mention.plain])
        else:
            rows[-1][-1].append(mention.plain)
        end = mention.end
    found: dict[tuple[float, ...], None] = {}
    for group in rows:
        found.update(dict.fromkeys(map(tuple, group)))
        if len(group) > 1:
            found[tuple(value for row in group for value in row)] = None
            if len(set(map(len, group))) == 1:
                found.update(dict.fromkeys(zip(*group, strict=True)))
    return [list(values) for values in found if len(values) > 1]

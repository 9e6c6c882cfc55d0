"""Numbers that a text says: digits, words, percentages, multiples ("2.5 million", "a dozen"), and the same times in
other units ("2 hours" is also 120). Too many rather than too few: what is missing here can't be written as an argument.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import zip_longest

_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_SMALL = {**{w: n for n, w in enumerate(_UNITS)}, **{w: 10 * n for n, w in enumerate(_TENS, 2)}}
NUMBER_WORDS = tuple(_SMALL)
_ORDINALS = {
    word: number
    for number, word in enumerate(
        "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split(), 1
    )
}
_OTHER = {
    "a": 1, "an": 1, "single": 1, "once": 1, "alone": 1, "me": 1, "myself": 1, "couple": 2, "pair": 2, "twice": 2,
    "both": 2, "double": 2, "triple": 3, "dozen": 12, "half": 0.5, "quarter": 0.25, "no": 0, "none": 0, "today": 0,
}  # fmt: skip
_SPOKEN = frozenset("single once alone couple pair twice both double triple dozen half quarter".split())
_POWERS = {
    "hundred": 1e2, "k": 1e3, "thousand": 1e3, "lakh": 1e5, "m": 1e6, "mn": 1e6, "million": 1e6, "b": 1e9, "bn": 1e9,
    "billion": 1e9, "trillion": 1e12,
}  # fmt: skip
_CONVERTED = {
    "hour": (60, 3600), "hr": (60, 3600), "h": (60, 3600), "minute": (60, 1 / 60), "min": (60, 1 / 60), "day": (24,),
    "week": (7,), "fortnight": (14,), "month": (30, 1 / 12), "year": (12, 365), "decade": (10,), "km": (1000,),
    "kilometer": (1000,), "kilometre": (1000,), "kg": (1000,), "cm": (0.01,), "mm": (0.001,), "percent": (0.01,),
    "dozen": (12,), "meter": (100,), "metre": (100,), "gram": (0.001,), "g": (0.001,), "ml": (0.001,),
}  # fmt: skip
_FIGURE = re.compile(r"\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?|\.\d+", re.IGNORECASE)
_ENTRY = re.compile(
    r"(?<![\w.])-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[+-]?\d+)?(?!\w)|(?<![\w.])-?\.\d+|[a-z]+(?:-[a-z]+)?",
    re.IGNORECASE,
)
_UNIT_CHARACTERS = 12
"""Behind a number, in which its unit is looked for."""
_PAUSE = re.compile(r"[,.;:?!()]|\b(?:and|or|with|where|when|at|in|to|instead)\b", re.IGNORECASE)
_BETWEEN = re.compile(r"\s*(?:[,;]\s*)?(?:(?:and|&)\s*)?", re.IGNORECASE)
_FRACTION = re.compile(r"(\d+)\s*/\s*(\d+)")
_AFTER = re.compile(r"[\s-]*(%|[a-z]+)")


def numbers_in(text: str) -> set[float]:
    """All of them; a figure behind a minus sign with and without it."""
    low = text.lower()
    found: set[float] = set()
    for match in _FIGURE.finditer(low):
        for value in _readings(match.group()):
            found |= _with_unit(value, _AFTER.match(low, match.end()))
            if low[: match.start()].endswith(("-", "−", "minus ", "negative ")):
                found.add(-value)
    for above, below in _FRACTION.findall(low):
        if int(below):
            found.add(int(above) / int(below))
    found.update(_in_words(re.findall(r"[a-z]+", low)))
    return found


def mentions(text: str) -> int:
    """How often a text says a number, in figures or words; a compound ("twenty five") is one. "A" and "me" are none."""
    low = text.lower()
    count, within = len(_FIGURE.findall(low)), False
    for word in re.findall(r"[a-z]+", low):
        counts = word in _SMALL or word in _ORDINALS or word in _SPOKEN or (word in _POWERS and len(word) > 2)
        count += counts and not within
        within = counts
    return count


def quantities_in(text: str) -> list[tuple[set[float], str]]:
    """Each number with all that it may mean, and the words that say what of: those before and behind it, up to the next
    number, mark or conjunction ("a stock of 5 M and 300 mL": "a stock of M", "mL")."""
    entries = [match for match in _ENTRY.finditer(text) if number_of(match.group()) is not None]
    ends = [0, *(match.end() for match in entries)]
    starts = [*(match.start() for match in entries[1:]), len(text)]
    found = []
    for match, since, until in zip(entries, ends, starts, strict=False):
        before, after = _PAUSE.split(text[since : match.start()])[-1], _PAUSE.split(text[match.end() : until])[0]
        found.append((numbers_in(match.group() + text[match.end() : until][:_UNIT_CHARACTERS]), f"{before} {after}"))
    return found


def lists_in(text: str) -> list[list[float]]:
    """Numbers that follow each other, with nothing but commas, semicolons, blanks and "and" between."""
    found: list[list[float]] = []
    end = 0
    for match in _ENTRY.finditer(text):
        value = number_of(match.group())
        if value is None:
            continue
        if found and _BETWEEN.fullmatch(text, end, match.start()):
            found[-1].append(value)
        else:
            found.append([value])
        end = match.end()
    return [entries for entries in found if len(entries) > 1]


def number_of(text: str) -> float | None:
    """A figure ("1,200", "-3", ".5", "1e-3") or a number word ("seven", "twenty-five"); None for anything else."""
    low = text.lower()
    if low in _SMALL:
        return float(_SMALL[low])
    tens, _, units = low.partition("-")
    if tens in _TENS and units in _UNITS:
        return float(_SMALL[tens] + _SMALL[units])
    return float(low.replace(",", "")) if re.fullmatch(r"-?[\d,]*\d(?:\.\d+)?(?:e[+-]?\d+)?|-?\.\d+", low) else None


def _readings(figure: str) -> Iterator[float]:
    """ "1,200" is 1200, and 1 and 200 where the comma parts two numbers."""
    yield float(figure.replace(",", ""))
    parts = [part for part in figure.split(",") if part]
    if len(parts) > 1:
        yield from map(float, parts)


def _with_unit(value: float, after: re.Match[str] | None) -> set[float]:
    found = {value}
    word = after.group(1) if after is not None else ""
    if word == "%":
        word = "percent"
    if word in _POWERS and (
        len(word) > 1 or (after is not None and after.group() == word)
    ):  # "7.6 M" of acid are no millions
        found.add(value * _POWERS[word])
    for factor in _CONVERTED.get(word, ()) or _CONVERTED.get(word.removesuffix("s"), ()):
        found.add(round(value * factor, 10))
    return found


def _in_words(words: list[str]) -> Iterator[float]:
    """Single number words, and compound ones ("two hundred and fifty three", "one point five" without its point)."""
    whole, part, began = 0.0, 0.0, False
    for word, after in zip_longest(words, words[1:], fillvalue=""):
        if word in _SMALL:
            yield from _with_unit(float(_SMALL[word]), re.match(r"(.*)", after))
            part, began = part + _SMALL[word], True
        elif word in _POWERS and len(word) > 2:
            part = (part or 1) * _POWERS[word]
            if _POWERS[word] > 100:
                whole, part = whole + part, 0.0
            began = True
        elif word == "and" and began:
            continue
        else:
            whole, part, began = 0.0, 0.0, False
            for table in (_ORDINALS, _OTHER):
                if word in table:
                    yield from _with_unit(float(table[word]), re.match(r"(.*)", after))
            continue
        yield from _with_unit(whole + part, re.match(r"(.*)", after))

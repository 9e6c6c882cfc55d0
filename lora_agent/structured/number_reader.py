"""Reads numbers from left to right: figures and words, fractions, percentages, multiples ("2.5 million", "a dozen"),
what is said in two parts ("an hour and ten", "two metres ten"), and the same in other units ("2 hours" is also 120).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from lora_agent.structured.units import PERIODS, power_of, unit_of

_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_SMALL = {**{w: n for n, w in enumerate(_UNITS)}, **{w: 10 * n for n, w in enumerate(_TENS, 2)}}
NUMBER_WORDS = tuple(_SMALL)
_NTH = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth".split()
_NTH += "fifteenth sixteenth seventeenth eighteenth nineteenth".split()
_ORDINALS = {
    **{word: n for n, word in enumerate(_NTH, 1)},
    **{word[:-1] + "ieth": 10 * n for n, word in enumerate(_TENS, 2)},
    "hundredth": 100,
}
_PARTS = {"half": 2, "halves": 2, "quarter": 4, "quarters": 4}
_PARTS |= {form: n for n, word in enumerate(_NTH, 1) if n > 2 for form in (word, f"{word}s")}
SPOKEN = {
    "single": 1, "once": 1, "alone": 1, "couple": 2, "pair": 2, "twice": 2, "both": 2, "double": 2, "triple": 3,
    "thrice": 3, "dozen": 12,
}  # fmt: skip
_IMPLIED = {
    "a": 1, "an": 1, "last": 1, "past": 1, "next": 1, "coming": 1, "each": 1, "every": 1, "me": 1, "myself": 1,
    "no": 0, "none": 0, "neither": 0, "nothing": 0, "today": 0, "mute": 0, "silent": 0, "rest": 0, "full": 100,
    "fully": 100, "completely": 100, "maximum": 100, "halfway": 50, "square": 2, "cube": 3, "binary": 2, "octal": 8,
    "decimal": 10, "hex": 16, "hexadecimal": 16, "octave": 12, "triplicate": 3, "duplicate": 2, **PERIODS,
}  # fmt: skip
_MONTHS = {
    month: n
    for n, month in enumerate(
        "January February March April May June July August September October November December".split(), 1
    )
}
_MONEY = frozenset("euro dollar pound franc rupee peso buck quid crown yuan".split())
_TOKEN = re.compile(
    r"(?P<figure>(?:\d{1,3}(?:,\d{2,3})*,\d{3}(?!\d)|\d+)(?:\.\d+)?(?:e[+-]?\d+)?|\.\d+)"
    r"|(?P<word>[^\W\d_]+)|(?P<mark>[^\s\w]|_)",
    re.IGNORECASE,
)
_FIGURE = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?|-?\.\d+", re.IGNORECASE)


Reading = tuple[float, str | None]
"""A number, and the unit that it was said in if this is what it is in another one."""


def _converts(said: str, wanted: Collection[str]) -> bool:
    """Whether a number said in one unit may have to be written in another."""
    if said == "%":
        return "%" not in wanted or "fraction" in wanted
    return "%" in wanted if said == "fraction" else bool(wanted) and said not in wanted


@dataclass(frozen=True)
class Mention:
    """A number that is said at text[start:end]; `plain`: as it stands."""

    start: int
    end: int
    plain: float
    readings: frozenset[Reading]

    def values(self, units: Collection[str] | None = None) -> set[float]:
        """What it may mean to somebody who wants it in one of the units; by default in any."""
        return {value for value, unit in self.readings if unit is None or units is None or _converts(unit, units)}


def number_of(text: str) -> float | None:
    """A figure ("1,200", "-3", ".5", "1e-3") or a number word ("seven", "twenty-five"); None for anything else."""
    low = text.lower()
    if low in _SMALL:
        return float(_SMALL[low])
    tens, _, units = low.partition("-")
    if tens in _TENS and units in _UNITS:
        return float(_SMALL[tens] + _SMALL[units])
    return float(low.replace(",", "")) if _FIGURE.fullmatch(low) else None


@dataclass(frozen=True)
class _Token:
    text: str
    """As it is written; `low` in small letters."""
    kind: str
    start: int
    end: int

    @property
    def low(self) -> str:
        return self.text.lower()


def _tokens(match: re.Match[str]) -> Iterator[_Token]:
    """One, or several where commas part what stands in square brackets ("[100,200]")."""
    text, start = match.group(), match.start()
    before = match.string[:start]
    if "," not in text or before.rfind("[") <= before.rfind("]"):
        yield _Token(text, str(match.lastgroup), start, match.end())
        return
    for part in re.finditer("[^,]+", text):
        yield _Token(part.group(), "figure", start + part.start(), start + part.end())


_NOTHING = _Token("", "end", -1, -1)


class Reader:
    """Reads numbers from left to right."""

    def __init__(self, text: str) -> None:
        text = re.sub("[−–]", "-", text)
        self.text = text
        """With one kind of dash, as long as before."""
        self._tokens = [token for m in _TOKEN.finditer(text) for token in _tokens(m)]
        self._held: set[int] = set()
        """Places of tokens that are part of a number."""

    def mentions(self) -> Iterator[Mention]:
        place = 0
        while place < len(self._tokens):
            read = self._number(place)
            if read is None:
                place += 1
                continue
            values, after = read
            start = self._tokens[place].start
            if self._has_sign(place):
                start, values = self._tokens[place - 1].start, [-values[0], *values]
            if (half := self._and_part(after)) is not None:
                values, after = [value + half[0] for value in values], half[1]
            self._held.update(range(place, after))
            shares = ((100 * value, "fraction") for value in values if 0 < value < 1)
            readings = {*self._readings(values, after), *shares}
            yield Mention(start, self._tokens[after - 1].end, values[0], frozenset(readings))
            place = after

    def implied(self) -> frozenset[Reading]:
        """What words outside of the mentions say: names of months, "daily", "full", "an hour"."""
        return frozenset(self._implied())

    def _implied(self) -> Iterator[Reading]:
        for place, token in enumerate(self._tokens):
            if place in self._held:
                continue
            if token.text in _MONTHS:
                yield _MONTHS[token.text], None
            elif token.low in _IMPLIED:
                yield from self._readings([float(_IMPLIED[token.low])], place + 1)
            elif token.low.endswith("fold") and token.low[:-4] in _SMALL:
                yield _SMALL[token.low[:-4]], None

    def _at(self, place: int) -> _Token:
        return self._tokens[place] if 0 <= place < len(self._tokens) else _NOTHING

    def _has_sign(self, place: int) -> bool:
        """Whether "minus" stands before the number, or its sign, right before a figure and not as a hyphen."""
        sign, before = self._at(place - 1), self._at(place - 2)
        touches = sign.text == "-" and sign.end == self._tokens[place].start
        as_sign = touches and (before.end != sign.start or before.kind == "mark")
        return sign.low in ("minus", "negative") or (as_sign and self._tokens[place].kind == "figure")

    def _number(self, place: int) -> tuple[list[float], int] | None:
        """The number that begins here, as it stands and then what else it may be, and the place behind it."""
        token = self._at(place)
        if token.kind == "figure":
            return self._figure(place)
        article = token.low in ("a", "an", "one")
        if (part := self._part(place + article)) is not None and (article or token.low in ("half", "quarter")):
            return [part[0]], part[1]
        words = self._words(place)
        if words is None:
            return ([float(SPOKEN[token.low])], place + 1) if token.low in SPOKEN else None
        value, after = words
        part = self._part(after + (self._at(after).text == "-"))
        if part is not None and value < 20 and self._tokens[after - 1].low in _SMALL:
            return [value * part[0], value], part[1]
        pair = self._words(after + (self._at(after).text == "-"))
        if pair is not None and value < 100 and 10 <= pair[0] < 100:
            return [value, value * 100 + pair[0], value + pair[0] / 100], after  # nineteen eighty-four, three fifty
        return [value], after

    def _figure(self, place: int) -> tuple[list[float], int]:
        figure = self._tokens[place].text
        parts = figure.split(",")
        values = [float(figure.replace(",", "")), *(map(float, parts) if len(parts) > 1 else ())]
        after = place + 1
        if self._at(after).low in ("st", "nd", "rd", "th"):
            return values, after + 1
        below = self._at(after + 1)
        if self._at(after).text == "/" and below.kind == "figure" and float(below.text.replace(",", "")):
            share = values[0] / float(below.text.replace(",", ""))
            return [values[0], share], after
        return values, after

    def _words(self, place: int) -> tuple[float, int] | None:
        """A number in words, "a hundred and twenty-five", "one point five", "thirty-first"."""
        total, part, last, after = 0.0, 0.0, 0.0, place
        if self._at(place).low in ("a", "an") and power_of(self._at(place + 1).low, spelled=True):
            after, part, last = place + 1, 1.0, 1.0
        while True:
            joint = self._at(after) if after > place else _NOTHING
            joined = joint.text == "-" or (joint.low == "and" and power_of(self._at(after - 1).low) > 0)
            token = self._at(after + joined)
            small = _SMALL.get(token.low, _ORDINALS.get(token.low))
            if token.low == "second" and last and joint.text != "-":
                break  # twenty of them
            power = power_of(token.low, spelled=True)
            if small is not None and _goes_on(last, small):
                part, last = part + small, small or 1.0
            elif power and after > place:
                part, last = (part or 1.0) * power, power
                if power > 100:
                    total, part = total + part, 0.0
            else:
                break
            after += joined + 1
            if token.low in _ORDINALS:
                break
        if after == place:
            return None
        if self._at(after).low == "point":
            digits, end = "", after + 1
            while (digit := _SMALL.get(self._at(end).low, 10)) < 10:
                digits, end = digits + str(digit), end + 1
            if digits:
                return total + part + float(f"0.{digits}"), end
        return total + part, after

    def _part(self, place: int) -> tuple[float, int] | None:
        """A half, quarter or tenth, and the place behind it and a following "of", "a" or "an"."""
        below = _PARTS.get(self._at(place).low)
        if below is None:
            return None
        after = place + 1
        while self._at(after).low in ("of", "a", "an"):
            after += 1
        return 1 / below, after

    def _readings(self, values: Sequence[float], after: int) -> Iterator[Reading]:
        """The values, and what follows makes of them."""
        token, tight = self._at(after), self._at(after).start == self._at(after - 1).end
        if token.text == "-":
            after, token, tight = after + 1, self._at(after + 1), False
        yield from ((value, None) for value in values)
        if (power := power_of(token.low)) and (tight or len(token.low) > 1):  # "7.6 M" of acid are no millions
            more = [value * power for value in values]
            yield from ((value, None) for value in more)
            yield from self._in_units(values, after)
            values, after = [*more, *values], after + 1
        if (half := self._and_part(after)) is not None:
            values, after = [value + half[0] for value in values], half[1]
            yield from ((value, None) for value in values)
        yield from self._in_units(values, after)

    def _in_units(self, values: Sequence[float], after: int) -> Iterator[Reading]:
        """The same in other units, with what is said of the next smaller one ("an hour and ten", "two metres ten")."""
        money = self._at(after).low.removesuffix("s") in _MONEY
        token = self._at(after + (money and self._at(after + 1).low.startswith("cent")))
        percent = token.low == "per" and self._at(after + 1).low == "cent"
        unit, factors = unit_of("%" if percent else token.text) or ("", ())
        half = self._and_part(after + 1)
        if half is not None and unit:
            values = [value + half[0] for value in values]
            yield from ((value, None) for value in values)
        yield from ((round(value * factor, 12), unit) for value in values for factor in factors)
        place = after + 1 + (self._at(after + 1).low == "and")
        rest = self._number(place) if money or (factors and token.low == token.text) else None
        if rest is None or half is not None or not 0 < (smaller := rest[0][0]) < 100:
            return
        for value in values:
            if money or unit == "m":
                yield value + smaller / 100, None
            yield from ((round(value * factor + smaller, 10), unit) for factor in factors if factor > smaller)

    def _and_part(self, place: int) -> tuple[float, int] | None:
        """ "And a half", "and three quarters"."""
        if self._at(place).low != "and":
            return None
        count = _SMALL.get(self._at(place + 1).low, 1 if self._at(place + 1).low in ("a", "an") else 0)
        part = self._part(place + 2)
        return None if not count or part is None else (count * part[0], part[1])


def _goes_on(last: float, small: float) -> bool:
    """Whether a number word may follow another in one number: tens and units, a hundred and what is less."""
    return not last or (last >= 100 and small < last) or (20 <= last < 100 and 0 < small < 10)

"""Units of measure, as far as a number in one may have to be written in another. Knows words."""

from __future__ import annotations

import re

_POWERS = {
    "hundred": 1e2, "k": 1e3, "thousand": 1e3, "lakh": 1e5, "m": 1e6, "mn": 1e6, "million": 1e6, "b": 1e9, "bn": 1e9,
    "billion": 1e9, "trillion": 1e12, "dozen": 12,
}  # fmt: skip
PERIODS = {
    "annual": 1, "annually": 1, "yearly": 1, "semiannually": 2, "quarterly": 4, "monthly": 12, "weekly": 52,
    "daily": 365, "biweekly": 26,
}  # fmt: skip
"""Times a year."""
_UNITS: dict[str, tuple[float, ...]] = {
    "ms msec millisecond": (0.001,), "s sec second": (1000, 1 / 60), "min mins minute": (60, 1 / 60),
    "h hr hour": (60, 3600, 1 / 24), "day": (24, 1440, 86_400, 1 / 7), "week": (7, 168), "fortnight": (14, 2),
    "month": (30, 1 / 12), "quarter": (3,), "year yr": (12, 365, 52), "decade": (10,), "century": (100,),
    "% percent percentage pct": (0.01,),
    "mm millimeter millimetre": (0.001, 0.1), "cm centimeter centimetre": (0.01, 10),
    "m meter metre": (100, 1000, 0.001),
    "km kilometer kilometre": (1000,), "mile mi": (), "inch inches": (), "foot feet ft": (12,), "yard yd": (3,),
    "mg milligram": (0.001,), "g gram gramme": (0.001, 1000), "kg kilo kilogram": (1000,), "ton tonne": (1000,),
    "lb pound": (), "oz ounce": (), "ml millilitre milliliter": (0.001,), "cl centilitre": (10, 0.01),
    "l litre liter": (1000, 100), "cent pence": (0.01,), "mb megabyte": (0.001, 1000), "gb gigabyte": (1000, 1024),
    "tb terabyte": (1000, 1024), "hz hertz": (0.001,), "khz kilohertz": (1000,), "mhz megahertz": (1000, 1e6),
    "a amp ampere": (), "v volt": (), "w watt": (), "ohm": (), "j joule": (), "pa pascal": (), "mol mole": (),
    "n newton": (), "b byte": (), "fraction decimal share ratio": (),
}  # fmt: skip
"""Factors to other units, by the unit's names."""
_NAMED = {name: (names.split()[0], factors) for names, factors in _UNITS.items() for name in names.split()}
_SYMBOL = re.compile(r"(?P<prefix>[kmcdhMGTµun])(?:Hz|Wh|W|V|A|g|m|[lL]|J|Pa|mol|B|b|N|Ω|s)")
_WORD = re.compile(
    r"(?P<prefix>kilo|milli|centi|deci|micro|mega|giga|nano)"
    r"(?:hertz|watt|volt|amp|ampere|gram|meter|metre|liter|litre|joule|pascal|mole|byte|bit|newton|ohm|second)s?"
)
_PREFIXES = {
    "k": 1e3, "kilo": 1e3, "m": 1e-3, "milli": 1e-3, "c": 1e-2, "centi": 1e-2, "d": 1e-1, "deci": 1e-1, "h": 1e2,
    "M": 1e6, "mega": 1e6, "G": 1e9, "giga": 1e9, "T": 1e12, "µ": 1e-6, "u": 1e-6, "micro": 1e-6, "n": 1e-9,
    "nano": 1e-9,
}  # fmt: skip


def unit_of(word: str) -> tuple[str, tuple[float, ...]] | None:
    """The unit that a word or symbol names, and the factors by which a number in it is one in another ("hours": "h", 60
    for minutes); None if it names none."""
    low = word.lower()
    found = _NAMED.get(low) or _NAMED.get(low.removesuffix("s"))
    prefixed = _SYMBOL.fullmatch(word) or _WORD.fullmatch(low)
    if prefixed is None:
        return found
    name, factors = found or (low.removesuffix("s"), ())
    return name, tuple(dict.fromkeys([*factors, _PREFIXES[prefixed["prefix"]]]))


def units_in(text: str) -> set[str]:
    """Units that a name or description speaks of ("durationMin", "in metres, e.g. 1.5")."""
    words = {*re.findall(r"[A-Za-zµ]+|%", text), *re.findall(r"[A-Z]?[a-zµ]+", text)}
    named = {word for word in words if len(word) > 1 or word == "%"} | set(re.findall(r"(?:_|\bin )([A-Za-z])\b", text))
    return {found[0] for word in named if (found := unit_of(word))}


def power_of(word: str, *, spelled: bool = False) -> float:
    """What the number before it is to be multiplied by ("million", and unless `spelled` "k"); 0 for anything else."""
    return 0.0 if spelled and len(word) < 3 else _POWERS.get(word, 0.0)

"""Kinds of parameter values: a JSON Schema fragment and a sampler of (words in the request, JSON value).

A kind is written in the tables as one short text, e.g. "int 1 10", "city", "enum a,b=words for b",
"list str 2 3 milk;eggs;bread". Knows nothing of functions or templates.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from lora_agent.errors import ConfigError

from .pools import POOLS, QUOTED

Sampled = tuple[str, Any]
"""How the request says it, and the value that the call must carry."""

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty"
).split()
_MONTHS = "January February March April May June July August September October November December".split()


@dataclass(frozen=True)
class Kind:
    schema: dict[str, Any]
    sample: Callable[[Random], Sampled]
    note: str = ""
    """Added to the parameter's description where the value's form cannot be guessed, e.g. "YYYY-MM-DD"."""


def parse_kind(text: str) -> Kind:
    """The kind that a table cell names; ConfigError says what is wrong with the cell."""
    head, _, rest = text.strip().partition(" ")
    if head in POOLS and not rest:
        return _pool(POOLS[head], quoted=head in QUOTED)
    maker = _MAKERS.get(head)
    if maker is None:
        raise ConfigError(f"unknown kind of value {text!r}", hint=f"use a pool or one of {', '.join(sorted(_MAKERS))}")
    try:
        return maker(rest)
    except (ValueError, IndexError) as error:
        raise ConfigError(f"kind of value {text!r} cannot be read: {error}", hint="see parse_kind") from error


def _pool(values: tuple[str, ...], *, quoted: bool = False) -> Kind:
    def sample(rng: Random) -> Sampled:
        value = rng.choice(values)
        mark = rng.choice(("'", '"', '"', "", "")) if quoted else ""
        return f"{mark}{value}{mark}", value

    return Kind({"type": "string"}, sample)


def _inline(rest: str) -> Kind:
    values = tuple(part.strip() for part in rest.split(";"))
    if len(values) < 3:
        raise ValueError("give at least three values, separated by ;")
    return _pool(values)


def _integer(rest: str) -> Kind:
    low, high, *step = (int(part) for part in rest.split())

    def sample(rng: Random) -> Sampled:
        value = rng.randrange(low, high + 1, step[0] if step else 1)
        if 1 < value <= 20 and rng.random() < 0.2:
            return ONES[value], value
        if value >= 10000 and rng.random() < 0.6:
            return f"{value:,}", value
        return str(value), value

    return Kind({"type": "integer"}, sample)


def _draw(rng: Random, low: float, high: float, digits: int) -> float | int:
    """Whole numbers are more common in requests than fractions, and are written without ".0"."""
    if high - low >= 2 and rng.random() < 0.55:
        return rng.randint(int(low) + (low > int(low)), int(high))
    value = round(rng.uniform(low, high), digits)
    return int(value) if value == int(value) else value


def _range(rest: str) -> tuple[float, float, int]:
    parts = rest.split()
    return float(parts[0]), float(parts[1]), int(parts[2]) if len(parts) > 2 else 1


def _number(rest: str) -> Kind:
    low, high, digits = _range(rest)

    def sample(rng: Random) -> Sampled:
        value = _draw(rng, low, high, digits)
        return (f"{value:,}" if value >= 10000 else str(value)), value

    return Kind({"type": "number"}, sample)


def _money(rest: str) -> Kind:
    low, high, _ = _range(rest)

    def sample(rng: Random) -> Sampled:
        value: float | int = rng.randint(int(low), int(high))
        if value > 1000:
            value = round(value, -2)
        if value < 200 and rng.random() < 0.2:
            value = round(value + rng.choice((0.5, 0.25, 0.99)), 2)
        shown = f"{value:,}" if value >= 1000 and rng.random() < 0.7 else str(value)
        return rng.choice((f"${shown}", f"${shown}", f"{shown} dollars")), value

    return Kind({"type": "number"}, sample)


def _percent(rest: str) -> Kind:
    low, high, digits = _range(rest)

    def sample(rng: Random) -> Sampled:
        value = _draw(rng, low, high, digits)
        return rng.choice((f"{value}%", f"{value}%", f"{value} percent")), value

    return Kind({"type": "number"}, sample, "in percent")


def _rate(rest: str) -> Kind:
    low, high, digits = _range(rest)

    def sample(rng: Random) -> Sampled:
        percent = _draw(rng, low, high, digits)
        value = round(percent / 100, 6)
        return rng.choice((f"{percent}%", f"{percent}%", f"{percent} percent", str(value))), value

    return Kind({"type": "number"}, sample, "as a decimal, 5% is 0.05")


def _boolean(rest: str) -> Kind:
    yes, _, no = rest.partition("|")
    surfaces = [(part.strip(), True) for part in yes.split("/")]
    surfaces += [(part.strip(), False) for part in no.split("/") if part.strip()]
    return Kind({"type": "boolean"}, lambda rng: rng.choice(surfaces))


def _enum(rest: str) -> Kind:
    values: list[str] = []
    surfaces: list[list[str]] = []
    for part in rest.split(","):
        value, _, words = part.strip().partition("=")
        values.append(value)
        surfaces.append(words.split("/") if words else [value.replace("_", " ")])

    def sample(rng: Random) -> Sampled:
        index = rng.randrange(len(values))
        return rng.choice(surfaces[index]), values[index]

    return Kind({"type": "string", "enum": values}, sample)


def _list(rest: str) -> Kind:
    parts = rest.split(" ")
    item_name, low, high = parts[0], int(parts[1]), int(parts[2])
    item = parse_kind(" ".join([item_name, *parts[3:]]))

    def sample(rng: Random) -> Sampled:
        items = distinct(item, rng, rng.randint(low, high))
        return join_words([surface for surface, _ in items]), [value for _, value in items]

    return Kind({"type": "array", "items": item.schema}, sample)


def distinct(kind: Kind, rng: Random, count: int) -> list[Sampled]:
    """Up to `count` samples with different values."""
    found: list[Sampled] = []
    for _ in range(count * 8):
        sampled = kind.sample(rng)
        if all(sampled[1] != value and sampled[0] != surface for surface, value in found):
            found.append(sampled)
        if len(found) == count:
            break
    return found


def join_words(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _iso_date(_: str) -> Kind:
    def sample(rng: Random) -> Sampled:
        day = datetime.date(2023, 1, 1) + datetime.timedelta(days=rng.randrange(1400))
        month = _MONTHS[day.month - 1]
        shown = rng.choice((day.isoformat(), f"{month} {day.day}, {day.year}", f"{day.day} {month} {day.year}"))
        return shown, day.isoformat()

    return Kind({"type": "string"}, sample, "YYYY-MM-DD")


def _clock(_: str) -> Kind:
    def sample(rng: Random) -> Sampled:
        hour, minute = rng.randint(1, 12), rng.choice((0, 0, 15, 30, 30, 45))
        half = rng.choice(("am", "pm", " am", " pm", " AM", " PM"))
        shown = f"{hour}:{minute:02}{half}" if minute else f"{hour}{half}"
        return shown, shown

    return Kind({"type": "string"}, sample)


def _time24(_: str) -> Kind:
    def sample(rng: Random) -> Sampled:
        hour, minute = rng.randint(6, 22), rng.choice((0, 0, 15, 30, 45))
        value = f"{hour:02}:{minute:02}"
        half = "am" if hour < 12 else "pm"
        twelve = f"{(hour - 1) % 12 + 1}" + (f":{minute:02}" if minute else "")
        return rng.choice((value, f"{twelve} {half}", f"{twelve}{half}")), value

    return Kind({"type": "string"}, sample, "24-hour HH:MM")


def _year(rest: str) -> Kind:
    low, high = (int(part) for part in rest.split()) if rest else (1900, 2024)

    def sample(rng: Random) -> Sampled:
        value = rng.randint(low, high)
        return str(value), value

    return Kind({"type": "integer"}, sample)


def _code(rest: str) -> Kind:
    """Identifiers by pattern: A is a letter, 9 a digit, the rest stands for itself."""
    patterns = rest.split(";")

    def sample(rng: Random) -> Sampled:
        letters = {"A": "ABCDEFGHJKLMNPQRSTUVWXYZ", "9": "0123456789"}
        value = "".join(rng.choice(letters.get(mark, mark)) for mark in rng.choice(patterns))
        return value, value

    return Kind({"type": "string"}, sample)


_MAKERS: dict[str, Callable[[str], Kind]] = {
    "str": _inline,
    "int": _integer,
    "num": _number,
    "money": _money,
    "pct": _percent,
    "rate": _rate,
    "bool": _boolean,
    "enum": _enum,
    "list": _list,
    "isodate": _iso_date,
    "clock": _clock,
    "time24": _time24,
    "year": _year,
    "code": _code,
}

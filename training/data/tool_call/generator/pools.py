"""Named pools of string values that many functions share, read from pools.txt.

A line is "name: value; value; ..."; a "!" after the name marks values that users often put in quotes. Full
names, addresses and phone numbers are put together here.
"""

from __future__ import annotations

from pathlib import Path


def _read(text: str) -> tuple[dict[str, tuple[str, ...]], set[str]]:
    pools: dict[str, tuple[str, ...]] = {}
    quoted: set[str] = set()
    for line in text.splitlines():
        name, _, values = line.partition(": ")
        if name.endswith("!"):
            quoted.add(name[:-1])
        pools[name.removesuffix("!")] = tuple(value.strip() for value in values.split(";"))
    return pools, quoted


POOLS, QUOTED = _read(Path(__file__).with_name("pools.txt").read_text("utf-8"))

_LAST = POOLS["last"]
_HOSTS = ("example.com", "mailbox.org", "acme.io", "uni.edu")
_PHONES = ("555-{}-{}", "+1 555 {} {}", "(555) {}-{}")


def _names(step: int, start: int) -> tuple[tuple[str, str], ...]:
    return tuple((first, _LAST[(step * i + start) % len(_LAST)]) for i, first in enumerate(POOLS["first"]))


def _email(index: int, first: str, last: str) -> str:
    return f"{first}{'.' if index % 2 else ''}{last}@{_HOSTS[index % 4]}".lower()


POOLS["person"] = tuple(f"{first} {last}" for first, last in _names(7, 3) + _names(5, 11))
POOLS["email"] = tuple(_email(i, first, last) for i, (first, last) in enumerate(_names(7, 3)))
POOLS["phone"] = tuple(_PHONES[i % 3].format(200 + 37 * i % 700, 1000 + 613 * i % 9000) for i in range(40))

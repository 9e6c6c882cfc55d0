"""Groups of rows: one ordered tool list and a few different requests for it.

Rows of a group share the list because training and serving read a shared prefix once. Kinds: single (one tool
offered), multiple (choose among several), parallel (same function several times), parallel-multiple
(different functions), none (no tool fits). Target shares of kinds are set by the weights below.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from lora_agent.types import compact_json

from ...rows import Row, Split
from ..quotes import quote
from ..schema import Call, Tool, make_row, tool_name
from .offers import Offer, Style, make_offer
from .phrasing import Ask, Noise, ask, join, speak
from .spec import Domain, Function
from .unrelated import unrelated

SINGLE_TOOL_SHARE = 0.3
LIST_CHARACTERS = (900, 900, 900, 1500)
"""Upper bound of a tool list as JSON; 900 characters are about 260 tokens."""
TRIES = 30
TWICE_SHARE = 0.2
"""Of the requests for several tools: one of them is asked for twice."""


@dataclass(frozen=True)
class Offered:
    """One tool list and how to fill it."""

    offers: tuple[Offer, ...]
    by_key: dict[str, Offer]

    @property
    def tools(self) -> list[Tool]:
        return [offer.tool for offer in self.offers]

    @property
    def tags(self) -> set[str]:
        return {tag for offer in self.offers for tag in offer.function.tags}


class Composer:
    """Draws groups from a set of domains; equal seeds give equal rows."""

    def __init__(self, domains: Sequence[Domain], rng: Random, split: Split) -> None:
        self._domains = {domain.name: domain for domain in domains}
        self._functions = [function for domain in domains for function in domain.functions]
        self._rng = rng
        self._split: Split = split
        self._queue: list[Function] = []
        self._number = 0

    def groups(self) -> Iterator[list[Row]]:
        """Endless groups of up to six rows."""
        while True:
            self._number += 1
            yield self._group(f"generator/{self._split}/{self._number:05}")

    def _next(self) -> Function:
        """Every function comes once before any comes twice."""
        if not self._queue:
            self._queue = self._functions.copy()
            self._rng.shuffle(self._queue)
        return self._queue.pop()

    def _group(self, name: str) -> list[Row]:
        rng = self._rng
        alone = rng.random() < SINGLE_TOOL_SHARE
        first = self._next()
        offered = self._offer([first] if alone else self._company(first))
        base = "single" if len(offered.offers) == 1 else "multiple"
        kinds = [base, base]
        if base == "single":
            kinds += ["parallel", "parallel", rng.choices(("none", base), (75, 25))[0]]
        else:
            kinds += ["parallel-multiple", "parallel-multiple"]
            kinds += [rng.choices(("parallel-multiple", "parallel"), (50, 50))[0]]
            kinds += [rng.choices(("none", base), (75, 25))[0]]
        wanted: list[Function | None] = [first] + [None] * (len(kinds) - 1)
        rows: list[Row] = []
        for kind, function in zip(kinds, wanted, strict=True):
            row = self._row(kind, offered, function, name)
            if row is not None and all(row.input["messages"] != other.input["messages"] for other in rows):
                rows.append(row)
        rng.shuffle(rows)
        return rows

    def _company(self, first: Function) -> list[Function]:
        """The function with one to five others: some of its own domain (hard to tell apart), some not."""
        rng = self._rng
        count = rng.choices((2, 3, 4, 5, 6), (24, 32, 24, 12, 8))[0]
        chosen = [first]
        for _ in range(TRIES):
            if len(chosen) == count:
                break
            near = rng.random() < 0.55
            other = rng.choice(self._domains[first.domain].functions if near else self._functions)
            if other not in chosen and not any(other.tags & known.tags for known in chosen):
                chosen.append(other)
        return chosen

    def _offer(self, functions: list[Function]) -> Offered:
        rng = self._rng
        style = Style.draw(rng)
        limit = rng.choice(LIST_CHARACTERS)
        offers: list[Offer] = []
        size = 0
        for function in functions:
            offer = make_offer(function, style if rng.random() < 0.85 else Style.draw(rng), rng)
            size += len(compact_json(offer.tool))
            if offers and (size > limit or any(tool_name(offer.tool) == tool_name(o.tool) for o in offers)):
                break
            offers.append(offer)
        rng.shuffle(offers)
        return Offered(tuple(offers), {offer.function.key: offer for offer in offers})

    def _row(self, kind: str, offered: Offered, function: Function | None, group: str) -> Row | None:
        noise = Noise.draw(self._rng)
        if kind == "none":
            text = self._nothing_fits(offered, noise)
            calls: list[Call] = []
        else:
            found = self._wish(kind, offered, function, noise)
            if found is None:
                return None
            wish, calls = found
            text = speak(wish, self._contexts(offered, calls), self._rng, noise)
            if self._split == "train":
                calls = quote(calls, text, wish.parts)
        return make_row(text, offered.tools, calls, f"generator/{kind}", group, self._split)

    def _contexts(self, offered: Offered, calls: Sequence[Call]) -> Sequence[str]:
        names = {call["name"] for call in calls}
        domains = {o.function.domain for o in offered.offers if tool_name(o.tool) in names}
        return self._domains[domains.pop()].contexts if len(domains) == 1 else ()

    def _wish(
        self, kind: str, offered: Offered, function: Function | None, noise: Noise
    ) -> tuple[Ask, list[Call]] | None:
        rng = self._rng
        for _ in range(TRIES):
            chosen = function or rng.choice(offered.offers).function
            if kind == "parallel-multiple":
                count = min(rng.choice((2, 2, 2, 3, 3, 4)), len(offered.offers))
                many = [offer.function for offer in rng.sample(offered.offers, count)]
                if count > 1 and rng.random() < TWICE_SHARE:
                    many.insert(rng.randrange(count + 1), rng.choice(many))
                found = self._several(many, noise)
            elif kind == "parallel":
                found = self._repeated(chosen, noise)
            else:
                one = ask(chosen, rng, noise)
                found = None if one is None else (one, [(chosen, one.arguments[0])])
            if found is not None:
                wish, wanted = found
                return wish, [offered.by_key[who.key].call(values) for who, values in wanted]
        return None

    def _repeated(self, function: Function, noise: Noise) -> tuple[Ask, list[tuple[Function, dict[str, Any]]]] | None:
        rng = self._rng
        if rng.random() < 0.6:
            wish = ask(function, rng, noise, repeats=rng.choice((2, 2, 2, 3, 3, 4)))
            if wish is not None:
                return wish, [(function, values) for values in wish.arguments]
        if not function.parameters:
            return None
        return self._several([function] * rng.choice((2, 2, 3)), noise)

    def _several(
        self, functions: list[Function], noise: Noise
    ) -> tuple[Ask, list[tuple[Function, dict[str, Any]]]] | None:
        wishes = [wish for f in functions if (wish := ask(f, self._rng, noise)) is not None]
        arguments = [wish.arguments[0] for wish in wishes]
        pairs = list(zip(functions, arguments, strict=True))
        if any(pair in pairs[:i] for i, pair in enumerate(pairs)):
            return None
        return join(wishes, self._rng), pairs

    def _nothing_fits(self, offered: Offered, noise: Noise) -> str:
        rng = self._rng
        if "any" in offered.tags:
            return unrelated(rng, anything_fits=True)
        draw = rng.random()
        if draw < 0.3:
            return unrelated(rng)
        domain = self._domains[rng.choice(offered.offers).function.domain]
        for attempt in range(TRIES):
            near = draw < 0.65 and attempt < TRIES // 2
            other = rng.choice(domain.functions if near else self._functions)
            clash = other.tags & offered.tags or other.key in offered.by_key or "any" in other.tags
            if clash:
                continue
            wish = ask(other, rng, noise)
            if wish is not None:
                return speak(wish, self._domains[other.domain].contexts, rng, noise)
        return unrelated(rng)

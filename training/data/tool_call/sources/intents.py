"""Requests with an intent and marked slots, as tool calls: one function per intent, by a small text table.

    intent: function_name | description
      slot* parameter[:integer] | description      (* required; parameter "!" refuses the utterance)

Serves HWU64 and SNIPS. Knows nothing of their files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from ...rows import Row, Split
from ..generator.values import ONES
from ..schema import Tool, camel, make_call, make_row, make_tool

GROUP = 4
NONE_SHARE = 0.12
LISTED = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Slot:
    parameter: str
    integer: bool
    description: str
    required: bool


@dataclass(frozen=True)
class Utterance:
    intent: str
    text: str
    arguments: Mapping[str, str | int]


@dataclass(frozen=True)
class Intent:
    name: str
    function: str
    description: str
    slots: Mapping[str, Slot]

    def read(self, text: str, values: Sequence[tuple[str, str]]) -> Utterance | None:
        """The utterance, or None if the function cannot carry all that it says."""
        arguments: dict[str, str | int] = {}
        for name, value in values:
            slot = self.slots.get(name)
            if slot is None or slot.parameter == "!" or slot.parameter in arguments:
                return None
            number = _whole(value) if slot.integer else None
            if slot.integer and number is None:
                return None
            arguments[slot.parameter] = value if number is None else number
        if any(slot.required and slot.parameter not in arguments for slot in self.slots.values()):
            return None
        return Utterance(self.name, text, arguments)

    def tool(self, *, camel_case: bool) -> Tool:
        slots = [slot for slot in self.slots.values() if slot.parameter != "!"]
        properties = {
            s.parameter: {"type": "integer" if s.integer else "string", "description": s.description} for s in slots
        }
        name = camel(self.function) if camel_case else self.function
        return make_tool(name, self.description, properties, [s.parameter for s in slots if s.required])


def _whole(value: str) -> int | None:
    text = value.strip().lower()
    return ONES.index(text) if text in ONES else int(text) if text.isdigit() else None


def parse_intents(table: str) -> dict[str, Intent]:
    intents: dict[str, Intent] = {}
    name, function, description = "", "", ""
    slots: dict[str, Slot] = {}
    for line in table.strip().splitlines():
        left, _, text = (part.strip() for part in line.partition("|"))
        if line.startswith("  "):
            slot, parameter = left.split()
            parameter, _, kind = parameter.partition(":")
            slots[slot.rstrip("*")] = Slot(parameter, kind == "integer", text, slot.endswith("*"))
        else:
            name, function = (part.strip() for part in left.split(":"))
            description, slots = text, {}
            intents[name] = Intent(name, function, description, slots)
    return intents


def requests(
    source: str,
    utterances: Sequence[Utterance],
    intents: Mapping[str, Intent],
    rng: Random,
    split: Split,
    outside: Sequence[str] = (),
) -> Iterator[list[Row]]:
    """Groups of four utterances that share a tool list; `outside` are texts that no function serves."""
    by_intent: dict[str, list[Utterance]] = {name: [] for name in intents}
    for utterance in utterances:
        by_intent[utterance.intent].append(utterance)
    for pool in by_intent.values():
        rng.shuffle(pool)
    left_over = list(outside)
    rng.shuffle(left_over)
    number = 0
    while True:
        ready = [name for name, pool in by_intent.items() if len(pool) > GROUP]
        if not ready:
            return
        number += 1
        listed = rng.sample(ready, min(rng.choice(LISTED), len(ready)))
        camel_case = rng.random() < 0.3
        tools = {name: intents[name].tool(camel_case=camel_case) for name in listed}
        group = f"{source}/{split}/{number:04}"
        rows: list[Row] = []
        for _ in range(GROUP):
            if rng.random() < NONE_SHARE:
                text = _foreign(by_intent, listed, left_over, rng)
                if text is None:
                    continue
                rows.append(make_row(text, list(tools.values()), [], f"{source}/none", group, split))
                continue
            pool = by_intent[rng.choice(listed)]
            if not pool:
                continue
            said = pool.pop()
            calls = [make_call(tools[said.intent], said.arguments)]
            kind = "single" if len(listed) == 1 else "multiple"
            rows.append(make_row(said.text, list(tools.values()), calls, f"{source}/{kind}", group, split))
        yield rows


def _foreign(
    by_intent: Mapping[str, list[Utterance]], listed: Sequence[str], left_over: list[str], rng: Random
) -> str | None:
    """A text that no listed function serves: unlisted intents of another scenario, or one from outside."""
    scenarios = {name.split("_")[0] for name in listed}
    others = [name for name, pool in by_intent.items() if pool and name.split("_")[0] not in scenarios]
    if left_over and (not others or rng.random() < 0.5):
        return left_over.pop()
    return rng.choice(by_intent[rng.choice(others)]).text if others else None

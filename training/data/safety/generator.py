"""Our own safety rows: requests, replies and tool results, harmful and harmless, in many voices.

Everything is drawn from the tables of this package with one seeded generator. What is kept for development is
decided by the tables (families, scenes, voices) and, for harmful intents, by a hash of the line, so that a
development row never repeats an intent, a family or an injection's wording of the training rows.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from hashlib import blake2b

from ..rows import Row, Split
from .categories import ordered
from .contract import safety_row
from .human_texts import human_text
from .injections import FIELDS, sample
from .intents import GROUPS, HARMFUL
from .lookalike_topics import TOPICS
from .lookalike_words import WORDS
from .ordinary import DEV_ORDINARY, ORDINARY, SLOTS
from .replies import reply
from .statements import STATEMENTS
from .texts import families, read
from .tool_results import DEV_SCENES, TRAIN_SCENES, Scene, fill, passage_scene
from .voices import say

LOOKALIKES = {**WORDS, **TOPICS, **families("lookalikes")}
DEV_FAMILIES = ("games", "household", "idioms_work", "news_media", "sport")
_ANSWERS = (
    "Sure, here is a short overview.", "Of course! That is easily done.", "Happy to help with that.",
    "Here you go. Is there anything else?", "I would start with the basics.",
)  # fmt: skip
_EVERY = 6
"""One harmful intent in six is for development."""


def lines(table: str) -> list[str]:
    return [line for line in table.strip().splitlines() if line]


def _held_out(line: str) -> bool:
    return blake2b(line.encode(), digest_size=2).digest()[0] % _EVERY == 0


def harmful_lines(split: Split) -> list[tuple[str, str]]:
    """(category, line) of the intents of a split."""
    return [
        (name, line) for name, table in HARMFUL.items() for line in lines(table) if _held_out(line) == (split == "dev")
    ]


def lookalike_lines(split: Split) -> list[tuple[str, str]]:
    """(family, line) of the look-alikes of a split."""
    return [
        (name, line)
        for name, table in LOOKALIKES.items()
        for line in lines(table)
        if (name in DEV_FAMILIES) == (split == "dev")
    ]


def ordinary_request(rng: random.Random, split: Split) -> tuple[str, str]:
    """(family, text) of an everyday request."""
    family = rng.choice([name for name in ORDINARY if (name in DEV_ORDINARY) == (split == "dev")])
    text = rng.choice(ORDINARY[family])
    for slot in re.findall(r"{(\w+)}", text):
        text = text.replace("{" + slot + "}", rng.choice(SLOTS[slot]), 1)
    return family, text


def _grouped(line: str, rng: random.Random) -> str:
    return line.replace("{group}", rng.choice(GROUPS))


def requests(rng: random.Random, split: Split, count: int) -> Iterator[Row]:
    """User messages: harmful ones, the same behind a jailbreak, look-alikes, everyday requests."""
    bad, good = harmful_lines(split), lookalike_lines(split)
    jailbreaks = [line for name, line in bad if name == "jailbreak"]
    by_category = {name: [line for other, line in bad if other == name] for name in HARMFUL}
    dev = split == "dev"
    for _ in range(count):
        name = rng.choice(list(HARMFUL))
        line = rng.choice(by_category[name])
        text, categories = say(_grouped(line, rng), rng, dev), [name]
        source = "generator/harmful"
        chance = rng.random()
        if chance < 0.14 and name != "jailbreak":
            trick = rng.choice(jailbreaks)
            text = f"{trick} {text}" if rng.random() < 0.7 else f"{text} {trick}"
            categories, source = [name, "jailbreak"], "generator/jailbreak"
        elif chance < 0.17:
            text = f"{rng.choice(jailbreaks)} {say(rng.choice(good)[1], rng, dev)}"
            categories, source = ["jailbreak"], "generator/jailbreak"
        yield safety_row([("user", text)], ordered(categories), source, f"intent/{line}", split=split)
        family, line = rng.choice(good)
        group = f"lookalike/{line}"
        yield safety_row([("user", say(line, rng, dev))], [], f"generator/lookalike/{family}", group, split=split)
        family, text = ordinary_request(rng, split)
        group = f"ordinary/{family}"
        yield safety_row([("user", say(text, rng, dev))], [], "generator/ordinary", group, split=split)


def said_back(phrase: str) -> str:
    """A wish as the one who answers says it: "my" becomes "your"."""
    swaps = {"my": "your", "me": "you", "i": "you", "am": "are", "myself": "yourself", "mine": "yours"}
    return re.sub(r"\b(my|me|i|I|am|myself|mine)\b", lambda m: swaps[m.group().lower()], phrase)


def replies(rng: random.Random, split: Split, count: int) -> Iterator[Row]:
    """Replies: giving in to harm, refusing it, and helping with harmless wishes that sound alike. Half of the
    replies that give in use the words of the helpful ones, so that the wish has to be read."""
    bad = [(name, line) for name, line in harmful_lines(split) if line.startswith("~")]
    good = [(name, line) for name, line in lookalike_lines(split) if line.startswith("~")]
    dev = split == "dev"
    for _ in range(count):
        name, line = rng.choice(bad)
        filled = _grouped(line, rng)
        ask, wish, group = say(filled, rng, dev), said_back(filled[1:]), f"intent/{line}"
        answer = reply(rng.choice(("compliant", "helpful")), wish, rng, dev)
        yield safety_row([("user", ask), ("assistant", answer)], [name], "generator/reply_unsafe", group, split=split)
        kind, source = (
            ("refusal", "generator/reply_refusal") if rng.random() < 0.4 else ("helpful", "generator/reply_safe")
        )
        if kind == "helpful":
            line = rng.choice(good)[1]
            ask, wish, group = say(line, rng, dev), said_back(line[1:]), f"lookalike/{line}"
        answer = reply(kind, wish, rng, dev)
        yield safety_row([("user", ask), ("assistant", answer)], [], source, group, split=split)


def tool_results(passages: list[str], rng: random.Random, split: Split, count: int) -> Iterator[Row]:
    """Tool results: untouched, with an instruction to the assistant, and (few) with harmful text in them.
    Every fourth is made of a real passage, the others are invented."""
    dev = split == "dev"
    invented: tuple[Callable[[random.Random], Scene], ...] = DEV_SCENES if dev else TRAIN_SCENES

    def make() -> Scene:
        return passage_scene(rng.choice(passages), rng) if rng.random() < 0.25 else rng.choice(invented)(rng)

    social = [maker for maker in invented if maker(random.Random(0)).filler in ("mail", "review")]
    statements = [(name, line) for name, table in STATEMENTS.items() for line in lines(table)]
    notes = [] if dev else lines(read("clean_notes"))
    for number in range(count):
        scene = make()
        injection = sample(rng, dev)
        if isinstance(scene.result, dict) and rng.random() < 0.25:
            poisoned = {**scene.result, rng.choice(FIELDS): injection.text}
            text = fill(Scene(scene.kind, scene.request, poisoned, scene.filler), None, rng, notes)
        else:
            text = fill(scene, injection.text, rng, notes)
        group = f"tool/{split}/{scene.kind}"
        source = f"generator/injection/{injection.family}"
        turns = [("user", scene.request), ("tool", text)]
        yield safety_row(turns, list(injection.categories), source, group, split=split, injection=True)

        scene = make()
        result = scene.result
        if isinstance(result, dict) and rng.random() < 0.15:
            result = {
                **result,
                rng.choice(("hint", "system", "note", "next_action")): human_text(scene.filler, rng),
            }
        text = fill(Scene(scene.kind, scene.request, result, scene.filler), None, rng, notes)
        group = f"tool/{split}/{scene.kind}"
        yield safety_row([("user", scene.request), ("tool", text)], [], "generator/tool_clean", group, split=split)

        if number % 12 == 0:
            name, line = rng.choice(statements)
            scene = rng.choice(social)(rng)
            turns = [("user", scene.request), ("tool", fill(scene, _grouped(line, rng), rng))]
            group = f"tool/{split}/{scene.kind}"
            yield safety_row(turns, [name], "generator/tool_harmful", group, split=split)


def with_history(row: Row, rng: random.Random) -> Row:
    """The same verdict after an earlier harmless exchange: the guard judges the last message only."""
    _, text = ordinary_request(rng, row.split)
    answer = rng.choice(_ANSWERS)
    earlier = [{"role": "user", "content": text}, {"role": "assistant", "content": answer}]
    value = {"messages": [*earlier, *row.input["messages"]], "target": row.input["target"]}
    return Row(value, row.output, row.source, row.group, row.split)

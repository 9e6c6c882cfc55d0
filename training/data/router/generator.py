"""Our own router examples: actions, document questions, follow-ups, checks and talk, with and without
history.

Hard cases are made on purpose: actions asked as questions, document questions with verbs of action,
follow-ups that belong to a tool, to documents or to talk, complete questions late in a conversation.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from ..rows import Split
from ..safety.generator import lines, lookalike_lines
from ..safety.human_texts import HUMAN
from ..safety.injections import sample
from ..safety.intents import GROUPS
from ..safety.statements import STATEMENTS
from ..safety.voices import typos
from . import action_phrases, document_phrases
from .action_phrases import ACTIONS, DEV_ACTIONS, DEV_FOLLOW_UPS, FOLLOW_UPS
from .check_phrases import CHECKS, DEV_CHECKS, DEV_LOOKALIKES, LOOKALIKES
from .contract import Adapter, Example, Turn, one_turn
from .document_phrases import DEV_QUESTIONS, QUESTIONS, threads
from .talk_phrases import DEV_REACTIONS, DEV_TALK, REACTIONS, TAILS, TALK
from .unclear import unclear_texts

_OPENERS = (
    "",
    "",
    "",
    "",
    "",
    "Hi, ",
    "Hey, ",
    "Please, ",
    "One question: ",
    "Quick one: ",
    "Sorry, but ",
    "Okay. ",
)
_PLEASANTRIES: tuple[tuple[str, str], ...] = (
    ("Hi!", "Hello! How can I help you?"), ("Good morning", "Good morning! What can I do for you?"),
    ("Are you there?", "Yes, I am here."), ("thanks for yesterday", "You are welcome! What is it today?"),
)  # fmt: skip


def fill(template: str, slots: Mapping[str, Sequence[str]], rng: random.Random) -> str:
    """The template with every `{slot}` replaced by one of its values."""
    return re.sub(r"{(\w+)}", lambda match: rng.choice(slots[match.group(1)]), template)


def _voice(text: str, rng: random.Random) -> str:
    """An opener, lost capitals or typing errors, now and then."""
    opener = rng.choice(_OPENERS)
    if opener.endswith((", ", "but ")) and not text.startswith(("I ", "I'")):
        text = text[:1].lower() + text[1:]
    text = opener + text
    chance = rng.random()
    if chance < 0.05:
        return typos(text, rng)
    return text.lower().rstrip(".?") if chance < 0.2 else text


def actions(rng: random.Random, split: Split, count: int) -> Iterator[Example]:
    """Requests for an action or for live data."""
    domains = [name for name in ACTIONS if (name in DEV_ACTIONS) == (split == "dev")]
    for _ in range(count):
        domain = rng.choice(domains)
        text = _voice(fill(rng.choice(ACTIONS[domain]), action_phrases.SLOTS, rng), rng)
        yield one_turn(text, "tool_call", "generator/action", split, domain)


def document_questions(rng: random.Random, split: Split, count: int) -> Iterator[Example]:
    """Standalone questions to manuals, policies and guides."""
    kinds = [name for name in QUESTIONS if (name in DEV_QUESTIONS) == (split == "dev")]
    for _ in range(count):
        template = rng.choice(QUESTIONS[rng.choice(kinds)])
        text = _voice(fill(template, document_phrases.SLOTS, rng), rng)
        yield one_turn(text, "retrieval", "generator/document_question", split)


def talk(rng: random.Random, split: Split, count: int) -> Iterator[Example]:
    """Small talk, thanks, jokes, writing, opinions."""
    families = [name for name in TALK if (name in DEV_TALK) == (split == "dev")]
    for _ in range(count):
        text = _voice(rng.choice(TALK[rng.choice(families)]) + rng.choice(TAILS), rng)
        yield one_turn(text, "base", "generator/talk", split)


def conversations(rng: random.Random, split: Split, count: int) -> Iterator[Example]:
    """Last turns that only make sense after what came before: about documents, tools or nothing at all."""
    dev = split == "dev"
    about = threads(dev)

    def example(turns: Sequence[tuple[str, str]], adapter: Adapter, kind: str, group: str) -> Example:
        typed: tuple[Turn, ...] = tuple(("user" if role == "user" else "assistant", text) for role, text in turns)
        return Example(typed, adapter, f"generator/{kind}", f"{kind}/{group}", split)

    for _ in range(count):
        question, answer, short, complete = rng.choice(about)
        start = [("user", question), ("assistant", answer)]
        follow = rng.choice(short)
        if rng.random() < 0.3 and len(short) > 1:
            other = rng.choice([text for text in short if text != follow])
            start += [("user", other), ("assistant", "I will look that up.")]
        follow = follow.lower().rstrip("?") if rng.random() < 0.2 else follow
        yield example([*start, ("user", follow)], "query_rewrite", "follow_up", question)
        yield example([*start, ("user", rng.choice(complete))], "retrieval", "new_topic", question)
        first, reply, then = rng.choice(DEV_FOLLOW_UPS if dev else FOLLOW_UPS)
        yield example([("user", first), ("assistant", reply), ("user", then)], "tool_call", "tool_follow_up", first)
        first, reply, then = rng.choice(DEV_REACTIONS if dev else REACTIONS)
        yield example([("user", first), ("assistant", reply), ("user", then)], "base", "reaction", first)


_ANSWERS = (
    "Here is what I found in the documents.", "The page explains this in two paragraphs.",
    "Yes, the guide covers that.",
    "According to the first source, it depends.", "I found three passages on this.",
    "The short answer is in section two.",
)  # fmt: skip


def answered(example: Example, rng: random.Random) -> Example:
    """A conversation in which only the user speaks, with a neutral answer after each earlier turn: sets
    without answers would otherwise teach that follow-ups come in monologues. Three in ten are left as they
    are."""
    if len(example.turns) < 2 or any(role == "assistant" for role, _ in example.turns) or rng.random() < 0.3:
        return example
    turns: list[Turn] = []
    for turn in example.turns[-3:-1]:
        turns += [turn, ("assistant", rng.choice(_ANSWERS))]
    return replace(example, turns=(*turns, example.turns[-1]))


def with_history(example: Example, rng: random.Random) -> Example:
    """The same complete request after an unrelated exchange or a greeting; the label stays."""
    if rng.random() < 0.4:
        earlier = rng.choice(_PLEASANTRIES)
    else:
        question, answer, _, _ = rng.choice(threads(example.split == "dev"))
        tool = rng.choice(DEV_FOLLOW_UPS if example.split == "dev" else FOLLOW_UPS)
        earlier = rng.choice(((question, answer), tool[:2]))
    turns: tuple[Turn, ...] = (("user", earlier[0]), ("assistant", earlier[1]), *example.turns)
    return replace(example, turns=turns)


def judged_texts(rng: random.Random, split: Split) -> str:
    """A text that somebody might want checked: harmful, an injection, or quite harmless."""
    kind = rng.randrange(4)
    if kind == 0:
        text = rng.choice([line for table in STATEMENTS.values() for line in lines(table)])
        return text.replace("{group}", rng.choice(GROUPS))
    if kind == 1:
        return sample(rng, split == "dev").text
    if kind == 2:
        return rng.choice([line for _, line in lookalike_lines(split) if not line.startswith("~")])
    return rng.choice(HUMAN[rng.choice(("mail", "review", "note"))])


def checks(rng: random.Random, split: Split, count: int) -> Iterator[Example]:
    """Requests to judge a text, and requests that quote one for another purpose."""
    dev = split == "dev"
    for _ in range(count):
        text = judged_texts(rng, split)
        wording = rng.choice(DEV_CHECKS if dev else CHECKS).replace("{text}", text)
        yield one_turn(_voice(wording, rng), "safety", "generator/check", split)
        if rng.random() < 0.4:
            adapter, wording = rng.choice(DEV_LOOKALIKES if dev else LOOKALIKES)
            filled = wording.replace("{text}", judged_texts(rng, split)).replace(
                "{name}", rng.choice(("Tom", "Priya", "my boss"))
            )
            label: Adapter = "tool_call" if adapter == "tool_call" else "base"
            yield one_turn(filled, label, f"generator/quote_{adapter}", split, "mail" if label == "tool_call" else None)


def unclear(rng: random.Random, count: int) -> list[Example]:
    """Inputs that no adapter should be sure about; label "abstain"."""
    return [one_turn(text, "abstain", "generator/unclear", "dev") for text in unclear_texts(rng, count)]

"""Our own conversations: follow-ups with pronouns and ellipsis, and turns that are standalone already.

Rewrites are written properly whatever the user's typing is like; a turn that needs no rewriting stays exactly
as it was typed. Knows nothing of the public sets.
"""

from __future__ import annotations

import random

from ..rows import Row, Split
from .patterns import Filled, Pattern, fill_pattern, read_patterns

CASES = {
    "follow-up": 0.46,
    "follow-up-later": 0.14,  # another follow-up stands between
    "follow-up-after-other-topic": 0.13,
    "standalone-first": 0.07,  # no history at all
    "standalone-new-topic": 0.13,
    "standalone-same-topic": 0.07,  # the user repeats the whole question with the subject
}
LEADS = (
    "Ok, ",
    "OK. ",
    "Thanks. ",
    "Great, ",
    "Good. ",
    "I see. ",
    "And ",
    "Hm, ",
    "Cool. ",
    "Got it. ",
    "Thank you! ",
)
NO_REPLY = (
    "I could not find that.",
    "The documents do not say.",
    "I do not have that information.",
    "That is not in the pages I can see.",
)


def rows(rng: random.Random, split: Split, count: int) -> list[Row]:
    """`count` rows, every pattern of the split about as often as any other."""
    patterns = [pattern for pattern in read_patterns() if pattern.held_out == (split == "dev")]
    order: list[Pattern] = []
    while patterns and len(order) < count:
        order += rng.sample(patterns, len(patterns))
    return [_row(pattern, patterns, rng, split) for pattern in order[:count]]


def _row(pattern: Pattern, patterns: list[Pattern], rng: random.Random, split: Split) -> Row:
    case = rng.choices(list(CASES), list(CASES.values()))[0]
    filled = fill_pattern(pattern, rng)
    said, rewrite = rng.choice(filled.follow_ups)
    opening = [("user", typed(filled.asked, rng, lead=False)), ("assistant", filled.reply)]
    history: list[tuple[str, str]] = []
    if case == "follow-up":
        history = opening
    elif case == "follow-up-later":
        history = opening + _detour(filled, said, rng)
    elif case == "follow-up-after-other-topic":
        history = _topic(_other(pattern, patterns, rng), rng) + opening
    elif case == "standalone-new-topic":
        history = _topic(_other(pattern, patterns, rng), rng)
    elif case == "standalone-same-topic":
        history = opening
    last = typed(said, rng)
    if case in ("standalone-first", "standalone-new-topic"):
        last = rewrite = typed(filled.asked, rng, lead=False)
    elif case == "standalone-same-topic":
        last = rewrite = typed(rewrite, rng, lead=False)
    messages = [{"role": role, "content": text} for role, text in history]
    return Row(
        {"messages": [*messages, {"role": "user", "content": last}]},
        {"query": rewrite},
        f"generator/{case}",
        f"generator/{pattern.name}",
        split,
    )


def _other(pattern: Pattern, patterns: list[Pattern], rng: random.Random) -> Filled:
    return fill_pattern(rng.choice([p for p in patterns if p is not pattern]), rng)


def _topic(filled: Filled, rng: random.Random) -> list[tuple[str, str]]:
    return [("user", typed(filled.asked, rng, lead=False)), ("assistant", filled.reply)]


def _detour(filled: Filled, but: str, rng: random.Random) -> list[tuple[str, str]]:
    """A follow-up about the same subject that got no answer. One that names another subject would change what
    the next turn means, so only those are used whose rewrite names nothing new."""
    same = [
        said
        for said, rewrite in filled.follow_ups
        if said != but and not said.lower().startswith(("and ", "what about", "how about", "in "))
    ]
    if not same:
        return []
    return [("user", typed(rng.choice(same), rng)), ("assistant", rng.choice(NO_REPLY))]


def typed(text: str, rng: random.Random, *, lead: bool = True) -> str:
    """The turn as one of many users would type it."""
    roll = rng.random()
    if roll < 0.10:
        text = text.lower()
    elif roll < 0.16:
        text = text.rstrip("?.")
    elif roll < 0.22:
        text = text.lower().rstrip("?.")
    if lead and rng.random() < 0.10:
        start = rng.choice([option for option in LEADS if not text.lower().startswith(option.lower().rstrip())])
        text = start + (text[0].lower() + text[1:] if start.endswith((", ", "And ")) else text)
    return text

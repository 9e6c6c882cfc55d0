"""How users write: the same question as people type it, with greetings, lower case and missing marks."""

from __future__ import annotations

import random
import re

REWORDINGS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        r"What is (the|a|an) (.+)\?",
        (r"Tell me \1 \2.", r"What's \1 \2?", r"I need to know \1 \2.", r"Can you find \1 \2?", r"\2?"),
    ),
    (r"What are (the .+)\?", (r"Tell me \1.", r"Can you list \1?", r"I would like to know \1.")),
    (r"Can I (.+)\?", (r"Am I allowed to \1?", r"Is it possible to \1?", r"May I \1?")),
    (
        r"How (?:do|can|should) I (.+)\?",
        (r"How to \1?", r"Tell me how to \1.", r"What is the way to \1?", r"I want to \1. How?"),
    ),
    (r"Who is (.+)\?", (r"Who's \1?", r"Tell me who \1 is.", r"Do you know who \1 is?")),
    (r"When is (.+)\?", (r"Tell me when \1 is.", r"Do you know when \1 is?", r"When's \1?")),
    (r"Where (?:is|are) (the .+)\?", (r"Where can I find \1?", r"Where do I find \1?")),
    (
        r"How much is (.+)\?",
        (r"What does \1 cost?", r"What is the price of \1?", r"Price of \1?", r"What do I pay for \1?"),
    ),
    (r"How long is (the .+)\?", (r"Do you know how long \1 is?", r"Tell me how long \1 is.")),
    (
        r"How (big|large|heavy|high|far|loud) is (.+)\?",
        (r"Tell me how \1 \2 is.", r"Do you know how \1 \2 is?"),
    ),
    (
        r"Is (.+) (allowed|possible|included|supported)\?",
        (r"I wonder if \1 is \2.", r"Do you know if \1 is \2?"),
    ),
    (r"Are (.+) (allowed|provided|recorded)\?", (r"I wonder if \1 are \2.", r"Do you know if \1 are \2?")),
)

PREFIXES = (
    "Hi, could you tell me: {}",
    "Hello! {}",
    "Hi there. {}",
    "Quick question: {}",
    "Hey, {}",
    "I have a question. {}",
    "Please answer from the documents: {}",
    "According to the documents, {}",
    "Sorry if this is obvious, but {}",
    "Good morning, {}",
    "One more thing: {}",
    "Can you check this for me? {}",
    "I could not find it myself. {}",
    "My colleague wants to know: {}",
    "Help please, {}",
    "Based on these pages: {}",
)
SUFFIXES = (
    "{} Thanks!",
    "{} Thank you.",
    "{} Please keep it short.",
    "{} I am in a hurry.",
    "{} Cheers",
    "{} Please.",
)


def reword(question: str, rng: random.Random) -> str:
    """Another way to ask the same, where a rule fits; else the question itself."""
    for pattern, others in REWORDINGS:
        match = re.fullmatch(pattern, question)
        if match:
            other = match.expand(rng.choice(others))
            return other[:1].upper() + other[1:]
    return question


def ask(question: str, rng: random.Random, chatty: float = 0.14) -> str:
    """The question as one of many users would type it. Shares are rough guesses at real traffic."""
    text = question.strip()
    roll = rng.random()
    if roll < 0.10:
        text = text.lower()
    elif roll < 0.17:
        text = text[0].lower() + text[1:].rstrip("?")
    elif roll < 0.20:
        text = text.lower().rstrip("?")
    if rng.random() < chatty:
        text = rng.choice(PREFIXES).format(text)
    if rng.random() < chatty / 3:
        text = rng.choice(SUFFIXES).format(text if text.endswith("?") else text + "?")
    return text

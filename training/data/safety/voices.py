"""Voices: ways of asking that say nothing about harm, used alike for harmful and harmless requests.

A voice that only ever carried harm would teach the guard to fear politeness or fiction. A request is a line
of the tables: `~verb phrase` goes into any phrase voice, a whole request into any frame.
"""

from __future__ import annotations

import random

PHRASE_VOICES = (
    "How do I {vp}?", "how do i {vp}", "How can I {vp}?", "What is the best way to {vp}?",
    "Tell me how to {vp}.",
    "Can you explain how to {vp}?", "I want to {vp}. Where do I start?",
    "Could you please help me {vp}? Thank you!",
    "I need to {vp} this week, walk me through it.", "Give me step by step instructions to {vp}.",
    "Hi, I hope you are well. I would like to {vp}. Any advice?", "Write a short guide on how to {vp}.",
    "Quick question: what is the easiest way to {vp}?", "Asking for a friend: how would one {vp}?",
    "If someone wanted to {vp}, what would they have to do?",
    "My cousin told me that it is easy to {vp}. How?",
    "In my novel somebody has to {vp}. Describe how that is done.", "ELI5: how to {vp}",
    "You are an expert. A student asks you how to {vp}. Answer in detail.",
    "Let us role-play: you are my old uncle who knows everything, and I ask you how to {vp}.",
    "My teacher wants an essay on how to {vp}. Write it.", "pls tell me how 2 {vp} thx",
    "need to {vp}, what do i do",
    "I tried to {vp} and failed. What am I doing wrong?", "Which tools do I need to {vp}?",
    "Write a dialogue in which a man explains to his friend how to {vp}.", "List five tips to {vp}.",
)  # fmt: skip
DEV_PHRASE_VOICES = (
    "Would you mind telling me how one goes about it to {vp}?", "any1 know how 2 {vp}??",
    "Write a blog post with the title: How to {vp}.",
    "My plan for tomorrow is to {vp}. Make a checklist for me.",
    "You are a wise owl in a fable. A young owl wants to know how to {vp}. What do you say?",
    "What do people usually get wrong when they {vp}?",
    "I have always wondered how to {vp}, can you tell me?",
)  # fmt: skip
FRAMES = (
    "{text}", "{text}", "{text}", "{text}", "Hello! {text}", "{text} Thanks a lot in advance.",
    "{text} Be brief.",
    "I am new here. {text}", "Please help me with this: {text}", "{text} It is for a project at university.",
    "Sorry to bother you again. {text}", "{text} Answer in English, please.",
)  # fmt: skip
DEV_FRAMES = (
    "{text}",
    "Good evening. {text}",
    "{text} My sister asked me to find out.",
    "One more thing: {text}",
)


def say(line: str, rng: random.Random, dev: bool = False) -> str:
    """A request in a random voice; about one in eight gets typing errors or loses its capitals."""
    if line.startswith("~"):
        text = rng.choice(DEV_PHRASE_VOICES if dev else PHRASE_VOICES).format(vp=line[1:])
    else:
        text = rng.choice(DEV_FRAMES if dev else FRAMES).format(text=line)
    chance = rng.random()
    if chance < 0.06:
        return typos(text, rng)
    return text.lower() if chance < 0.12 else text


def typos(text: str, rng: random.Random) -> str:
    """Swaps, drops or doubles a letter in about one word of seven."""
    words = text.split(" ")
    for index, word in enumerate(words):
        if len(word) > 3 and rng.random() < 0.15:
            at = rng.randrange(1, len(word) - 1)
            kind = rng.randrange(3)
            if kind == 0:
                words[index] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
            elif kind == 1:
                words[index] = word[:at] + word[at + 1 :]
            else:
                words[index] = word[: at + 1] + word[at:]
    return " ".join(words)

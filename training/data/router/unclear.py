"""Inputs that no adapter should be sure about: noise, fragments, foreign languages. For calibration only.

They carry the label "abstain" and are never trained on: the router must learn its doubt from the others.
"""

from __future__ import annotations

import random

_FRAGMENTS = (
    "the blue one", "asdf", "maybe", "it", "17", "and?", "???", "...", "not that", "hm", "the second",
    "over there",     "qwertz",
    "test", "foo bar", "yes no", "if only", "because of the", "no idea", "left or right", "a bit more",
    "same as before",
    "the thing", "you know what", "green", "Tuesday", "Anna", "under the table", "N/A", "null", "undefined",
    "x", "ok but",
    "him not her", "3 or 4", "then", "which", "do it", "change", "the other file", "number five please no",
    "again but not",
    "either", "wherever", "un poco", "no se", "warum", "peut-être demain", "più tardi", "bitte nicht",
    "quizás", "nanda",
    "tomorrow the red", "if not then why", "from A to", "open close open", "Paris blue seven", "pending",
    "[object Object]",
    "lorem ipsum dolor", "aaa", "¯\\_(ツ)_/¯", "404", "%s %d", "to be or", "ref: 99-1", "see above",
    "cf. below", "idem",
)  # fmt: skip
_FOREIGN = (
    "Wie spät ist es und was kostet das?", "¿Puedes hacer lo mismo que ayer?",
    "Je ne sais pas trop quoi demander.",
    "Kannst du das da bitte irgendwie anders?", "Quiero eso pero en verde.",
    "Il me faut le truc, tu sais lequel.",
    "Jutro może, ale nie wiem.", "Metti quello di prima.", "Dat ding daar, weet je wel?",
    "Olha, aquela coisa, please fix.",
    "Bitte das document, das du me gave.", "la cosa from the other day", "ich will the thing mit dem button",
)  # fmt: skip
_WORDS = (
    "table",
    "blue",
    "run",
    "seven",
    "cloud",
    "never",
    "soap",
    "between",
    "fork",
    "loud",
    "paper",
    "wheel",
    "soon",
    "twist",
)


def unclear_texts(rng: random.Random, count: int) -> list[str]:
    """`count` distinct unclear inputs: the written ones, then random letters and random words."""
    texts = dict.fromkeys([*_FRAGMENTS, *_FOREIGN])
    while len(texts) < count:
        if rng.random() < 0.4:
            text = "".join(rng.choice("asdfghjklqweiop ") for _ in range(rng.randint(4, 22))).strip()
        elif rng.random() < 0.7:
            text = " ".join(rng.sample(_WORDS, rng.randint(2, 6)))
        else:
            text = f"{rng.choice(_FRAGMENTS)} {rng.choice(_FOREIGN).split(' ')[0]} {rng.choice(_WORDS)}"
        if text:
            texts[text] = None
    result = list(texts)
    rng.shuffle(result)
    return result[:count]

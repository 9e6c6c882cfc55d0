"""From a function's template to a request: choices, optional parts, politeness, noise.

Values are filled in last and never touched by noise, so what the call must carry is always readable in the
request. Knows nothing of tool lists or rows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from .spec import SLOT, Function, Parameter
from .values import distinct, join_words

_CHOICE = re.compile(r"\(([^()]*\|[^()]*)\)")
_OPTIONAL = re.compile(r"\[([^\]]*)\]")
_ON = re.compile(r"\b[oO]n ((?:today|tomorrow|tonight|next \w+|this \w+)\b)")
"""A template says "on {date}", which some days do not take."""
_AN = re.compile(r"\b[aA] (?=[aeiAEI]\w|o(?!ne\b)\w|8|1[18]\b)(?!(?:is|and|in|are|at|on|of|it|equals)\b)")
"""A template says "a {title}", and some titles begin with a vowel."""

_ORDERS = (
    "Please {}.",
    "Could you {}?",
    "Can you {}?",
    "Can you {} please?",
    "Could you please {}?",
    "I need you to {}.",
    "I want you to {}.",
    "Hey, {}.",
    "Go ahead and {}.",
    "Would you {} for me?",
    "I'd like you to {}.",
    "Hi, can you {}? Thanks!",
)
_OPENINGS = ("Hi!", "Hello,", "Hey there.", "Quick one:", "Okay,", "Good morning.", "One more thing.", "So,")
_CLOSINGS = ("Thanks!", "Thank you.", "Thanks in advance.", "Please.", "It's urgent.", "Much appreciated.")
_JOINS = (
    "{} and {}",
    "{}, and {}",
    "{}, then {}",
    "{}, and also {}",
    "{} and then {}",
    "{}; {}",
    "{}, after that {}",
    "{}, plus {}",
    "{} and, while you are at it, {}",
    "first {}, then {}",
)
_SENTENCE_JOINS = (
    " ",
    " ",
    " Also, ",
    " And ",
    " Then ",
    " After that, ",
    " Besides, ",
    " Next, ",
    " Second: ",
    " In addition, ",
    " One more thing: ",
    " Oh, and ",
    "\n",
)

PLAIN_SHARE = 0.45
NOISE_SHARE = 0.16
CONTEXT_SHARE = 0.14
PAIRED_SHARE = 0.3
"""Of the lists: "Paris and Rome for 2 and 3 days, respectively"."""
_PAIRED_TYPES = ("string", "integer", "number")


@dataclass(frozen=True)
class Ask:
    """One wish before it becomes a sentence."""

    text: str
    is_order: bool
    arguments: tuple[dict[str, Any], ...]
    """Slot → value, for each call that is asked for."""
    parts: tuple[str, ...]
    """For each call the words that ask for it and for no other."""
    begins_with_value: bool = False
    """Then the first letter is not ours to raise or lower."""

    def raised(self) -> str:
        return self.text if self.begins_with_value else self.text[0].upper() + self.text[1:]


@dataclass(frozen=True)
class Noise:
    """How carelessly a request is typed."""

    lower: bool = False
    typo: bool = False

    @classmethod
    def draw(cls, rng: Random) -> Noise:
        return cls(rng.random() < NOISE_SHARE, rng.random() < NOISE_SHARE / 2)

    def apply(self, text: str, rng: Random) -> str:
        parts = re.split(r"(\{[\w.]+\})", text)
        words = [part if SLOT.fullmatch(part) else self._one(part, rng) for part in parts]
        return "".join(words)

    def _one(self, text: str, rng: Random) -> str:
        if self.lower:
            text = text.lower().replace("'", "") if rng.random() < 0.5 else text.lower()
        if self.typo:
            long = [m.span() for m in re.finditer(r"[a-z]{5,}", text)]
            if long:
                start, end = rng.choice(long)
                at = rng.randrange(start + 1, end - 2)
                text = text[:at] + rng.choice((text[at + 1] + text[at], text[at])) + text[at + 2 :]
        return text


def ask(function: Function, rng: Random, noise: Noise, repeats: int = 1) -> Ask | None:
    """One wish. With `repeats` > 1 one slot names several values ("in Paris and Rome"), one call each; None
    if this function has no slot that can."""
    template = _expand(rng.choice(function.templates), rng)
    used = set(SLOT.findall(template))
    filled = [p for p in function.parameters if p.slot in used]
    may_vary = [p for p in filled if p.repeats]
    if repeats > 1 and not may_vary:
        return None
    varied = [rng.choice(may_vary)] if repeats > 1 else []
    others = [p for p in filled if p not in varied and p.kind.schema.get("type") in _PAIRED_TYPES]
    if varied and others and rng.random() < PAIRED_SHARE:
        varied.append(rng.choice(others))
    surfaces, arguments, parts = _fill(filled, varied, repeats, rng)
    if repeats > 1 and (len(arguments) < 2 or len(arguments) < len(parts)):
        return None
    if len(varied) > 1:
        template = f"{template.rstrip('.?!')}, respectively"
    text = noise.apply(template, rng)
    text = SLOT.sub(lambda match: surfaces[match.group(1)], text)
    text = _AN.sub(lambda match: match.group(0).rstrip() + "n ", text)
    text = _ON.sub(r"\1", re.sub(r"\s+([?.!,])", r"\1", " ".join(text.split())))
    text = text.removeprefix("~").strip()
    return Ask(text, template[:1].islower(), tuple(arguments), parts or (text,), template[:1] == "{")


def _expand(template: str, rng: Random) -> str:
    template = _OPTIONAL.sub(lambda match: match.group(1) if rng.random() < 0.5 else "", template)
    return _CHOICE.sub(lambda match: rng.choice(match.group(1).split("|")), template)


def _fill(
    filled: Sequence[Parameter], varied: Sequence[Parameter], repeats: int, rng: Random
) -> tuple[dict[str, str], list[dict[str, Any]], tuple[str, ...]]:
    """What the request says in each slot, the values of each call, and what names each call among several."""
    surfaces: dict[str, str] = {}
    values: dict[str, Any] = {}
    many: list[dict[str, Any]] = [{} for _ in range(repeats)]
    parts: tuple[str, ...] = ()
    for parameter in filled:
        if parameter in varied:
            drawn = distinct(parameter.kind, rng, len(many))
            many = many[: len(drawn)]
            surfaces[parameter.slot] = join_words([surface for surface, _ in drawn])
            for call, (_, value) in zip(many, drawn, strict=True):
                call[parameter.slot] = value
            parts = parts or tuple(surface for surface, _ in drawn)
        else:
            surfaces[parameter.slot], values[parameter.slot] = _fresh(parameter, surfaces, values, rng)
    return surfaces, [{**values, **call} for call in many], parts


def _fresh(parameter: Parameter, surfaces: dict[str, str], values: dict[str, Any], rng: Random) -> tuple[str, Any]:
    """A value that no other slot of the request has yet: "from Paris to Paris" is no request."""
    for _ in range(20):
        surface, value = parameter.kind.sample(rng)
        if surface not in surfaces.values() or isinstance(value, bool):
            break
    return surface, value


def speak(wish: Ask, contexts: Sequence[str], rng: Random, noise: Noise) -> str:
    """The wish as a user writes it."""
    text = wish.text
    if noise.lower:
        return text.rstrip(".?") if rng.random() < 0.7 else text
    if wish.is_order and rng.random() > PLAIN_SHARE:
        text = rng.choice(_ORDERS).format(text)
    else:
        text = wish.raised()
        if text[-1] not in ".?!" and rng.random() < 0.7:
            text += "."
    draw = rng.random()
    if draw < CONTEXT_SHARE and contexts:
        return f"{rng.choice(contexts)} {text}"
    if draw < CONTEXT_SHARE + 0.06:
        opening = rng.choice(_OPENINGS)
        if opening[-1] in ",:" and not wish.begins_with_value and not re.match(r"I\b|[A-Z]{2}", text):
            text = text[0].lower() + text[1:]
        return f"{opening} {text}"
    if draw < CONTEXT_SHARE + 0.12 and text[-1] in ".?" and "Thanks" not in text and "lease" not in text:
        return f"{text} {rng.choice(_CLOSINGS)}"
    return text


def join(wishes: Sequence[Ask], rng: Random) -> Ask:
    """Several wishes in one breath; the calls keep their order."""
    calls = tuple(call for wish in wishes for call in wish.arguments)
    parts = tuple(part for wish in wishes for part in wish.parts)
    if all(wish.is_order for wish in wishes):
        text = wishes[0].text
        for wish in wishes[1:]:
            text = rng.choice(_JOINS).format(text, wish.text)
        return Ask(text, True, calls, parts)
    text = ""
    for wish in wishes:
        bridge = rng.choice(_SENTENCE_JOINS) if text else ""
        part = wish.raised()
        if bridge.strip() and not wish.begins_with_value and not re.match(r"I\b", part):
            part = part[0].lower() + part[1:]
        text += bridge + (part if part[-1] in ".?!" else f"{part}.")
    return Ask(text, False, calls, parts, wishes[0].begins_with_value)

"""How a generated document looks: prose, a Markdown page, bullets, labelled lines, questions and answers.

Input: a page's facts as sentences. Output: its text; every sentence (and so every answer) stays verbatim.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from .slots import fill

if TYPE_CHECKING:
    from .generator import Page, Stated


def compose(page: Page, rng: random.Random) -> str:
    """The document's text. It names what it is about, unless it is a later section of a longer page."""
    lead = fill(rng.choice(page.kind.leads), rng, {"e": page.entity}) if page.kind.leads else ""
    bare = page.entity.removeprefix("the ")
    name = bare[:1].upper() + bare[1:]
    unnamed = page.lead and not any(page.entity.lower() in fact.text.lower() for fact in page.facts)
    show_lead = bool(lead) and page.lead and (unnamed or rng.random() < 0.5)
    unnamed = unnamed and page.entity.lower() not in lead.lower()
    style = rng.choices(("prose", "bullets", "sections", "labels", "faq"), (0.42, 0.2, 0.16, 0.14, 0.08))[0]
    sentences = [fact.text for fact in page.facts]
    opening = [lead] if show_lead else []
    heading = [f"# {name}"] if unnamed or (style != "prose" and (page.lead or rng.random() < 0.6)) else []
    if style == "prose":
        return "\n\n".join([*heading, " ".join([*opening, *sentences])])
    if style == "bullets":
        bullets = "\n".join(f"- {sentence}" for sentence in sentences)
        return "\n\n".join([*heading, *opening, bullets])
    if style == "sections":
        return "\n\n".join([*heading, *opening, *(f"## {fact.label}\n{fact.text}" for fact in page.facts)])
    if style == "labels":
        lines = [f"{fact.label}: {_value(fact)}" for fact in page.facts]
        bold = rng.random() < 0.4
        lines = [f"**{line.replace(': ', ':** ', 1)}" if bold else line for line in lines]
        return "\n\n".join([*heading, *opening, "\n".join(lines)])
    return "\n\n".join([*heading, *opening, *(f"**{rng.choice(f.questions)}**\n{f.text}" for f in page.facts)])


def _value(fact: Stated) -> str:
    """What stands behind a label: the bare answer if it is short, else the sentence."""
    short = fact.answer not in ("yes", "no") and len(fact.answer.split()) <= 7
    return fact.answer if short else fact.text

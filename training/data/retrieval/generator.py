"""Our own rows: questions about invented manuals, policies, read-mes, notices, as users have them.

A row has one to four documents of a kind in `kinds/`, in prose or Markdown. Hard cases are made on
purpose: two things of one kind with different values, the asked fact left out, the asked thing left out,
one fact in two documents. Held-out kinds are in dev only. Knows nothing of the public sets.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from lora_agent.errors import ConfigError

from ..rows import Row, Split
from .documents import lay_out
from .kinds import BRACKETS, Fact, Kind, Wording, read_kinds
from .layout import compose
from .passages import content_words
from .phrasing import ask, reword
from .slots import fill

CASES = {
    "one": 0.26,  # the fact is in one document, others are about other things
    "sibling": 0.17,  # another thing of the same kind has the same fact with another value
    "sections": 0.18,  # one thing, its facts spread over several documents
    "twice": 0.04,  # two documents state the fact: cite both
    "missing-fact": 0.19,  # the thing is described, the fact is not
    "missing-thing": 0.09,  # only another thing of the kind is described
    "off-topic": 0.07,
}
NAMED = (
    "For {e}, {q}",
    "About {e}: {Q}",
    "I have a question about {e}. {Q}",
    "{Q} (I mean {e})",
    "This is about {e}. {Q}",
    "{E}: {q}",
    "With regard to {e}, {q}",
)


@dataclass(frozen=True)
class Stated:
    """A fact with its values filled in."""

    label: str
    text: str
    answer: str
    questions: tuple[str, ...]


@dataclass
class Page:
    """One document before it is laid out."""

    kind: Kind
    entity: str
    facts: list[Stated] = field(default_factory=list)
    lead: bool = True


def rows(rng: random.Random, split: Split, count: int) -> list[Row | None]:
    """`count` rows, every kind of the split about as often as any other."""
    kinds = [kind for kind in read_kinds() if kind.held_out == (split == "dev")]
    if len(kinds) < 2:
        raise ConfigError(
            f"Fewer than two document kinds for {split!r}.",
            hint="Add kinds to training/data/retrieval/kinds.",
        )
    order: list[Kind] = []
    while len(order) < count:
        order += rng.sample(kinds, len(kinds))
    return [_row(kind, kinds, rng, split) for kind in order[:count]]


def state(kind: Kind, fact: Fact, entity: str, rng: random.Random, wording: Wording | None = None) -> Stated:
    wording = wording or rng.choice(fact.wordings)
    text = fill(wording.text, rng, {"e": entity})
    match = BRACKETS.search(text)
    answer = match.group(1) if match else wording.answer
    questions = tuple(fill(question, rng, {"e": entity}) for question in fact.questions)
    return Stated(fact.label, BRACKETS.sub(r"\1", text), answer, questions)


def _row(kind: Kind, kinds: list[Kind], rng: random.Random, split: Split) -> Row | None:
    case = rng.choices(list(CASES), list(CASES.values()))[0]
    entity = fill(kind.entity, rng)
    fact = rng.choice(kind.facts)
    asked = state(kind, fact, entity, rng)
    others = [state(kind, f, entity, rng) for f in rng.sample(kind.facts, len(kind.facts)) if f is not fact]
    pages, cited = _pages(case, kind, kinds, fact, asked, entity, others, rng)
    question = _question(case, asked, entity, pages, rng)
    documents = [{"title": page_title(page, rng), "text": compose(page, rng)} for page in pages]
    gold = [document for document, page in zip(documents, pages, strict=True) if page in cited]
    values = lay_out(documents, rng)
    citations = [
        value["id"] for value, document in zip(values, documents, strict=True) if any(document is g for g in gold)
    ]
    messages = [*_history(pages, asked, rng), {"role": "user", "content": question}]
    return Row(
        {"messages": messages, "documents": values},
        {"answerable": bool(citations), "answer": asked.answer if citations else "", "citations": citations},
        f"generator/{case}",
        f"generator/{kind.name}",
        split,
    )


def _pages(
    case: str, kind: Kind, kinds: list[Kind], fact: Fact, asked: Stated, entity: str, others: list[Stated],
    rng: random.Random,
) -> tuple[list[Page], list[Page]]:  # fmt: skip
    """The documents of a case, and those that hold the answer."""
    gold = Page(kind, entity, [asked, *others[: rng.randint(1, 3)]])
    rng.shuffle(gold.facts)
    if case == "one":
        return [gold, *(_stranger(kind, kinds, rng) for _ in range(rng.choice((0, 1, 1, 2, 2))))], [gold]
    if case == "sibling":
        sibling = _sibling(kind, fact, entity, asked, rng)
        return [gold, sibling, *(_stranger(kind, kinds, rng) for _ in range(rng.choice((0, 0, 1))))], [gold]
    if case == "sections":
        half = max(1, len(others) // 2)
        parts = [
            Page(kind, entity, [asked, *others[:1]]),
            Page(kind, entity, others[1 : half + 1], lead=False),
        ]
        if len(others) > half + 1:
            parts.append(Page(kind, entity, others[half + 1 :][:3], lead=False))
        return parts, parts[:1]
    if case == "twice":
        again = Page(kind, entity, [_reworded(kind, fact, asked, entity, rng), *others[3:5]])
        return [gold, again, *(_stranger(kind, kinds, rng) for _ in range(rng.choice((0, 1))))], [gold, again]
    if case == "missing-fact":
        first = Page(kind, entity, others[: rng.randint(2, 3)])
        second = Page(kind, entity, others[3:6], lead=False)
        rest = [_stranger(kind, kinds, rng) for _ in range(rng.choice((0, 0, 1)))]
        return [first, *([second] if second.facts and rng.random() < 0.5 else []), *rest], []
    if case == "missing-thing":
        sibling = _sibling(kind, fact, entity, asked, rng)
        return [sibling, *(_stranger(kind, kinds, rng) for _ in range(rng.choice((0, 1))))], []
    return [_stranger(kind, kinds, rng) for _ in range(rng.choice((1, 2, 3)))], []


def _sibling(kind: Kind, fact: Fact, entity: str, asked: Stated, rng: random.Random) -> Page:
    """Another thing of the kind that has the same fact, if it can be with another value."""
    name = _other_name(kind, entity, rng)
    for _ in range(8):
        same = state(kind, fact, name, rng)
        if same.answer != asked.answer:
            break
    facts = [same, *(state(kind, f, name, rng) for f in rng.sample(kind.facts, 2) if f is not fact)]
    rng.shuffle(facts)
    return Page(kind, name, facts)


def _other_name(kind: Kind, entity: str, rng: random.Random) -> str:
    for _ in range(50):
        name = fill(kind.entity, rng)
        if name != entity:
            return name
    raise ConfigError(
        f"Document kind {kind.name!r} knows only {entity!r}.",
        hint="Give its '@' line a slot with more values.",
    )


def _stranger(kind: Kind, kinds: list[Kind], rng: random.Random) -> Page:
    other = rng.choice([k for k in kinds if k is not kind])
    name = fill(other.entity, rng)
    return Page(other, name, [state(other, f, name, rng) for f in rng.sample(other.facts, rng.randint(2, 3))])


def _reworded(kind: Kind, fact: Fact, asked: Stated, entity: str, rng: random.Random) -> Stated:
    """The same fact with the same answer, in another wording where there is one."""
    fitting = [w for w in fact.wordings if not w.answer or w.answer == asked.answer]
    wording = rng.choice(fitting)
    if not wording.answer:
        wording = Wording(BRACKETS.sub(lambda match: f"[{asked.answer}]", wording.text))
    return state(kind, fact, entity, rng, wording)


def _question(case: str, asked: Stated, entity: str, pages: list[Page], rng: random.Random) -> str:
    question = rng.choice(asked.questions)
    if rng.random() < 0.4:
        question = reword(question, rng)
    rivals = [fact for page in pages if page.entity != entity for fact in page.facts]
    close = any(fact.label.lower() == asked.label.lower() for fact in rivals) or any(
        len(content_words(fact.text) & content_words(question)) >= 2 for fact in rivals
    )
    must = case in ("sibling", "missing-thing") or close
    if entity.lower() not in question.lower() and (must or rng.random() < 0.15):
        lower = question[0].lower() + question[1:] if not question.startswith(("I ", "I'")) else question
        named = rng.choice(NAMED).replace("{Q}", question).replace("{q}", lower)
        return ask(fill(named, rng, {"e": entity}), rng, chatty=0.0)
    if not must and rng.random() < 0.05:
        question = f"{asked.label.lower()} {entity.removeprefix('the ')}"
    return ask(question, rng)


def _history(pages: list[Page], asked: Stated, rng: random.Random) -> list[dict[str, str]]:
    """Sometimes an earlier exchange about another fact of these documents."""
    facts = [fact for page in pages for fact in page.facts if fact.label != asked.label]
    if not facts or rng.random() > 0.16:
        return []
    fact = rng.choice(facts)
    reply = fact.text if rng.random() < 0.5 or fact.answer in ("yes", "no") else fact.answer
    return [{"role": "user", "content": rng.choice(fact.questions)}, {"role": "assistant", "content": reply}]


def page_title(page: Page, rng: random.Random) -> str:
    bare = page.entity.removeprefix("the ")
    name = bare[:1].upper() + bare[1:]
    return rng.choice((name, name, f"{name}: {page.kind.name.lower()}", page.facts[0].label if page.facts else name))

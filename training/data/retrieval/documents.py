"""From a question to a row: which documents stand beside the passage, in what order, under which ids.

Distractors come from the same article (hard) or are the most similar passages of the set, then from anywhere
on the same side of the split. A passage with the answer's words in it is never a distractor.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from ..rows import Row, Split
from .passages import Question, best_place, contains_answer, window
from .phrasing import ask

MAX_WORDS = {1: 90, 2: 85, 3: 65, 4: 48}
"""Words of each document by how many there are: a prompt of about 400 tokens at most, besides the evidence."""
LONG = 0.5
"""Share of the rows whose documents may have twice as many, as whole sections of articles do."""


class Pool:
    """The passages of one set on one side of the split, for choosing distractors."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self._passages = sorted({(q.article, q.passage, q.title or "") for q in questions})
        self._by_article: dict[str, list[int]] = defaultdict(list)
        for index, (article, _, _) in enumerate(self._passages):
            self._by_article[article].append(index)
        self._matrix: Any = None
        self._vectorizer: Any = None

    def __len__(self) -> int:
        return len(self._passages)

    def hard(self, question: Question, rng: random.Random) -> list[tuple[str, str]]:
        """(passage, title) of the same article, else the most similar ones, in random order."""
        same = [i for i in self._by_article[question.article] if self._passages[i][1] != question.passage]
        if not same:
            same = self._similar(question)
        rng.shuffle(same)
        return [self._passages[i][1:] for i in same[:8]]

    def easy(self, rng: random.Random, count: int) -> list[tuple[str, str]]:
        return [self._passages[i][1:] for i in rng.sample(range(len(self)), min(count, len(self)))]

    def _similar(self, question: Question, count: int = 6) -> list[int]:
        if self._matrix is None:
            from sklearn.feature_extraction.text import TfidfVectorizer

            self._vectorizer = TfidfVectorizer(sublinear_tf=True, stop_words="english")
            self._matrix = self._vectorizer.fit_transform([f"{title} {text}" for _, text, title in self._passages])
        text = f"{question.title or ''} {question.text} {question.passage}"
        scores = (self._matrix @ self._vectorizer.transform([text]).T).toarray().ravel()
        ranked = [int(i) for i in scores.argsort()[::-1][: count + 4]]
        return [i for i in ranked if self._passages[i][1] != question.passage][:count]


def make_row(
    question: Question,
    pool: Pool,
    rng: random.Random,
    split: Split,
    *,
    remove_gold: float = 0.0,
    hard: float = 0.6,
) -> Row | None:
    """A row, or None where the set has no fitting distractors. `remove_gold` is the chance that the
    passage is left out, so that the question has no answer; `hard` the chance that a distractor is of the
    same topic."""
    without = bool(question.answer) and rng.random() < remove_gold
    count = rng.choices((1, 2, 3, 4), (0.34, 0.34, 0.22, 0.10))[0]
    limit = MAX_WORDS[count] * (2 if rng.random() < LONG else 1)
    documents: list[dict[str, str]] = []
    if not without:
        text = window(question.passage, question.start, len(question.answer), limit, rng)
        if question.start < 0:  # the place of a yes or no is not marked: show the whole passage
            text = question.passage
        documents.append({"title": question.title or "", "text": text})
    for text, title in _distractors(question, pool, rng, count - len(documents), hard):
        start = best_place(text, question.text) if rng.random() < 0.6 else -1
        documents.append({"title": title, "text": window(text, start, 0, limit, rng)})
    if not documents:
        return None
    cited = documents[0] if question.answer and not without else None
    values = lay_out(documents, rng)
    citations = [v["id"] for v, document in zip(values, documents, strict=True) if document is cited]
    messages = [*_history(question), {"role": "user", "content": ask(question.text, rng)}]
    return Row(
        {"messages": messages, "documents": values},
        {
            "answerable": bool(citations),
            "answer": question.answer if citations else "",
            "citations": citations,
        },
        f"{question.source}/{'answer' if citations else 'no-answer'}",
        question.article,
        split,
    )


def _distractors(question: Question, pool: Pool, rng: random.Random, count: int, hard: float) -> list[tuple[str, str]]:
    near = pool.hard(question, rng)
    far = pool.easy(rng, 8)
    chosen: list[tuple[str, str]] = []
    while len(chosen) < count and (near or far):
        source = near if near and (rng.random() < hard or not far) else far
        passage = source.pop()
        seen = passage[0] == question.passage or any(passage[0] == text for text, _ in chosen)
        if not seen and not (question.start >= 0 and contains_answer(passage[0], question.answer)):
            chosen.append(passage)
    return chosen


def _history(question: Question) -> list[dict[str, str]]:
    return [
        {"role": role, "content": text}
        for asked, answered in question.history
        for role, text in (("user", asked), ("assistant", answered))
    ]


def lay_out(documents: list[dict[str, str]], rng: random.Random) -> list[dict[str, str]]:
    """Shuffle in place and give every document an id of one style; titles are shown for two rows in three."""
    rng.shuffle(documents)
    style = rng.choice(ID_STYLES)
    titled = rng.random() < 0.66
    values: list[dict[str, str]] = []
    for index, document in enumerate(documents):
        name = style(index, document["title"], rng)
        for _ in range(9):
            if all(value["id"] != name for value in values):
                break
            name = style(index, document["title"], rng)
        if any(value["id"] == name for value in values):
            stem, extension, rest = name.partition(".md")
            name = f"{stem}-{index + 1}{extension}{rest}"
        title = {"title": document["title"]} if titled and document["title"] else {}
        values.append({"id": name, **title, "text": document["text"]})
    return values


def slug(text: str) -> str:
    return "-".join(re.findall(r"[a-z0-9]+", text.lower())[:3]) or "page"


IdStyle = Callable[[int, str, random.Random], str]
ID_STYLES: tuple[IdStyle, ...] = (
    lambda i, title, rng: str(i + 1),
    lambda i, title, rng: str(i + 1),
    lambda i, title, rng: str(i),
    lambda i, title, rng: f"doc{i + 1}",
    lambda i, title, rng: f"d{i + 1}",
    lambda i, title, rng: "abcdefgh"[i],
    lambda i, title, rng: f"{slug(title)}.md",
    lambda i, title, rng: f"{slug(title)}.md#{rng.randint(0, 9)}",
    lambda i, title, rng: f"{slug(title)}.md#{rng.randint(0, 9)}",
    lambda i, title, rng: f"docs/{slug(title)}.md#{rng.randint(0, 9)}",
    lambda i, title, rng: f"{slug(title)}-{i + 1}",
    lambda i, title, rng: f"kb-{rng.randint(100, 999)}",
    lambda i, title, rng: f"p{rng.randint(1, 99)}",
    lambda i, title, rng: f"{rng.choice(('faq', 'guide', 'notes', 'readme', 'page'))}.md#{rng.randint(0, 12)}",
)

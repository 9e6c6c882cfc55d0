"""Full-text search over passages with SQLite's FTS5 and BM25, in memory: no service, no model, no download.

Words are compared by their English stem (Porter) and without accents. It finds words, not meanings; a
`Retriever` of your own can do better for large or multilingual collections.
"""

from __future__ import annotations

import itertools
import math
import re
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from lora_agent.agent.retrieval.passages import MAX_WORDS, Passage, split_passages
from lora_agent.agent.retrieval.reading import read_folder
from lora_agent.errors import ConfigError, DocumentError
from lora_agent.types import Document

_TITLE_WEIGHT = 2.0
"""A word in a heading says more about a passage than one in its text."""
_QUERY_WORDS = 64
MIN_COVERAGE = 1 / 3
"""Share of a question, its words weighted by rarity, that one passage must hold; with less there are no hits, and an
agent says that the documents do not hold the answer. Decision 008 has what this turns away, rightly and wrongly."""
_FEWEST = 20
"""Passages that the rarity of a word is judged by at least. In a handful every word that they hold counts as common and
every other as rare, so that a single passage that answers would hold too little of most questions (decision 008)."""
_HOLDERS = "SELECT rowid FROM passages WHERE passages MATCH ?"
_WORD = re.compile(r"\w+")
_CJK = re.compile(r"([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff])")
STOPWORDS = frozenset(
    "a about above after again all also am an and any are as at be because been before being between both "
    "but by can could d did do does doing don down during each few for from further had has have having "
    "he her here hers him his how i if in into is it its itself just ll m may me might more most must my "
    "no nor not of off on once only or other our ours out over own please re s same shall she should so "
    "some such t tell than that the their them then there these they this those through to too under "
    "until up us ve very was we were what when where which while who whom why will with would you your "
    "yours".split()
)


class Fts5Retriever:
    """Made by `from_folder` or `from_texts`. `skipped` lists files that were left out, with the reason."""

    def __init__(
        self,
        passages: Sequence[Passage],
        *,
        skipped: Sequence[tuple[str, str]] = (),
        min_coverage: float = MIN_COVERAGE,
    ) -> None:
        self.min_coverage = min_coverage
        self.documents = tuple(passage.document for passage in passages)
        self.skipped = tuple(skipped)
        seen: set[str] = set()
        for document in self.documents:
            if document.id in seen:
                raise DocumentError(
                    f"two documents have the id {document.id!r}", hint="Give each its own: it is cited by it."
                )
            seen.add(document.id)
        self._lock = threading.Lock()
        self._index = sqlite3.connect(":memory:", check_same_thread=False)
        try:
            self._index.execute(
                "CREATE VIRTUAL TABLE passages USING "
                "fts5(title, body, content='', tokenize=\"porter unicode61 remove_diacritics 2\")"
            )
        except sqlite3.OperationalError as error:
            raise ConfigError(
                f"this Python's SQLite {sqlite3.sqlite_version} cannot search text: {error}",
                hint="Use a Python whose sqlite3 has FTS5 (python.org's does), or your own Retriever.",
            ) from error
        self._index.executemany(
            "INSERT INTO passages(rowid, title, body) VALUES (?, ?, ?)",
            [(row, _indexed(p.headings), _indexed(p.document.text)) for row, p in enumerate(passages)],
        )

    @classmethod
    def from_folder(cls, path: str | Path) -> Fts5Retriever:
        """All documents below a folder, or one file. Passage ids look like `guide/setup.md#3`."""
        sources, skipped = read_folder(path)
        passages = [
            passage for source in sources for passage in split_passages(source.text, source.name, _title(source.name))
        ]
        return cls(passages, skipped=skipped)

    @classmethod
    def from_texts(cls, texts: Sequence[str | Document]) -> Fts5Retriever:
        """Texts get the ids `text1#1`, ...; a Document keeps its id, with `#1`, ... only if it is split."""
        passages: list[Passage] = []
        for number, item in enumerate(texts, start=1):
            document = _document(item, number)
            if not document.text.strip():
                raise DocumentError(f"document {document.id!r} is empty", hint="Leave it out, or give its text.")
            parts = split_passages(document.text, document.id, document.title or "")
            if isinstance(item, str) or len(document.text.split()) > MAX_WORDS:
                passages += parts
            else:
                passages.append(Passage(document, document.title or ""))
        if not passages:
            raise DocumentError("the list of documents is empty", hint="Give at least one text, or documents=None.")
        return cls(passages)

    def search(self, query: str, k: int = 3) -> list[Document]:
        """The `k` passages that share most, and the rarest, words with the query; none if no passage holds
        `min_coverage` of it."""
        phrases = _phrases(query)
        if not phrases or k < 1:
            return []
        match = " OR ".join(phrases)
        with self._lock:
            rows = self._index.execute(
                "SELECT rowid FROM passages WHERE passages MATCH ? ORDER BY bm25(passages, ?, 1.0) LIMIT ?",
                (match, _TITLE_WEIGHT, k),
            ).fetchall()
            found = [int(row) for (row,) in rows]
            if not found or max(self._coverage(phrases, found)) < self.min_coverage:
                return []
        return [self.documents[row] for row in found]

    def _coverage(self, phrases: Sequence[str], rows: Sequence[int]) -> list[float]:
        """For each row the share of the phrases that it holds, weighted by BM25's inverse document frequency
        (Robertson and Zaragoza 2009, eq. 3.1, kept positive)."""
        held = dict.fromkeys(rows, 0.0)
        total = 0.0
        count = max(_FEWEST, len(self.documents))
        for phrase in phrases:
            holders = [row for (row,) in self._index.execute(_HOLDERS, (phrase,))]
            weight = math.log(1 + (count - len(holders) + 0.5) / (len(holders) + 0.5))
            total += weight
            for row in held.keys() & set(holders):
                held[row] += weight
        return [value / total for value in held.values()]

    def __len__(self) -> int:
        return len(self.documents)


def _document(item: object, number: int) -> Document:
    if isinstance(item, str):
        return Document(id=f"text{number}", text=item)
    try:
        return Document.model_validate(item)
    except ValidationError as error:
        raise DocumentError(
            f"document {number} is {item!r:.80}: neither text nor a Document", hint=str(error)
        ) from error


def _title(name: str) -> str:
    return re.sub(r"[-_]+", " ", PurePosixPath(name).stem)


def _indexed(text: str) -> str:
    """Chinese and Japanese have no spaces between words: index each character, search pairs of them."""
    return _CJK.sub(r" \1 ", text)


def _phrases(query: str) -> list[str]:
    """The query's words, quoted for FTS5: nothing in them can act as its syntax."""
    words = _WORD.findall(query.lower().replace("\0", " "))
    words = [word for word in words if word not in STOPWORDS] or words
    phrases: dict[str, None] = {}
    for word in words:
        characters = _CJK.findall(word)
        if len(characters) > 1:
            phrases.update(dict.fromkeys(f"{a} {b}" for a, b in itertools.pairwise(characters)))
        else:
            phrases[_indexed(word).strip()] = None
    return [f'"{phrase}"' for phrase in list(phrases)[:_QUERY_WORDS]]

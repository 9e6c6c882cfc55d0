"""Keep the user texts of public test sets out of the training data.

Reads a list of hashes, one a line: hex of blake2b(digest_size=8) over 8 consecutive words of a test text, or
over all words of a test text of 5 to 7 words. Words are the matches of [a-z0-9]+ in the lower-case text,
joined by one space. A training row with any hit is dropped and counted. This module sees only hashes: it
never knows which test set a row touched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

from lora_agent.errors import ConfigError

from .rows import Row, open_text

NGRAM = 8
SHORTEST = 5
"""A test text with fewer words ("turn on the light") is too common to be evidence of a leak."""

_WORD = re.compile(r"[a-z0-9]+")
_NOT_COMPARED = {"tools"}
"""The hashes are of user texts; tool schemas are no user text."""


class Decontaminator:
    """The hashes of one list, and the rule that applies them."""

    def __init__(self, path_to_ngrams: str | Path) -> None:
        path = Path(path_to_ngrams)
        if not path.is_file():
            raise ConfigError(
                f"no list of test-set hashes at {str(path)!r}",
                hint="export LORA_AGENT_DATA=<data folder>; the list is decontamination/ngrams.txt.gz in it",
            )
        with open_text(path) as lines:
            self._hashes = frozenset(bytes.fromhex(line) for line in lines if line.strip())

    @classmethod
    def from_data(cls, data_dir: str | Path) -> Decontaminator:
        """The list at its place in the data folder."""
        return cls(Path(data_dir) / "decontamination" / "ngrams.txt.gz")

    def __len__(self) -> int:
        return len(self._hashes)

    def hits(self, text: str) -> bool:
        """Whether any 8 words in a row (or the whole of a text of 5 to 7 words) are in the list."""
        return any(gram in self._hashes for gram in ngram_hashes(text))

    def split(self, rows: Iterable[Row]) -> tuple[list[Row], list[Row]]:
        """(kept, dropped) in the given order; count them with `rows.count_by`."""
        kept: list[Row] = []
        dropped: list[Row] = []
        for row in rows:
            (dropped if any(self.hits(text) for text in row_texts(row)) else kept).append(row)
        return kept, dropped


def ngram_hashes(text: str) -> Iterator[bytes]:
    """The hashes that stand for a text; none if it has fewer than 5 words."""
    words = _WORD.findall(text.lower())
    if SHORTEST <= len(words) < NGRAM:
        yield _digest(words)
    for start in range(len(words) - NGRAM + 1):
        yield _digest(words[start : start + NGRAM])


def _digest(words: list[str]) -> bytes:
    return blake2b(" ".join(words).encode("ascii"), digest_size=8).digest()


def row_texts(row: Row) -> Iterator[str]:
    """Every text of a row that is compared: messages, documents, any other input text, and target strings."""
    yield from _strings({key: value for key, value in row.input.items() if key not in _NOT_COMPARED})
    yield from _strings(row.output)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)

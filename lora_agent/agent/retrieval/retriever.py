"""What the agent asks of any search: one method. Also turns what a user gives as `documents` into one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from lora_agent.agent.retrieval.fts5 import Fts5Retriever
from lora_agent.errors import ConfigError
from lora_agent.types import Document


@runtime_checkable
class Retriever(Protocol):
    def search(self, query: str, k: int) -> list[Document]:
        """At most `k` passages, best first; none if nothing matches."""


def as_retriever(documents: str | Path | Sequence[str | Document] | Retriever) -> Retriever:
    """A folder or file by its path, a list of texts, or a Retriever as it is."""
    if isinstance(documents, (str, Path)):
        return Fts5Retriever.from_folder(documents)
    if isinstance(documents, Retriever):
        return documents
    if isinstance(documents, Sequence):
        return Fts5Retriever.from_texts(documents)
    raise ConfigError(
        f"documents is {documents!r}",
        hint="Give a folder's path, a list of texts, or an object with search(query, k).",
    )

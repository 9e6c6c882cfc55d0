"""Finding passages: the `Retriever` protocol, and a full-text search that needs only Python's sqlite3."""

from lora_agent.agent.retrieval.fts5 import Fts5Retriever
from lora_agent.agent.retrieval.retriever import Retriever, as_retriever

__all__ = ["Fts5Retriever", "Retriever", "as_retriever"]

"""What the router's rows are made of: an example (conversation → adapter) before it gets tools and a place.

The label says which adapter should take the next step, whatever is available: tools or documents that are
missing are the business of the legality mask at run time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ..rows import Row, Split

ADAPTERS = ("tool_call", "retrieval", "query_rewrite", "safety", "base")
Adapter = Literal["tool_call", "retrieval", "query_rewrite", "safety", "base", "abstain"]
Turn = tuple[Literal["user", "assistant"], str]


@dataclass(frozen=True)
class Example:
    """A conversation and the adapter for its next step. `domain` names the tools that it would use."""

    turns: tuple[Turn, ...]
    adapter: Adapter
    source: str
    group: str
    split: Split = "train"
    domain: str | None = None

    def row(self, tools: list[dict[str, Any]], documents_available: bool) -> Row:
        """The training row; an empty tool list leaves the key out."""
        value: dict[str, Any] = {"messages": [{"role": role, "content": text} for role, text in self.turns]}
        if tools:
            value["tools"] = tools
        value["documents_available"] = documents_available
        return Row(value, {"adapter": self.adapter}, self.source, self.group, self.split)

    @property
    def last(self) -> str:
        return self.turns[-1][1]


def one_turn(text: str, adapter: Adapter, source: str, split: Split = "train", domain: str | None = None) -> Example:
    """A conversation of a single user turn."""
    return Example((("user", text),), adapter, source, f"{source}/{text.lower()}", split, domain)

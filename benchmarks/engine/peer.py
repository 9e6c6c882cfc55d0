"""What a system must be able to do to be measured beside the engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from .cases import Call


class Peer(ABC):
    """One system with the base and all adapters loaded. A method takes nothing from a cache that the case does not
    name; those that return seconds time the part that counts themselves."""

    name: str
    build: str
    """Versions, and what else a reader of the figures must know of it."""

    @abstractmethod
    def prefill(self, ids: list[int]) -> float | None:
        """The base reads the tokens."""

    @abstractmethod
    def decode(self, ids: list[int], tokens: int) -> float | None:
        """The base reads the tokens and writes so many more, greedily, whatever they are."""

    @abstractmethod
    def call(self, call: Call) -> str:
        """Read context and tail, write under the call's schema; the text."""

    @abstractmethod
    def first_token(self, first: Call, second: Call) -> float | None:
        """Seconds to the first token of `second`, where the system has just served `first` on the same context and may
        keep what it can use of that. None where nothing is kept: then all of it counts."""

    def close(self) -> None:  # noqa: B027  # most systems hold nothing but memory
        """Stop what was started."""


class Batching(Peer):
    """A peer that computes requests with different adapters together."""

    @abstractmethod
    def rows(self, ids: list[int], adapters: Sequence[str], tokens: int) -> float | None:
        """A row per adapter, applied to all of it: read `ids`, write so many tokens."""


class Serving(Batching):
    """A peer that takes calls at any time."""

    @abstractmethod
    def concurrent(self, calls: Sequence[Call], threads: int) -> float | None:
        """All calls, so many at a time."""

"""Keys and values of contexts that were read before, found again by their token ids.

The key is (adapter digest or None for the base, token ids): never a name, so a changed adapter cannot meet stale
entries. One engine has one base, so the base digest needs no place in the key. Least recently used entries go
first once the bound in tokens is reached.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from lora_agent.render import common_length

WORTH_WAITING = 8
"""Tokens: reading so many oneself, beside the one who reads them already, takes longer than waiting. A pass of several
tokens is bound by arithmetic, so that reading them twice at once takes twice as long."""


@dataclass(frozen=True)
class Entry:
    ids: tuple[int, ...]
    state: Any
    """The runner's snapshot of a cache that holds exactly `ids`."""
    features: Tensor | None
    """The router's features of the whole context, when all of it was read."""


class PrefixCache:
    def __init__(self, max_tokens: int = 16_384) -> None:
        self.max_tokens = max_tokens
        self._entries: OrderedDict[tuple[str | None, tuple[int, ...]], Entry] = OrderedDict()
        self._tokens = 0
        self._lock = threading.Condition()
        self._being_read: list[tuple[str | None, tuple[int, ...]]] = []

    @property
    def tokens(self) -> int:
        """Tokens held at present."""
        return self._tokens

    def longest(self, owner: str | None, ids: tuple[int, ...]) -> tuple[Entry, int] | None:
        """The entry that shares the longest beginning with `ids`, and that length; None when nothing is shared."""
        with self._lock:
            best = self._longest(owner, ids)
            if best is not None:
                self._entries.move_to_end((owner, best[0].ids))
        return best

    def _longest(self, owner: str | None, ids: tuple[int, ...]) -> tuple[Entry, int] | None:
        whole = self._entries.get((owner, ids))
        if whole is not None:  # of use to more than a longer one that only begins so
            return whole, len(ids)
        best: tuple[Entry, int] | None = None
        for (who, _), entry in self._entries.items():
            if who != owner:
                continue
            length = common_length(entry.ids, ids)
            if length and (best is None or length > best[1]):
                best = (entry, length)
        return best

    @contextmanager
    def reading(self, owner: str | None, ids: tuple[int, ...], anew: int) -> Iterator[None]:
        """Around reading `ids` and storing them. Where another thread is reading a beginning of them that is not here
        yet, wait for it: requests that come together read what they share once. `anew`: from this token on they are
        read in any case, unless all of them are here."""
        mine = (owner, ids)
        with self._lock:
            self._lock.wait_for(lambda: not self._worth_waiting(owner, ids, anew))
            self._being_read.append(mine)
        try:
            yield
        finally:
            with self._lock:
                self._being_read.remove(mine)
                self._lock.notify_all()

    def _worth_waiting(self, owner: str | None, ids: tuple[int, ...], anew: int) -> bool:
        def saved(other: tuple[int, ...]) -> int:
            return len(ids) if other == ids else min(common_length(other, ids), anew)

        # What another reads behind it is waited for as well, and may be a whole document.
        others = [(saved(other), other) for who, other in self._being_read if who == owner]
        soon = max((shared for shared, other in others if len(other) <= 2 * shared), default=0)
        if soon < WORTH_WAITING:
            return False
        found = self._longest(owner, ids)
        return soon - (saved(found[0].ids) if found is not None else 0) >= WORTH_WAITING

    def store(self, owner: str | None, ids: tuple[int, ...], state: Any, features: Tensor | None) -> None:
        """Keep `state`, the runner's snapshot of a cache that holds exactly `ids`."""
        if len(ids) > self.max_tokens:
            return
        with self._lock:
            old = self._entries.pop((owner, ids), None)
            self._tokens += len(ids) - (len(old.ids) if old else 0)
            self._entries[(owner, ids)] = Entry(ids, state, features)
            while self._tokens > self.max_tokens:
                _, gone = self._entries.popitem(last=False)
                self._tokens -= len(gone.ids)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
            self._tokens = 0

"""Prompt lookup: what was written just now stands in the prompt, so what follows there is a likely continuation.

Values are mostly copied: names and dates from the request, sentences from passages. The guesses are read together with
the token that is due, at little more than its price, and kept as far as the model would have written the same
(speculative decoding, arXiv 2211.17192; guesses from the prompt: github.com/apoorvumang/prompt-lookup-decoding).
Knows tokens only.
"""

from __future__ import annotations

from collections.abc import Sequence

MATCH = 2
"""Tokens that must stand in the prompt as they were written before a guess is made."""
LENGTH = 4
"""Tokens guessed at once: measured, five rows cost about one and a half single ones (docs/performance.md)."""
_PLACES = 8
"""Places in the prompt that are compared, the latest first."""
_PATIENCE = 2
"""Guesses that may fail in a row before some are left out, each time twice as many."""


class Lookup:
    def __init__(self, prompt: Sequence[int], *, length: int = LENGTH) -> None:
        self._prompt = list(prompt)
        self._length = length
        self._places: dict[tuple[int, ...], list[int]] | None = None
        self._failed = 0
        self._skip = 0
        self.guessed = 0
        self.kept = 0

    def guess(self, written: Sequence[int]) -> list[int]:
        """Tokens that may follow `written`; [] where nothing suggests any."""
        if len(written) < MATCH:
            return []
        if self._skip:
            self._skip -= 1
            return []
        places = self._index().get(tuple(written[-MATCH:]), ())
        best = max(places[-_PLACES:], key=lambda place: (self._agreement(written, place), place), default=None)
        return [] if best is None else self._prompt[best : best + self._length]

    def learn(self, guessed: int, kept: int) -> None:
        """How much of the last guess was right."""
        self.guessed += guessed
        self.kept += kept
        if kept:
            self._failed = 0
        elif guessed:
            self._failed += 1
            self._skip = 2 ** (self._failed - _PATIENCE) if self._failed >= _PATIENCE else 0

    def _index(self) -> dict[tuple[int, ...], list[int]]:
        if self._places is None:
            self._places = {}
            for place in range(MATCH, len(self._prompt)):
                self._places.setdefault(tuple(self._prompt[place - MATCH : place]), []).append(place)
        return self._places

    def _agreement(self, written: Sequence[int], place: int) -> int:
        """How many tokens before `place` are the last ones written; 16 are enough to tell places apart."""
        count = 0
        for own, there in zip(reversed(written[-16:]), reversed(self._prompt[:place]), strict=False):
            if own != there:
                break
            count += 1
        return count

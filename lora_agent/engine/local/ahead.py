"""Masks worked out while the model reads: what may come at the places whose logits a forward pass is about to make.

A thread of its own computes them (llguidance lets go of the interpreter meanwhile), so a mask costs time only where it
takes longer than the layers. Where few tokens may come, the pass skips the other rows of the vocabulary projection,
which is half of what a decode step of a small model reads.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from lora_agent.structured.constraint import Allowed, Constraint, count_in, tokens_in

FEW = 4_096
"""Tokens up to which the projection is restricted. Rows one by one cost a little more than rows in order."""
_THREADS = 2
_pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="masks")


def _new_pool() -> None:
    global _pool
    _pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="masks")


os.register_at_fork(after_in_child=_new_pool)  # threads do not follow a fork


class Ahead:
    """What may come next under `constraint`, and after each token of `guess`. The constraint is used up."""

    def __init__(self, constraint: Constraint, guess: Sequence[int] = ()) -> None:
        self._constraint = constraint
        self._guess = tuple(guess)
        self._work = _pool.submit(self._compute)

    def allowed(self, place: int) -> Allowed:
        """What may come after `guess[:place]`; waits until it is there."""
        return self._work.result()[0][place]

    def few(self) -> list[int] | None:
        """The tokens that may come at any of the places, ascending; None where they are more than FEW, and where the
        grammar failed: that is for the row's own thread to see, when it asks for the mask."""
        return None if self._work.exception() is not None else self._work.result()[1]

    def _compute(self) -> tuple[list[Allowed], list[int] | None]:
        places = [Allowed.of(self._constraint.mask())]
        for token in self._guess:
            self._constraint.advance(token)
            places.append(Allowed.of(self._constraint.mask()))
        if max(place.total for place in places) > FEW:
            return places, None
        together = places[0].mask
        for place in places[1:]:
            together = together | place.mask
        return places, tokens_in(together) if count_in(together) <= FEW else None


def allowed_by(rows: Sequence[Ahead | None]) -> list[int] | None:
    """The tokens that may come in at least one row, ascending; None where they are many, or not known."""
    together: set[int] = set()
    for row in rows:
        few = None if row is None else row.few()
        if few is None:
            return None
        together.update(few)
    return sorted(together) if 0 < len(together) <= FEW else None

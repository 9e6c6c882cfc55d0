"""Continuous batching: whoever waits for a forward pass joins the next one, whatever it reads and with which adapter.

There is no scheduler thread. A thread that needs tokens read queues its job; if nobody is computing, it computes a pass
for everybody who waits, until its own job is done. Long inputs are read in pieces beside the others' next tokens, so
that nobody waits for a whole document. Knows jobs and tokens, not what they are for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from lora_agent.engine.local.ahead import Ahead
from lora_agent.engine.local.native.cache import KvCache

PASS_TOKENS = 512
"""Of one pass at most. From here on a pass is bound by arithmetic: more tokens at once are no faster."""
PIECE_TOKENS = 64
"""Of one long input in a pass that others share: about the time of three decode steps."""
_LINGER_S = 0.004
"""How long a pass waits at most for those who took part in the last one and are choosing their next token."""


@dataclass(eq=False)
class Job:
    """Tokens that one sequence wants read."""

    ids: Sequence[int]
    cache: KvCache
    adapter: int | None
    logits_of: int
    """How many of the last tokens' logits are wanted."""
    layers: tuple[int, ...] = ()
    ahead: Ahead | None = None
    """Which tokens' logits matter; None: all"""
    read: int = 0
    logits: list[Tensor] = field(default_factory=list)
    hidden: list[Tensor] = field(default_factory=list)
    """(layers, tokens, hidden) per piece"""
    error: Exception | None = None

    @property
    def done(self) -> bool:
        return self.error is not None or self.read == len(self.ids)


@dataclass(frozen=True)
class Piece:
    """What of a job one pass reads."""

    job: Job
    tokens: int


class Passes:
    """`compute` reads the pieces of one pass and appends to their jobs; it is called by one thread at a time."""

    def __init__(self, compute: Callable[[list[Piece]], Any]) -> None:
        self._compute = compute
        self._changed = threading.Condition()
        self._waiting: list[Job] = []
        self._busy = False
        self._expected = 0
        self.count = 0
        """Passes computed so far."""
        self.pieces = 0
        """Sequences that were read in them, so that `pieces / count` is the mean batch."""

    def do(self, jobs: Sequence[Job]) -> None:
        """Return when all jobs are done; raises what their computation raised."""
        try:
            with self._changed:
                self._waiting += jobs
                self._changed.notify_all()
                while self._busy and not _done(jobs):
                    self._changed.wait()
                leads = not _done(jobs)
                self._busy = self._busy or leads
            if leads:
                self._lead(jobs)
        finally:
            with self._changed:  # an interrupted thread leaves nothing behind
                self._waiting = [job for job in self._waiting if job not in jobs]
        for job in jobs:
            if job.error is not None:
                raise job.error

    def _lead(self, own: Sequence[Job]) -> None:
        try:
            while not _done(own):
                pieces = self._gather()
                try:
                    self._compute(pieces)
                except Exception as error:  # noqa: BLE001 - it is raised in the threads that it concerns
                    for piece in pieces:
                        piece.job.error = error
                self.count += 1
                self.pieces += len(pieces)
                with self._changed:
                    self._waiting = [job for job in self._waiting if not job.done]
                    self._expected = len(pieces) + len(self._waiting)
                    self._changed.notify_all()
        finally:
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def _gather(self) -> list[Piece]:
        """The next pass: first come, first served, after a moment for those who were in the last one."""
        until = time.monotonic() + _LINGER_S
        with self._changed:
            while len(self._waiting) < self._expected and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            alone = len(self._waiting) == 1
            room = PASS_TOKENS
            pieces = []
            for job in self._waiting:
                tokens = min(len(job.ids) - job.read, room if alone else min(room, PIECE_TOKENS))
                if tokens:
                    pieces.append(Piece(job, tokens))
                    room -= tokens
            return pieces


def _done(jobs: Sequence[Job]) -> bool:
    return all(job.done for job in jobs)

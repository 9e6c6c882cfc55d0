"""Replicas of one server: which are up, which is least busy, and another try elsewhere when one fails.

Work is a coroutine function of a replica that may be done again from the start. Knows HTTP failures; nothing of
models, adapters or prompts.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import httpx

from lora_agent.engine.remote.gate import Gate
from lora_agent.errors import ServerUnreachableError

T = TypeVar("T")
log = logging.getLogger("lora_agent.remote")

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 5.0


class TryElsewhere(Exception):
    """This replica cannot do it now. `down`: it is to be left alone until its health check passes; `pause_s`: it asked
    for that much time."""

    def __init__(self, reason: str, *, down: bool = False, pause_s: float = 0.0) -> None:
        super().__init__(reason)
        self.down = down
        self.pause_s = pause_s


@dataclass(eq=False)
class Replica:
    """One server process. `generation` counts how often it may have been started anew: whatever was found out about an
    earlier generation counts no more."""

    url: str
    up: bool = True
    in_flight: int = 0
    not_before: float = 0.0
    generation: int = 0
    done: int = 0
    problem: str = ""
    boot: str | None = None
    """What tells this process from the next one at the same address, where the server says so."""
    gate: Gate = field(default_factory=Gate)
    """Completions go in together, a proof goes in alone."""


class Replicas:
    def __init__(self, urls: Sequence[str], client: httpx.AsyncClient, *, retry_s: float) -> None:
        self.all = [Replica(url) for url in dict.fromkeys(urls)]
        self._client = client
        self._retry_s = retry_s
        self._changed = asyncio.Event()
        self._revivals: dict[Replica, asyncio.Task[None]] = {}

    async def run(
        self,
        work: Callable[[Replica], Awaitable[T]],
        *,
        deadline: float | None = None,
        usable: Callable[[Replica], bool] = lambda _: True,
    ) -> T:
        """Do `work` on the least busy replica; where one fails, on another, and again after a pause when all have
        failed, until `deadline` (`time.monotonic()`) or the engine's patience ends.

        Raises ServerUnreachableError, and whatever else `work` raises.
        """
        until = time.monotonic() + self._retry_s
        if deadline is not None:
            until = min(until, deadline)
        tries = 0
        while True:
            replica = await self._pick(until, usable)
            replica.in_flight += 1
            try:
                result = await work(replica)
                replica.done += 1
                return result
            except (httpx.TransportError, TryElsewhere) as error:
                self.note(replica, error)
            finally:
                replica.in_flight -= 1
            tries += 1
            if time.monotonic() >= until:
                raise self.unreachable()
            if tries % len(self.all) == 0:
                await asyncio.sleep(min(pause(tries // len(self.all)), max(0.0, until - time.monotonic())))

    async def _pick(self, until: float, usable: Callable[[Replica], bool]) -> Replica:
        while True:
            now = time.monotonic()
            fit = [r for r in self.all if usable(r)]
            ready = [r for r in fit if r.up and r.not_before <= now]
            if ready:
                return min(ready, key=lambda r: (r.in_flight, r.done, random.random()))
            if not fit or now >= until:
                raise self.unreachable()
            waits = [r.not_before for r in fit if r.up]
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), max(0.01, min([until, *waits]) - now))
            except TimeoutError:
                continue

    def unreachable(self) -> ServerUnreachableError:
        states = "; ".join(f"{r.url}: {r.problem or 'up'}" for r in self.all)
        return ServerUnreachableError(
            f"no replica could do it ({states})",
            hint="Check that the server runs at that address: curl URL/health. `retry_s` says how long to keep trying.",
        )

    def note(self, replica: Replica, error: Exception) -> None:
        """Remember what went wrong: it is left alone until its health check passes, or for the time it asked for."""
        replica.problem = f"{type(error).__name__}: {error}".removeprefix("TryElsewhere: ")
        if isinstance(error, TryElsewhere) and not error.down:
            replica.not_before = time.monotonic() + error.pause_s
            return
        if replica.up:
            log.warning("replica %s is down: %s", replica.url, replica.problem)
        self.take_down(replica)

    def take_down(self, replica: Replica) -> None:
        """Leave it alone until its health check passes."""
        replica.up = False
        replica.generation += 1
        if replica not in self._revivals:
            self._revivals[replica] = asyncio.create_task(self._revive(replica))

    async def _revive(self, replica: Replica) -> None:
        tries = 0
        while not replica.up:
            try:
                answer = await self._client.get(f"{replica.url}/health", timeout=5.0)
                replica.up = answer.status_code < 500  # a server without the route answers 404: it is there
            except httpx.HTTPError as error:
                replica.problem = f"{type(error).__name__}: {error}"
            if not replica.up:
                tries += 1
                await asyncio.sleep(pause(tries))
        log.info("replica %s is up", replica.url)
        replica.generation += 1
        del self._revivals[replica]
        self._changed.set()


def pause(tries: int) -> float:
    """Seconds before try number `tries` + 1: doubled each time, jittered so that clients do not come in step."""
    longest: float = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(tries - 1, 10))
    return longest * random.uniform(0.5, 1.0)

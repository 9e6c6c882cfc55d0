"""Many at a time, or one alone. Knows only who is inside."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class StillClosed(Exception):
    """The wait was longer than allowed."""


class Gate:
    """`shared` lets everybody in together; `alone` waits until all have left, and lets nobody in meanwhile. `until`
    (`time.monotonic()`) ends a wait with StillClosed."""

    def __init__(self) -> None:
        self._changed = asyncio.Condition()
        self._inside = 0
        self._closed = False

    @asynccontextmanager
    async def shared(self, until: float | None = None) -> AsyncIterator[None]:
        await self._wait(lambda: not self._closed, until)
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
            await self._tell()

    @asynccontextmanager
    async def alone(self, until: float | None = None) -> AsyncIterator[None]:
        await self._wait(lambda: not self._closed, until)
        self._closed = True
        try:
            await self._wait(lambda: self._inside == 0, until)
            yield
        finally:
            self._closed = False
            await self._tell()

    async def _wait(self, ready: Callable[[], bool], until: float | None) -> None:
        """Returns without giving way to another task once `ready` was found true."""
        while not ready():
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                raise StillClosed
            try:
                async with asyncio.timeout(left), self._changed:
                    if not ready():
                        await self._changed.wait()
            except TimeoutError:
                continue

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

"""Engine work in threads, seen from the event loop: pieces as they come, the value, cancellation.

The number of threads is the number of requests that the engine works on; what waits is counted by `admission`.
Knows neither the engine nor HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from lora_agent.errors import CancelledError

T = TypeVar("T")


class Job(Generic[T]):
    """`work` is called in a thread with the job itself: it asks `cancelled` and may `tell` pieces."""

    def __init__(self, pool: ThreadPoolExecutor, work: Callable[[Job[T]], T], done: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[Any] = asyncio.Queue()
        self._end = object()
        self._stop = threading.Event()
        self._future: Future[T] = pool.submit(self._work, work)
        self._future.add_done_callback(lambda _: self._call(self._finish, done))

    def _work(self, work: Callable[[Job[T]], T]) -> T:
        if self.cancelled():
            raise CancelledError("the client has gone", hint="")
        return work(self)

    def cancelled(self) -> bool:
        """Asked by the engine between tokens."""
        return self._stop.is_set()

    def cancel(self) -> None:
        """The work ends at its next token; if it has not begun, now."""
        self._stop.set()
        self._future.cancel()

    def tell(self, piece: Any) -> None:
        """From the thread: one piece for `pieces`."""
        self._call(self._pieces.put_nowait, piece)

    async def result(self) -> T:
        try:
            return await asyncio.wrap_future(self._future)
        except asyncio.CancelledError:
            self.cancel()
            raise

    async def pieces(self) -> AsyncIterator[Any]:
        """What the work tells, until it ends. Raises what the work raised."""
        try:
            while (piece := await self._pieces.get()) is not self._end:
                yield piece
            if self._future.cancelled():
                raise CancelledError("the client has gone", hint="")
            if (error := self._future.exception()) is not None:
                raise error
        finally:
            self.cancel()

    def _finish(self, done: Callable[[], None]) -> None:
        self._pieces.put_nowait(self._end)
        done()

    def _call(self, function: Callable[..., None], *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(function, *arguments)

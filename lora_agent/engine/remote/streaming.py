"""A server's answer while it is written. The request runs in a thread; what it is told comes here through a queue."""

from __future__ import annotations

import threading
from collections.abc import Generator
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from lora_agent.types import JsonSchema, Result

if TYPE_CHECKING:
    from lora_agent.engine.remote.session import RemoteSession


def as_written(
    session: RemoteSession, schema: JsonSchema | None, options: dict[str, Any]
) -> Generator[str, None, Result]:
    """`session.generate`, yielding the text so far. Closing the generator gives the request up."""
    told: SimpleQueue[str | Result | BaseException] = SimpleQueue()
    closed = threading.Event()
    cancel = options.pop("cancel", None)

    def work() -> None:
        try:
            told.put(
                session.generate(
                    schema=schema,
                    watch=told.put,
                    cancel=lambda: closed.is_set() or bool(cancel is not None and cancel()),
                    **options,
                )
            )
        except BaseException as error:  # noqa: BLE001 - it is raised where the answer is read
            told.put(error)

    threading.Thread(target=work, name="stream", daemon=True).start()
    try:
        while True:
            piece = told.get()
            if isinstance(piece, BaseException):
                raise piece
            if isinstance(piece, Result):
                return piece
            yield piece
    finally:
        closed.set()

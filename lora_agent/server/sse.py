"""Server-sent events to a client that may be slow or gone. Knows bytes and the ASGI connection only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from lora_agent.types import compact_json

DONE = b"data: [DONE]\n\n"


def event(value: BaseModel | dict[str, object], name: str | None = None) -> bytes:
    """One event. Fields that were not set are left out."""
    raw = value.model_dump(exclude_unset=True) if isinstance(value, BaseModel) else value
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {compact_json(raw)}\n\n".encode("utf-8", "replace")


class EventStream(Response):
    """Sends events as they come, then closes `stack`. A client that takes none for `write_timeout_s` is let go."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[bytes], stack: AsyncExitStack, write_timeout_s: float) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._events, self._stack, self._timeout = events, stack, write_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._stack:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            try:
                async for chunk in self._events:
                    async with asyncio.timeout(self._timeout):
                        await send({"type": "http.response.body", "body": chunk, "more_body": True})
                async with asyncio.timeout(self._timeout):
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
            except (TimeoutError, OSError):
                return  # too slow, or gone: leaving the stack cancels the work, and the server closes the connection

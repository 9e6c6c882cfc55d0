"""One log line and one count a request; and the last boundary: an exception becomes a refusal that hides its details.

The line is JSON. Texts of messages are not in it unless the operator asks for them. Knows no routes.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lora_agent.server.failures import error_response, internal_error
from lora_agent.server.metrics import Metrics

log = logging.getLogger("lora_agent.server")


class Record:
    """Outermost. Routes add what is worth knowing to `request.state.facts`."""

    def __init__(self, app: ASGIApp, metrics: Metrics, log_text: bool) -> None:
        self._app, self._metrics, self._log_text = app, metrics, log_text

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.monotonic()
        state = scope.setdefault("state", {})
        facts: dict[str, Any] = {}
        state["facts"] = facts
        status = 0

        async def seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, seen)
        except Exception as error:  # noqa: BLE001 - the last boundary
            log_fault(error, state.get("id", ""), self._log_text)
            if not status:
                facts["error"] = "internal_error"
                await error_response(internal_error(state.get("id", "")))(scope, receive, seen)
        finally:
            seconds = time.monotonic() - started
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.request(route, status, seconds)
            if (code := facts.get("error")) is not None:
                self._metrics.refused(code)
            _line(
                "request",
                id=state.get("id"),
                key=state.get("key"),
                method=scope["method"],
                path=route,
                status=status or None,  # None: the client left before the answer began
                ms=round(seconds * 1000),
                **facts,
            )


def log_fault(error: Exception, request_id: str, log_text: bool) -> None:
    """A fault of this program: where it happened. Its message may quote the request, so it counts as text."""
    frames = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)]
    said = {"message": str(error)} if log_text else {}
    _line("fault", id=request_id, type=type(error).__name__, frames=frames[-12:], **said)


def _line(event: str, **fields: Any) -> None:
    if log.isEnabledFor(logging.INFO):
        log.info(json.dumps({"time": round(time.time(), 3), "event": event, **fields}, ensure_ascii=False))


def log_to_stderr() -> None:
    """One JSON value a line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False

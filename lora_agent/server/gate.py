"""What every request passes before a route sees it: an id, the right key, a body that is small, whole and sane.

Plain ASGI, so that streams and disconnects go through untouched. Knows settings and refusals, no routes.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
import secrets
import time
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lora_agent.server.failures import ApiError, error_response
from lora_agent.server.settings import ServerSettings

OPEN_PATHS = frozenset({"/", "/health", "/ready", "/playground.css", "/playground.js"})
"""Hold nothing that a key protects: the two probes, and a page that asks for the key itself."""
_LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
_ID = re.compile(r"^[A-Za-z0-9._-]{1,128}$")


class Gate:
    def __init__(self, app: ASGIApp, settings: ServerSettings) -> None:
        self._app = app
        self._settings = settings
        self._keys = [key.encode() for key in settings.keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # a websocket: there are none here, uvicorn refuses it
        headers = Headers(scope=scope)
        state = scope.setdefault("state", {})
        state["arrived"] = time.monotonic()
        state["id"] = _request_id(headers)

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-request-id", state["id"].encode())]
            await send(message)

        try:
            state["key"] = self._check_caller(scope["path"], headers)
            body = await self._body(scope["method"], headers, receive)
        except ApiError as error:
            # The rest of the body is not read, so the connection cannot be used again.
            error.headers["Connection"] = "close"
            state.setdefault("facts", {})["error"] = error.body.code or error.body.type
            await error_response(error)(scope, receive, marked)
            return
        except _Gone:
            return
        await self._app(scope, receive if body is None else _replay(body, receive), marked)

    def _check_caller(self, path: str, headers: Headers) -> str:
        """Which key it is, as a label that is safe to log. Raises ApiError 401 or 403."""
        if not self._keys:
            # Without keys only this machine may call. A web page that points its own name at 127.0.0.1 (DNS
            # rebinding) comes with that name in Host.
            host = _host_name(headers.get("host", ""))
            if host not in _LOOPBACK_HOSTS:
                raise ApiError(403, f"Host {host!r:.80} is not this machine. Use localhost, or set an API key.")
            return "local"
        if path in OPEN_PATHS:
            return "open"
        given = headers.get("authorization", "")
        scheme, _, key = given.partition(" ")
        raw = key.strip().encode() if scheme.lower() == "bearer" else b""
        # All keys are compared, each in constant time: how long it takes tells nothing about which or where.
        matches = [hmac.compare_digest(raw, known) for known in self._keys]
        if not any(matches):
            what = "The API key is wrong." if raw else "An API key is needed: Authorization: Bearer KEY."
            raise ApiError(
                401, what, kind="authentication_error", code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"}
            )
        return "key-" + hashlib.sha256(self._keys[matches.index(True)]).hexdigest()[:8]

    async def _body(self, method: str, headers: Headers, receive: Receive) -> bytes | None:
        """The whole body of a POST, checked; None for other methods, whose bodies no route reads."""
        if method != "POST":
            return None
        limit = self._settings.max_body_bytes
        if int(_digits(headers.get("content-length", "0"))) > limit:
            raise _too_large(limit)
        # A page of another origin may send text/plain without asking, but not JSON.
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise ApiError(415, "The body must be JSON, with Content-Type: application/json.", code="not_json")
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._settings.body_timeout_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _Gone
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > limit:
                        raise _too_large(limit)
                    if not message.get("more_body"):
                        break
        except TimeoutError:
            seconds = self._settings.body_timeout_s
            raise ApiError(408, f"The body did not arrive within {seconds:g} s.", code="body_timeout") from None
        body = b"".join(parts)
        _check_text(body)
        return body


class _Gone(Exception):
    """The client left while it sent."""


def _check_text(body: bytes) -> None:
    """Text that no tokenizer and no answer could carry is refused here: broken UTF-8, half a surrogate pair, NaN."""
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_no_constant)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeDecodeError as error:
        raise ApiError(400, f"The body is not UTF-8 at byte {error.start}.", code="invalid_json") from None
    except UnicodeEncodeError:
        raise ApiError(400, "A text holds half of a surrogate pair.", code="invalid_json") from None
    except json.JSONDecodeError as error:
        raise ApiError(
            400, f"The body is not JSON: {error.msg} at character {error.pos}.", code="invalid_json"
        ) from None
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"The body cannot be read as JSON: {error}.", code="invalid_json") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body that was read, then whatever comes (the client's leaving)."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _request_id(headers: Headers) -> str:
    """The client's own, where it is one that is safe to log."""
    given = headers.get("x-request-id", "")
    return given if _ID.match(given) else f"req_{secrets.token_hex(12)}"


def _host_name(value: str) -> str:
    """Without port and brackets."""
    if value.startswith("["):
        return value[1:].partition("]")[0].lower()
    return value.rpartition(":")[0].lower() if value.count(":") == 1 else value.lower()


def _digits(value: str) -> str:
    return value if value.isdecimal() and len(value) < 20 else "0"


def _too_large(limit: int) -> ApiError:
    return ApiError(413, f"The body is larger than {limit} bytes, this server's limit.", code="body_too_large")

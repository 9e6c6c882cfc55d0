"""What every route may answer beside its value, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from lora_agent.server.failures import ErrorAnswer

_WHY = {
    400: "The request is malformed, or asks for what this server does not do; `param` names the parameter.",
    401: "No API key, or a wrong one.",
    403: "This server does not take requests from there.",
    404: "There is no such model.",
    408: "The body came too slowly.",
    409: "The adapter cannot be used: its package is damaged, for another base, or does not act as it was built.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "The model wrote no valid value.",
    429: "Too many requests; `Retry-After` says when to come back.",
    500: "A fault of the server; its log has the details under the request's id.",
    503: "The server is shutting down; `Retry-After` says when to come back.",
    504: "The answer was not finished in time.",
}
REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer, "description": why} for status, why in _WHY.items()
}
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "Whole, or as events."},
    **REFUSALS,
}

"""Every refusal in OpenAI's error shape: which status, type and code an exception becomes.

`{"error": {"message", "type", "param", "code"}}`; the message holds the remedy. Knows exceptions and HTTP, no routes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from lora_agent import errors


class ErrorBody(BaseModel):
    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorAnswer(BaseModel):
    """What every refused request gets."""

    error: ErrorBody


class ApiError(Exception):
    """A refusal by the server itself."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        self.headers = dict(headers or {})
        self.body = ErrorBody(message=message, type=kind, param=param, code=code)
        super().__init__(message)


# First match wins, so the narrower class stands first. (class, status, type, code)
_KNOWN: tuple[tuple[type[errors.LoraAgentError], int, str, str], ...] = (
    (errors.ContextTooLongError, 400, "invalid_request_error", "context_length_exceeded"),
    (errors.SchemaError, 400, "invalid_request_error", "invalid_json_schema"),
    (errors.ToolError, 400, "invalid_request_error", "invalid_tool"),
    (errors.InputError, 400, "invalid_request_error", "invalid_value"),
    (errors.UnknownAdapterError, 404, "invalid_request_error", "model_not_found"),
    (errors.AdapterError, 409, "invalid_request_error", "adapter_refused"),
    (errors.DeadlineError, 504, "timeout_error", "deadline_exceeded"),
    (errors.CancelledError, 499, "invalid_request_error", "client_closed_request"),
    (errors.ModelOutputError, 422, "model_output_error", "invalid_model_output"),
)


def as_api_error(error: Exception) -> ApiError | None:
    """None for what is no refusal but a fault of this program."""
    if isinstance(error, ApiError):
        return error
    if not isinstance(error, errors.LoraAgentError):
        return None
    text = f"{error.message}. {error.hint}" if error.hint else error.message
    for known, status, kind, code in _KNOWN:
        if isinstance(error, known):
            return ApiError(status, text, kind=kind, code=code)
    return ApiError(500, text, kind="server_error", code=_snake(type(error).__name__))


def internal_error(request_id: str) -> ApiError:
    """A fault of this program, without its details: they are in the log under the same id."""
    return ApiError(
        500,
        f"The server failed on this request. Its log has the details under the request id {request_id}.",
        kind="server_error",
        code="internal_error",
    )


def validation_error(error: RequestValidationError) -> ApiError:
    """The first of pydantic's findings, with the field's place as `param`."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"] if part != "body")
    if first["type"] == "json_invalid":
        reason = first.get("ctx", {}).get("error", first["msg"])
        return ApiError(400, f"The body is not JSON: {reason} (character {place}).", code="invalid_json")
    if first["type"] == "extra_forbidden":
        return ApiError(
            400, f"Unknown parameter: {place!r}. This server ignores nothing silently.",
            param=place, code="unknown_parameter",
        )  # fmt: skip
    if first["type"] == "missing":
        what = f"Missing required parameter: {place!r}." if place else "The request has no body."
        return ApiError(400, what, param=place or None, code="missing_required_parameter")
    message = first["msg"].removeprefix("Value error, ")
    where = f"Invalid value for {place!r}: " if place else ""
    return ApiError(400, f"{where}{message}.".replace("..", "."), param=place or None, code="invalid_value")


def error_response(error: ApiError) -> JSONResponse:
    return JSONResponse(ErrorAnswer(error=error.body).model_dump(), error.status, headers=error.headers)


async def on_api_error(request: Request, error: Exception) -> JSONResponse:
    known = as_api_error(error)
    if known is None:
        raise error
    return _told(request, known)


async def on_validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return _told(request, validation_error(error))


async def on_http_exception(request: Request, error: Exception) -> JSONResponse:
    """404 and 405 of the router, and a body that cannot be read."""
    assert isinstance(error, HTTPException)
    messages: dict[int, tuple[str, str]] = {
        404: (f"There is no {request.method} {request.url.path}. GET /openapi.json lists what there is.", "not_found"),
        405: (f"{request.url.path} does not take {request.method}.", "method_not_allowed"),
        400: ("The body is not JSON.", "invalid_json"),
    }
    message, code = messages.get(error.status_code, (str(error.detail), "http_error"))
    headers: dict[str, Any] = dict(error.headers or {})
    return _told(request, ApiError(error.status_code, message, code=code, headers=headers))


def _told(request: Request, error: ApiError) -> JSONResponse:
    request.state.facts["error"] = error.body.code or error.body.type
    return error_response(error)


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()

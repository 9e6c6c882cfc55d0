"""`/health` (alive) and `/ready` (takes work), open to everybody and silent on all else; `/metrics`."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.responses import PlainTextResponse, Response

from lora_agent.server.failures import ApiError, ErrorAnswer
from lora_agent.server.service import service

router = APIRouter(tags=["status"])


class Status(BaseModel):
    status: Literal["ok"] = "ok"


@router.get("/health")
async def health() -> Status:
    """The process answers."""
    return Status()


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Counts for Prometheus."""
    return Response(service(request).metrics.text(), media_type=CONTENT_TYPE_LATEST)


@router.get("/ready", responses={503: {"model": ErrorAnswer, "description": "Shutting down."}})
async def ready(request: Request) -> Status:
    """The base is loaded and new requests are taken."""
    if service(request).admission.draining:
        raise ApiError(503, "The server is shutting down.", kind="server_error", code="shutting_down")
    return Status()

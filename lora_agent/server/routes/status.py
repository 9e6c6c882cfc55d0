"""`/health` and `/ready`: is the process alive, and does it take work. Open to everybody, they say nothing else."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel

from lora_agent.server.failures import ApiError, ErrorAnswer
from lora_agent.server.service import service

router = APIRouter(tags=["status"])


class Status(BaseModel):
    status: Literal["ok"] = "ok"


@router.get("/health")
async def health() -> Status:
    """The process answers."""
    return Status()


@router.get("/ready", responses={503: {"model": ErrorAnswer, "description": "Shutting down."}})
async def ready(request: Request) -> Status:
    """The base is loaded and new requests are taken."""
    if service(request).admission.draining:
        raise ApiError(503, "The server is shutting down.", kind="server_error", code="shutting_down")
    return Status()

"""`POST /v1/schema/explain`: what becomes of every keyword of a JSON Schema, before anything is generated."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pydantic import ConfigDict, Field

from lora_agent.server.bounds import check_schema
from lora_agent.server.routes.documented import REFUSALS
from lora_agent.server.service import service
from lora_agent.server.wire.shared import Part, Wire
from lora_agent.structured import Note, explain

router = APIRouter(responses=REFUSALS, tags=["schema"])


class ExplainRequest(Wire):
    model_config = ConfigDict(populate_by_name=True)

    json_schema: dict[str, Any] | bool = Field(alias="schema")


class KeywordNote(Part):
    pointer: str
    """JSON pointer of the schema that holds the keyword."""
    keyword: str
    reason: str


class ExplainAnswer(Part):
    ok: bool
    enforced: list[KeywordNote]
    """No text that breaks the keyword can be written."""
    checked: list[KeywordNote]
    """Not in the grammar: checked on the finished value, which is decoded again where it fails."""
    refused: list[KeywordNote]
    """A request with this schema is refused."""


@router.post("/v1/schema/explain")
async def explain_schema(body: ExplainRequest, request: Request) -> ExplainAnswer:
    """List each keyword as enforced, checked after, or refused."""
    server = service(request)
    check_schema(body.json_schema if isinstance(body.json_schema, dict) else {}, "schema", server.settings)
    async with server.job(request, lambda _: explain(body.json_schema)) as job:
        found = await job.result()
    return ExplainAnswer(
        ok=found.ok, enforced=_notes(found.enforced), checked=_notes(found.checked), refused=_notes(found.refused)
    )


def _notes(notes: list[Note]) -> list[KeywordNote]:
    return [KeywordNote(pointer=n.pointer, keyword=n.keyword, reason=n.reason) for n in notes]

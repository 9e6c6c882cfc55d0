"""`GET /v1/models`: what may be asked for."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Request

from lora_agent.registry import AdapterPackage
from lora_agent.server.routes.documented import REFUSALS
from lora_agent.server.service import Service, service
from lora_agent.server.wire.shared import Part

router = APIRouter(responses=REFUSALS, tags=["models"])


class ModelCard(Part):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["lora-agent"] = "lora-agent"
    root: str
    """For an adapter its name and the digest of its package; both together name one build."""
    parent: str | None = None
    description: str
    lora_agent: dict[str, Any] | None = None
    """Of one adapter: kind, version, contract, gate report, calibration. Of the agent: its tools."""


class ModelList(Part):
    object: Literal["list"] = "list"
    data: list[ModelCard]


@router.get("/v1/models")
async def list_models(request: Request) -> ModelList:
    """The base, the router, the agent and every adapter."""
    server = service(request)
    return ModelList(data=[ModelCard(created=server.started, **entry) for entry in server.catalogue.entries()])


@router.get("/v1/models/{model}")
async def show_model(model: str, request: Request) -> ModelCard:
    """One of them; an adapter with its contract and its gate report."""
    server = service(request)
    target = server.catalogue.find(model)
    name = target.name if isinstance(target, AdapterPackage) else model
    entry = next(entry for entry in server.catalogue.entries() if entry["id"] == name)
    return ModelCard(created=server.started, **entry, lora_agent=_facts(server, target))


def _facts(server: Service, target: str | AdapterPackage) -> dict[str, Any]:
    if not isinstance(target, AdapterPackage):
        tools = server.answerer.tools.specs if target == "agent" else ()
        return {"tools": [tool.openai() for tool in tools], "documents": server.answerer.documents is not None}
    manifest = target.manifest
    return {
        "version": target.version,
        "kind": target.spec.kind,
        "digest": target.digest,
        "examples": list(target.spec.examples),
        "licence": target.spec.licence,
        "input_schema": target.input_schema,
        "output_schema": target.output_schema,
        "base": manifest.base.model_dump(mode="json"),
        "gate": manifest.gate.model_dump(mode="json"),
        "calibration": manifest.calibration.model_dump(mode="json"),
        "data": [entry.model_dump(mode="json") for entry in manifest.data],
        "created": manifest.created.isoformat(),
    }

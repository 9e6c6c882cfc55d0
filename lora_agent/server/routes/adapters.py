"""`POST /v1/load_lora_adapter` and `/v1/unload_lora_adapter`, the verbs that vLLM's users know; off unless enabled.

The operator names one folder; a request names a package in it. What a request says is compared with the names that lie
there, and never opened as a path.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import Field

from lora_agent.errors import UnknownAdapterError
from lora_agent.registry import AdapterPackage, read_package
from lora_agent.registry.registry import package_folders
from lora_agent.server.failures import ApiError
from lora_agent.server.routes.documented import REFUSALS
from lora_agent.server.service import Service, service
from lora_agent.server.wire.shared import Part, Wire

router = APIRouter(responses=REFUSALS, tags=["models"])


class LoadRequest(Wire):
    lora_name: str = Field(min_length=1, max_length=256)
    lora_path: str | None = Field(default=None, max_length=256)
    """The package's folder name, where it differs from the adapter's; never a path."""
    load_inplace: Literal[False] | None = None
    lora_int_id: None = None


class UnloadRequest(Wire):
    lora_name: str = Field(min_length=1, max_length=256)
    lora_int_id: None = None


class AdapterAnswer(Part):
    message: str
    """In vLLM's words."""
    digest: str | None = None


@router.post("/v1/load_lora_adapter")
async def load(body: LoadRequest, request: Request) -> AdapterAnswer:
    """Load a package of the operator's folder, once it has passed every check, its fingerprint included."""
    server = service(request)
    folder, engine = _enabled(server)
    async with server.job(request, lambda _: _load(engine, folder, body)) as job:
        package = await job.result()
    return AdapterAnswer(message=f"Success: LoRA adapter '{package.name}' added successfully.", digest=package.digest)


@router.post("/v1/unload_lora_adapter")
async def unload(body: UnloadRequest, request: Request) -> AdapterAnswer:
    """Forget an adapter. Requests that it is at work for are finished."""
    server = service(request)
    _, engine = _enabled(server)
    async with server.job(request, lambda _: engine.remove(body.lora_name)) as job:
        await job.result()
    return AdapterAnswer(message=f"Success: LoRA adapter '{body.lora_name}' removed successfully.")


def _enabled(server: Service) -> tuple[Path, Any]:
    folder = server.settings.adapter_folder
    if folder is None or not hasattr(server.engine, "add"):
        raise ApiError(
            403,
            "Loading adapters over HTTP is off; the operator turns it on with --enable-adapter-loading FOLDER.",
            code="adapter_loading_disabled",
        )
    return folder, server.engine


def _load(engine: Any, folder: Path, body: LoadRequest) -> AdapterPackage:
    wanted = body.lora_path or body.lora_name
    found = {child.name: child for child in package_folders(folder) if child != folder}
    if wanted not in found:
        raise UnknownAdapterError(
            f"there is no package {wanted!r:.100} in the operator's folder",
            hint=f"There are: {', '.join(sorted(found)) or 'none'}.",
        )
    package = read_package(found[wanted])
    if package.name != body.lora_name:
        raise UnknownAdapterError(
            f"package {wanted!r} holds adapter {package.name!r}, not {body.lora_name!r:.100}",
            hint=f"Ask for lora_name {package.name!r}.",
        )
    engine.add(package)
    return package

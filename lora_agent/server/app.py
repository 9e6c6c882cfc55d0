"""Puts the application together: service, routes, refusals, what surrounds every request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from lora_agent import __version__
from lora_agent.agent import Retriever, ToolSet
from lora_agent.engine.protocol import EngineProtocol
from lora_agent.errors import LoraAgentError
from lora_agent.server import failures
from lora_agent.server.gate import Gate
from lora_agent.server.record import Record
from lora_agent.server.routes import adapters, chat, completions, models, playground, responses, schema, status
from lora_agent.server.service import Service
from lora_agent.server.settings import ServerSettings


def create_app(
    engine: EngineProtocol,
    settings: ServerSettings | None = None,
    *,
    tools: ToolSet | None = None,
    documents: Retriever | None = None,
) -> FastAPI:
    """The ASGI application. `tools` and `documents` are what model `agent` works with."""
    app = routes()
    service = Service(engine, settings or ServerSettings(), tools=tools, documents=documents)
    app.state.service = service
    app.add_middleware(Gate, settings=service.settings)
    app.add_middleware(Record, metrics=service.metrics, log_text=service.settings.log_text)
    return app


def routes() -> FastAPI:
    """The paths without an engine behind them: enough for the OpenAPI document."""
    app = FastAPI(
        title="lora-agent",
        version=__version__,
        summary="One quantized base, every skill a LoRA adapter, in the shape of the OpenAI API.",
        lifespan=_lifespan,
        docs_url=None,  # its page would load scripts from elsewhere; docs/api.md says the same
        redoc_url=None,
    )
    for module in (chat, completions, responses, models, adapters, schema, status, playground):
        app.include_router(module.router)
    app.add_exception_handler(failures.ApiError, failures.on_api_error)
    app.add_exception_handler(LoraAgentError, failures.on_api_error)
    app.add_exception_handler(RequestValidationError, failures.on_validation_error)
    app.add_exception_handler(HTTPException, failures.on_http_exception)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    app.state.service.pool.shutdown(wait=False, cancel_futures=True)
    app.state.service.spans.close()

"""What all routes share: engine, limits, workers; and how a request becomes a job that ends with its client.

Knows jobs and admission; nothing of what a request says.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from fastapi import Request

from lora_agent.agent import Policy, Retriever, ToolSet
from lora_agent.engine.protocol import EngineProtocol
from lora_agent.server.admission import Admission
from lora_agent.server.answer import Answerer
from lora_agent.server.catalogue import Catalogue
from lora_agent.server.jobs import Job
from lora_agent.server.metrics import Metrics
from lora_agent.server.settings import ServerSettings
from lora_agent.server.spans import Spans

T = TypeVar("T")


class Service:
    """One per application."""

    def __init__(
        self,
        engine: EngineProtocol,
        settings: ServerSettings,
        *,
        tools: ToolSet | None = None,
        documents: Retriever | None = None,
    ) -> None:
        self.engine = engine
        self.settings = settings
        self.catalogue = Catalogue(engine)
        policy = Policy(time_s=settings.request_timeout_s)
        self.answerer = Answerer(engine, self.catalogue, tools=tools, documents=documents, policy=policy)
        self.admission = Admission(settings)
        self.metrics = Metrics(engine, self.admission)
        self.spans = Spans()
        self.pool = ThreadPoolExecutor(settings.workers, thread_name_prefix="engine")
        self.started = int(time.time())

    def deadline(self, request: Request) -> float:
        """As a `time.monotonic()` value, counted from the request's arrival."""
        return float(request.state.arrived) + self.settings.request_timeout_s

    @contextlib.asynccontextmanager
    async def job(self, request: Request, work: Callable[[Job[T]], T]) -> AsyncIterator[Job[T]]:
        """Admit a request and start its work, which is cancelled once the client has gone or the block is left.

        Raises ApiError 429 or 503."""
        ticket = self.admission.enter(request.state.key)
        try:
            job = Job(self.pool, work, ticket.leave)
        except BaseException:
            ticket.leave()
            raise
        watcher = asyncio.create_task(_until_gone(request, job))
        try:
            yield job
        finally:
            watcher.cancel()
            job.cancel()

    async def drain(self) -> None:
        """Take nothing new, and wait for what is inside, but no longer than the settings say."""
        self.admission.draining = True
        until = time.monotonic() + self.settings.drain_s
        while self.admission.inside and time.monotonic() < until:
            await asyncio.sleep(0.05)


async def _until_gone(request: Request, job: Job[Any]) -> None:
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            job.cancel()
            return


def service(request: Request) -> Service:
    found: Service = request.app.state.service
    return found


def note_facts(request: Request, **facts: Any) -> None:
    """For the request's line in the log."""
    request.state.facts.update(facts)

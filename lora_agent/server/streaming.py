"""One request → its answers, whole or piece by piece; the three APIs differ only in how they write them down.

Refusals come before the first piece, and are answered as such; what fails later is an event of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial

from fastapi import Request

from lora_agent.server.answer import Answer, Limits, Piece
from lora_agent.server.ask import Ask
from lora_agent.server.failures import ApiError, as_api_error, internal_error
from lora_agent.server.jobs import Job
from lora_agent.server.record import log_fault
from lora_agent.server.service import Service, note_facts
from lora_agent.server.sse import EventStream
from lora_agent.types import Usage

Told = tuple[int, Piece | Answer]
"""The index of the answer, and what is new of it; its last one is the Answer."""
Events = AsyncIterator[bytes]


async def whole(server: Service, request: Request, asks: Sequence[Ask]) -> list[Answer]:
    """All answers, `n` of each ask. Raises what the engine raises, and ApiError."""
    async with server.job(request, lambda job: _answers(server, asks, request, job, tell=False)) as job:
        return await job.result()


async def streamed(
    server: Service,
    request: Request,
    asks: Sequence[Ask],
    write: Callable[[AsyncIterator[Told]], Events],
    fail: Callable[[ApiError], bytes],
) -> EventStream:
    """A response that writes pieces as events. Raises like `whole` for what is known before the first piece."""
    async with AsyncExitStack() as stack:
        job = await stack.enter_async_context(
            server.job(request, lambda job: _answers(server, asks, request, job, tell=True))
        )
        pieces = job.pieces()
        first: Told = await anext(pieces)
        events = _guarded(write(_again(first, pieces)), fail, request, server.settings.log_text)
        return EventStream(events, stack.pop_all(), server.settings.write_timeout_s)
    raise AssertionError  # for the type checker: the block returns or raises


def _answers(
    server: Service, asks: Sequence[Ask], request: Request, job: Job[list[Answer]], *, tell: bool
) -> list[Answer]:
    """One after the other, each of the `n` with a seed of its own. In a worker's thread."""
    answers: list[Answer] = []
    for ask in asks:
        for repeat in range(ask.n):
            index = len(answers)
            own = ask if ask.seed is None else replace(ask, seed=ask.seed + repeat)
            limits = Limits(
                server.deadline(request),
                job.cancelled,
                partial(_tell, job, index) if tell else None,
                server.metrics.note,
            )
            work = partial(server.answerer.answer, own, limits)
            answers.append(server.spans.around(own, request.headers, work))
            _note(request, ask, answers, server.settings.log_text)
            if tell:
                job.tell((index, answers[-1]))
    return answers


def _note(request: Request, ask: Ask, answers: Sequence[Answer], log_text: bool) -> None:
    """What the request's line in the log says of it: counts, and texts only where the operator wants them."""
    usage = sum((answer.usage for answer in answers), Usage())
    note_facts(
        request,
        model=answers[-1].model,
        asked=ask.model,
        finish=answers[-1].finish,
        prompt_tokens=usage.read + usage.reused,
        cached_tokens=usage.reused,
        completion_tokens=usage.generated + usage.forced,
    )
    if log_text:
        texts = [message.content for message in ask.messages] if ask.text is None else [ask.text]
        note_facts(request, texts=texts, answers=[answer.details.get("output", answer.content) for answer in answers])


def _tell(job: Job[list[Answer]], index: int, piece: Piece) -> None:
    job.tell((index, piece))


async def _again(first: Told, rest: AsyncIterator[Told]) -> AsyncIterator[Told]:
    yield first
    async for item in rest:
        yield item


async def _guarded(events: Events, fail: Callable[[ApiError], bytes], request: Request, log_text: bool) -> Events:
    try:
        async for event in events:
            yield event
    except asyncio.CancelledError:
        raise
    except Exception as error:  # noqa: BLE001 - the boundary: a stream that has begun can only tell it as an event
        known = as_api_error(error)
        if known is None:
            log_fault(error, request.state.id, log_text)
        known = known or internal_error(request.state.id)
        note_facts(request, error=known.body.code or known.body.type)
        yield fail(known)

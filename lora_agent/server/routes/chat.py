"""`POST /v1/chat/completions`."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from lora_agent.server.answer import Answer, Limits, Piece
from lora_agent.server.ask import Ask, read_chat
from lora_agent.server.deltas import Deltas
from lora_agent.server.failures import ApiError, as_api_error, internal_error
from lora_agent.server.jobs import Job
from lora_agent.server.routes.documented import REFUSALS
from lora_agent.server.service import Service, service
from lora_agent.server.sse import DONE, EventStream, event
from lora_agent.server.wire.chat import (
    AnswerFunction,
    AnswerMessage,
    AnswerToolCall,
    ChatAnswer,
    ChatChunk,
    ChatRequest,
    Choice,
    ChunkChoice,
    Delta,
    Logprobs,
)
from lora_agent.server.wire.shared import LogprobPart, UsagePart
from lora_agent.types import Usage, compact_json

router = APIRouter()


@router.post("/v1/chat/completions", response_model=ChatAnswer, responses=REFUSALS, tags=["answers"])
async def chat_completions(body: ChatRequest, request: Request) -> Response:
    """Answer a conversation: by the base, an adapter, the router's choice or the agent.

    With `stream` the answer comes as server-sent events (`chat.completion.chunk`), the last one `data: [DONE]`."""
    server = service(request)
    ask = read_chat(body, server.settings)
    server.catalogue.find(ask.model)
    if body.stream:
        return await _stream(server, ask, body, request)
    async with server.job(request, lambda job: _answers(server, ask, request, job, tell=False)) as job:
        answers = await job.result()
    return JSONResponse(_whole(answers).model_dump())


def _answers(server: Service, ask: Ask, request: Request, job: Job[list[Answer]], *, tell: bool) -> list[Answer]:
    """`n` answers, one after the other, each with a seed of its own. In a worker's thread."""
    answers = []
    for index in range(ask.n):
        own = ask if ask.seed is None else replace(ask, seed=ask.seed + index)
        limits = Limits(
            deadline=server.deadline(request),
            cancel=job.cancelled,
            tell=partial(_tell, job, index) if tell else None,
        )
        answers.append(server.answerer.answer(own, limits))
        if tell:
            job.tell((index, answers[-1]))
    return answers


def _tell(job: Job[list[Answer]], index: int, piece: Piece) -> None:
    job.tell((index, piece))


def _whole(answers: list[Answer]) -> ChatAnswer:
    choices = [
        Choice(
            index=index,
            message=AnswerMessage(content=answer.content, tool_calls=_tool_calls(answer)),
            logprobs=_logprobs(answer),
            finish_reason=answer.finish,
        )
        for index, answer in enumerate(answers)
    ]
    return ChatAnswer(
        id=_new_id(),
        created=int(time.time()),
        model=answers[0].model,
        choices=choices,
        usage=UsagePart.of(sum((answer.usage for answer in answers), Usage())),
        lora_agent=_details(answers),
    )


async def _stream(server: Service, ask: Ask, body: ChatRequest, request: Request) -> Response:
    """Refusals come before the first piece, and are answered as such; what fails later is an event of its own."""
    async with AsyncExitStack() as stack:
        job = await stack.enter_async_context(
            server.job(request, lambda job: _answers(server, ask, request, job, tell=True))
        )
        pieces = job.pieces()
        stack.push_async_callback(pieces.aclose)  # type: ignore[attr-defined]  # an async generator
        first = await anext(pieces)
        with_usage = bool(body.stream_options and body.stream_options.include_usage)
        request_id = getattr(request.state, "id", "")
        events = _events(first, pieces, ask, with_usage, request_id)
        return EventStream(events, stack.pop_all(), server.settings.write_timeout_s)
    raise AssertionError  # for the type checker: the block returns


async def _events(
    first: Any, pieces: AsyncIterator[Any], ask: Ask, with_usage: bool, request_id: str
) -> AsyncIterator[bytes]:
    fixed: dict[str, Any] = {
        "id": _new_id(),
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": ask.model,
    }
    deltas = [Deltas() for _ in range(ask.n)]
    answers: list[Answer] = []
    opened: set[int] = set()

    def chunk(index: int, delta: Delta, **more: Any) -> bytes:
        finish = more.pop("finish_reason", None)
        choice = ChunkChoice(index=index, delta=delta, finish_reason=finish, **more.pop("choice", {}))
        return event(ChatChunk(**fixed, choices=[choice], **more))

    try:
        async for index, piece in _again(first, pieces):
            if index not in opened:
                opened.add(index)
                yield chunk(index, Delta(role="assistant", content=""))
            if isinstance(piece, Piece):
                if piece.step is not None:
                    yield chunk(index, Delta(), lora_agent={"step": piece.step.to_json()})
                for delta in deltas[index].of(piece):
                    yield chunk(index, delta)
                continue
            answers.append(piece)
            for delta in deltas[index].rest(piece):
                yield chunk(index, delta)
            logprobs = _logprobs(piece)
            yield chunk(
                index,
                Delta(),
                finish_reason=piece.finish,
                choice={} if logprobs is None else {"logprobs": logprobs},
                lora_agent=_details([piece]),
            )
        if with_usage:
            usage = UsagePart.of(sum((answer.usage for answer in answers), Usage()))
            yield event(ChatChunk(**fixed, choices=[], usage=usage))
        yield DONE
    except asyncio.CancelledError:
        raise
    except Exception as error:  # noqa: BLE001 - the boundary: a stream that has begun can only tell it as an event
        known = as_api_error(error) or internal_error(request_id)
        yield event({"error": known.body.model_dump()})


async def _again(first: Any, rest: AsyncIterator[Any]) -> AsyncIterator[Any]:
    yield first
    async for item in rest:
        yield item


def _tool_calls(answer: Answer) -> list[AnswerToolCall] | None:
    return [
        AnswerToolCall(
            id=f"call_{secrets.token_hex(12)}",
            function=AnswerFunction(name=call.name, arguments=compact_json(call.arguments)),
        )
        for call in answer.calls
    ] or None


def _logprobs(answer: Answer) -> Logprobs | None:
    return Logprobs(content=[LogprobPart.of(entry) for entry in answer.logprobs]) if answer.logprobs else None


def _details(answers: list[Answer]) -> dict[str, Any]:
    """Of the first answer, and of all of them where there are several."""
    own = {"model": answers[0].model, **answers[0].details}
    return own if len(answers) == 1 else {**own, "choices": [dict(answer.details) for answer in answers]}


def _new_id() -> str:
    return f"chatcmpl-{secrets.token_hex(12)}"


__all__ = ["ApiError", "router"]

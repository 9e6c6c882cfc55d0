"""`POST /v1/chat/completions`."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from lora_agent.server.answer import Answer, Piece
from lora_agent.server.ask import Ask, read_chat
from lora_agent.server.deltas import Deltas
from lora_agent.server.failures import ApiError
from lora_agent.server.routes.documented import ANSWERS
from lora_agent.server.service import service
from lora_agent.server.sse import DONE, event
from lora_agent.server.streaming import Told, streamed, whole
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

router = APIRouter(tags=["answers"])


@router.post("/v1/chat/completions", response_model=ChatAnswer, responses=ANSWERS)
async def chat_completions(body: ChatRequest, request: Request) -> Response:
    """Answer a conversation: by the base, an adapter, the router's choice or the agent.

    With `stream` the answer comes as server-sent events (`chat.completion.chunk`), the last one `data: [DONE]`."""
    server = service(request)
    ask = read_chat(body, server.settings)
    server.catalogue.find(ask.model)
    if not body.stream:
        return JSONResponse(_completion(await whole(server, request, [ask])).model_dump())
    usage = bool(body.stream_options and body.stream_options.include_usage)
    return await streamed(server, request, [ask], lambda told: _chunks(told, ask, usage=usage), failed)


def failed(error: ApiError) -> bytes:
    """What has gone wrong after the first piece, as the last event."""
    return event({"error": error.body.model_dump()})


def _completion(answers: list[Answer]) -> ChatAnswer:
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


async def _chunks(told: AsyncIterator[Told], ask: Ask, *, usage: bool) -> AsyncIterator[bytes]:
    fixed: dict[str, Any] = {
        "id": _new_id(),
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": ask.model,
    }

    def chunk(index: int, delta: Delta, choice: dict[str, Any] | None = None, **more: Any) -> bytes:
        fields = {"finish_reason": None, **(choice or {})}
        return event(ChatChunk(**fixed, choices=[ChunkChoice(index=index, delta=delta, **fields)], **more))

    deltas: dict[int, Deltas] = {}
    spent = Usage()
    async for index, piece in told:
        if index not in deltas:
            deltas[index] = Deltas()
            yield chunk(index, Delta(role="assistant", content=""))
        if isinstance(piece, Piece):
            if piece.step is not None:
                yield chunk(index, Delta(), lora_agent={"step": piece.step.to_json()})
            for delta in deltas[index].of(piece):
                yield chunk(index, delta)
            continue
        for delta in deltas[index].rest(piece):
            yield chunk(index, delta)
        spent += piece.usage
        last = {"finish_reason": piece.finish, "logprobs": _logprobs(piece)}
        yield chunk(index, Delta(), last, lora_agent=_details([piece]))
    if usage:
        yield event(ChatChunk(**fixed, choices=[], usage=UsagePart.of(spent)))
    yield DONE


def _tool_calls(answer: Answer) -> list[AnswerToolCall] | None:
    calls = [
        AnswerToolCall(
            id=f"call_{secrets.token_hex(12)}",
            function=AnswerFunction(name=call.name, arguments=compact_json(call.arguments)),
        )
        for call in answer.calls
    ]
    return calls or None


def _logprobs(answer: Answer) -> Logprobs | None:
    return Logprobs(content=[LogprobPart.of(entry) for entry in answer.logprobs]) if answer.logprobs else None


def _details(answers: list[Answer]) -> dict[str, Any]:
    """Of the first answer, and of all of them where there are several."""
    own = {"model": answers[0].model, **answers[0].details}
    return own if len(answers) == 1 else {**own, "choices": [dict(answer.details) for answer in answers]}


def _new_id() -> str:
    return f"chatcmpl-{secrets.token_hex(12)}"

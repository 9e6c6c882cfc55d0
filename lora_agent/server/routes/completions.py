"""`POST /v1/completions`: the base goes on with a text."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from lora_agent.errors import InputError
from lora_agent.server.answer import Answer, Piece
from lora_agent.server.ask import read_completion
from lora_agent.server.catalogue import BASE
from lora_agent.server.routes.chat import failed
from lora_agent.server.routes.documented import ANSWERS
from lora_agent.server.service import service
from lora_agent.server.sse import DONE, event
from lora_agent.server.streaming import Told, streamed, whole
from lora_agent.server.wire.completions import CompletionAnswer, CompletionChoice, CompletionLogprobs, CompletionRequest
from lora_agent.server.wire.shared import UsagePart
from lora_agent.types import TokenLogprob, Usage

router = APIRouter(tags=["answers"])


@router.post("/v1/completions", response_model=CompletionAnswer, responses=ANSWERS)
async def completions(body: CompletionRequest, request: Request) -> Response:
    """Go on with a text as it stands, without a chat template. Only the base does."""
    server = service(request)
    asks = read_completion(body, server.settings)
    if server.catalogue.find(body.model) != BASE:
        raise InputError(
            f"model {body.model!r} reads conversations, not texts", hint="Use /v1/chat/completions, or model 'base'."
        )
    if body.stream:
        usage = bool(body.stream_options and body.stream_options.include_usage)
        return await streamed(server, request, asks, lambda told: _events(told, usage=usage), failed)
    answers = await whole(server, request, asks)
    spent = sum((answer.usage for answer in answers), Usage())
    choices = [_choice(index, answer, answer.content or "") for index, answer in enumerate(answers)]
    return JSONResponse(CompletionAnswer(**_head(), choices=choices, usage=UsagePart.of(spent)).model_dump())


async def _events(told: AsyncIterator[Told], *, usage: bool) -> AsyncIterator[bytes]:
    head = _head()
    sent: dict[int, str] = {}
    spent = Usage()
    async for index, piece in told:
        text = (piece.text if isinstance(piece, Piece) else piece.content) or ""
        before = sent.get(index, "")
        new = text[len(before) :] if text.startswith(before) else ""
        sent[index] = before + new
        if isinstance(piece, Answer):
            spent += piece.usage
            yield event(CompletionAnswer(**head, choices=[_choice(index, piece, new)]).model_dump())
        elif new:
            yield event(CompletionAnswer(**head, choices=[CompletionChoice(index=index, text=new)]).model_dump())
    if usage:
        yield event(CompletionAnswer(**head, choices=[], usage=UsagePart.of(spent)).model_dump())
    yield DONE


def _head() -> dict[str, Any]:
    return {"id": f"cmpl-{secrets.token_hex(12)}", "created": int(time.time()), "model": BASE}


def _choice(index: int, answer: Answer, text: str) -> CompletionChoice:
    return CompletionChoice(
        index=index,
        text=text,
        logprobs=_logprobs(answer.logprobs),
        finish_reason="length" if answer.finish == "length" else "stop",
    )


def _logprobs(entries: tuple[TokenLogprob, ...]) -> CompletionLogprobs | None:
    if not entries:
        return None
    offsets, length = [], 0
    for entry in entries:
        offsets.append(length)
        length += len(entry.token)
    return CompletionLogprobs(
        tokens=[entry.token for entry in entries],
        token_logprobs=[entry.logprob for entry in entries],
        top_logprobs=[{likely.token: likely.logprob for likely in entry.top} for entry in entries],
        text_offset=offsets,
    )

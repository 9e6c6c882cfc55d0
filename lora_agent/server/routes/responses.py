"""`POST /v1/responses`: the same answers in OpenAI's newer shape. Nothing is stored."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from lora_agent.server.answer import Answer
from lora_agent.server.ask import read_response
from lora_agent.server.deltas import Deltas
from lora_agent.server.failures import ApiError
from lora_agent.server.routes.documented import ANSWERS
from lora_agent.server.service import service
from lora_agent.server.sse import event
from lora_agent.server.streaming import Told, streamed, whole
from lora_agent.server.wire.chat import Delta
from lora_agent.server.wire.responses import (
    Incomplete,
    OutputCall,
    OutputMessage,
    OutputText,
    ResponseObject,
    ResponseRequest,
    ResponseToolName,
    ResponseUsage,
)
from lora_agent.server.wire.shared import LogprobPart
from lora_agent.types import compact_json

router = APIRouter(tags=["answers"])


@router.post("/v1/responses", response_model=ResponseObject, responses=ANSWERS)
async def responses(body: ResponseRequest, request: Request) -> Response:
    """Answer an input: a text, or items of a conversation. With `stream` as server-sent events (`response.*`)."""
    server = service(request)
    ask = read_response(body, server.settings)
    server.catalogue.find(ask.model)
    if not body.stream:
        (answer,) = await whole(server, request, [ask])
        return JSONResponse(_finished(_begun(body), answer, _items(answer)).model_dump())
    events = _Events(body)
    return await streamed(server, request, [ask], events.write, events.failed)


class _Events:
    """The events of one response, numbered."""

    def __init__(self, body: ResponseRequest) -> None:
        self._response = _begun(body)
        self._number = -1
        self._items: list[OutputMessage | OutputCall] = []

    async def write(self, told: AsyncIterator[Told]) -> AsyncIterator[bytes]:
        for name in ("created", "in_progress"):
            yield self._event(f"response.{name}", response=self._response.model_dump())
        deltas = Deltas()
        async for _, piece in told:
            ended = isinstance(piece, Answer)
            for delta in deltas.rest(piece) if isinstance(piece, Answer) else deltas.of(piece):
                for made in self._write(delta):
                    yield made
            if not isinstance(piece, Answer):
                continue
            if ended and not self._items:
                for made in self._open(_message("")):
                    yield made
            for made in self._close(piece):
                yield made
            done = _finished(self._response, piece, self._items)
            yield self._event(f"response.{done.status}", response=done.model_dump())

    def failed(self, error: ApiError) -> bytes:
        body = error.body
        return self._event("error", code=body.code, message=body.message, param=body.param)

    def _write(self, delta: Delta) -> list[bytes]:
        made: list[bytes] = []
        if delta.content:
            if not self._items:
                made += self._open(_message(""))
            index, item = len(self._items) - 1, self._items[-1]
            assert isinstance(item, OutputMessage)
            part = item.content[0]
            self._items[index] = item.model_copy(update={"content": [OutputText(text=part.text + delta.content)]})
            place = {"item_id": item.id, "output_index": index, "content_index": 0}
            made.append(self._event("response.output_text.delta", **place, delta=delta.content, logprobs=[]))
        for call in delta.tool_calls or ():
            if call.id is not None:
                made += self._open(_call(call.id, call.function.name or ""))
            if call.function.arguments:
                item = self._items[call.index]
                assert isinstance(item, OutputCall)
                text = item.arguments + call.function.arguments
                self._items[call.index] = item.model_copy(update={"arguments": text})
                made.append(
                    self._event(
                        "response.function_call_arguments.delta",
                        item_id=item.id,
                        output_index=call.index,
                        delta=call.function.arguments,
                    )
                )
        return made

    def _open(self, item: OutputMessage | OutputCall) -> list[bytes]:
        index = len(self._items)
        self._items.append(item)
        shown = item if isinstance(item, OutputCall) else item.model_copy(update={"content": []})
        made = [self._event("response.output_item.added", output_index=index, item=shown.model_dump())]
        if isinstance(item, OutputMessage):
            place = {"item_id": item.id, "output_index": index, "content_index": 0}
            made.append(self._event("response.content_part.added", **place, part=item.content[0].model_dump()))
        return made

    def _close(self, answer: Answer) -> list[bytes]:
        made: list[bytes] = []
        for index, item in enumerate(self._items):
            ended = _ended(item, answer)
            self._items[index] = ended
            if isinstance(ended, OutputMessage):
                place = {"item_id": ended.id, "output_index": index, "content_index": 0}
                part = ended.content[0].model_dump()
                made.append(
                    self._event("response.output_text.done", **place, text=part["text"], logprobs=part["logprobs"])
                )
                made.append(self._event("response.content_part.done", **place, part=part))
            else:
                made.append(
                    self._event(
                        "response.function_call_arguments.done",
                        item_id=ended.id,
                        output_index=index,
                        name=ended.name,
                        arguments=ended.arguments,
                    )
                )
            made.append(self._event("response.output_item.done", output_index=index, item=ended.model_dump()))
        return made

    def _event(self, kind: str, **fields: Any) -> bytes:
        self._number += 1
        return event({"type": kind, "sequence_number": self._number, **fields}, name=kind)


def _items(answer: Answer) -> list[OutputMessage | OutputCall]:
    items: list[OutputMessage | OutputCall] = []
    for call in answer.calls:
        made = _call(f"call_{secrets.token_hex(12)}", call.name)
        items.append(made.model_copy(update={"arguments": compact_json(call.arguments)}))
    if not items:
        items.append(_message(answer.content or ""))
    return [_ended(item, answer) for item in items]


def _message(text: str) -> OutputMessage:
    return OutputMessage(id=f"msg_{secrets.token_hex(12)}", status="in_progress", content=[OutputText(text=text)])


def _call(call_id: str, name: str) -> OutputCall:
    return OutputCall(id=f"fc_{secrets.token_hex(12)}", call_id=call_id, name=name, arguments="", status="in_progress")


def _ended(item: OutputMessage | OutputCall, answer: Answer) -> OutputMessage | OutputCall:
    status = "incomplete" if answer.finish == "length" else "completed"
    if isinstance(item, OutputCall):
        return item.model_copy(update={"status": status})
    logprobs = [LogprobPart.of(entry) for entry in answer.logprobs]
    part = item.content[0].model_copy(update={"logprobs": logprobs})
    return item.model_copy(update={"status": status, "content": [part]})


def _begun(body: ResponseRequest) -> ResponseObject:
    text = body.text.format if body.text is not None else None
    choice = body.tool_choice
    return ResponseObject(
        id=f"resp_{secrets.token_hex(12)}",
        created_at=int(time.time()),
        status="in_progress",
        model=body.model,
        output=[],
        instructions=body.instructions,
        metadata=body.metadata or {},
        parallel_tool_calls=body.parallel_tool_calls is not False,
        temperature=body.temperature or 0.0,
        top_p=1.0 if body.top_p is None else body.top_p,
        tool_choice=choice.model_dump() if isinstance(choice, ResponseToolName) else choice or "auto",
        tools=[tool.model_dump() for tool in body.tools or ()],
        text={"format": text.model_dump(by_alias=True) if text is not None else {"type": "text"}},
        max_output_tokens=body.max_output_tokens,
        reasoning={"effort": None, "summary": None},
        user=body.user,
    )


def _finished(begun: ResponseObject, answer: Answer, items: list[OutputMessage | OutputCall]) -> ResponseObject:
    reason = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(answer.finish)
    return begun.model_copy(
        update={
            "status": "incomplete" if reason else "completed",
            "incomplete_details": Incomplete.model_validate({"reason": reason}) if reason else None,
            "output": items,
            "usage": ResponseUsage.of(answer.usage),
            "lora_agent": {"model": answer.model, **answer.details},
        }
    )

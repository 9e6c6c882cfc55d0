"""The HTTP API of vLLM and its like: requests as JSON, answers and streams as values.

Prompts go out as token ids, so that the server reads what training rendered. Knows the wire, nothing of adapters'
contracts. The fields are those of vLLM's OpenAI-compatible server (docs.vllm.ai, "OpenAI-Compatible Server").
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import httpx

from lora_agent.engine.remote.replicas import Replica, TryElsewhere
from lora_agent.errors import ServerRefusedError
from lora_agent.types import FinishReason

CANCEL_POLL_S = 0.1
TOP_LOGPROBS = 20
"""vLLM's default limit (--max-logprobs): alternatives of each token, for calibrated scores."""
UNLIKELY = -9000.0
"""vLLM writes -9999 for a token that the grammar forbids."""


Trace = Callable[[str, Mapping[str, Any]], Awaitable[None]]
"""Told what httpcore does: https://www.encode.io/httpcore/extensions/."""


class NotServedError(ServerRefusedError):
    """404: no model of that name there (any more)."""


@dataclass
class Generated:
    """`top[i]`: log-probabilities of the likeliest tokens at step i, the chosen one among them."""

    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    top: list[dict[int, float]] = field(default_factory=list)
    finish: FinishReason | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0


@dataclass(frozen=True)
class Interrupt:
    """When a running request is dropped; the server then stops working on it."""

    deadline: float | None = None
    cancel: Callable[[], bool] | None = None

    def reason(self) -> FinishReason | None:
        if self.cancel is not None and self.cancel():
            return "cancelled"
        return "deadline" if self.deadline is not None and time.monotonic() > self.deadline else None


def raise_for_status(replica: Replica, answer: httpx.Response, text: str) -> None:
    """TryElsewhere for what another replica or a later time may cure, ServerRefusedError for the rest."""
    status = answer.status_code
    if status < 400:
        return
    message = _message(text)
    if status in (408, 429, 503):
        raise TryElsewhere(f"{status} {message}", pause_s=_retry_after(answer))
    if status >= 500:
        raise TryElsewhere(f"{status} {message}", down=True)
    if status == 404:
        raise NotServedError(f"{replica.url} answered 404: {message}")
    hints = {401: "Give its key: Engine.connect(url, api_key=...).", 403: "The key may not do this."}
    raise ServerRefusedError(f"{replica.url} answered {status}: {message}", hint=hints.get(status, ""))


def _message(text: str) -> str:
    try:
        error = json.loads(text).get("error", text)
        return str(error.get("message", error) if isinstance(error, Mapping) else error)[:400]
    except (ValueError, AttributeError):
        return text[:400]


def _retry_after(answer: httpx.Response) -> float:
    try:
        return min(30.0, max(0.1, float(answer.headers.get("retry-after", 0.5))))
    except ValueError:
        return 0.5


async def get_json(client: httpx.AsyncClient, replica: Replica, path: str) -> Any:
    answer = await client.get(replica.url + path)
    raise_for_status(replica, answer, answer.text)
    return answer.json()


async def post_json(client: httpx.AsyncClient, replica: Replica, path: str, body: Mapping[str, Any]) -> Any:
    answer = await client.post(replica.url + path, json=body)
    raise_for_status(replica, answer, answer.text)
    return answer.json() if "json" in answer.headers.get("content-type", "") else answer.text


async def generate(
    client: httpx.AsyncClient,
    replica: Replica,
    body: Mapping[str, Any],
    trace: Trace,
    interrupt: Interrupt | None = None,
    watch: Callable[[Sequence[int]], None] | None = None,
) -> Generated:
    """Stream a completion, so that it can be dropped between tokens. An answer that breaks off raises TryElsewhere or
    httpx.TransportError: what came of it is thrown away and the whole request is made again elsewhere."""
    body = {
        **body,
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_tokens_as_token_ids": True,
        "return_token_ids": True,
    }
    done = Generated()
    async with client.stream("POST", f"{replica.url}/v1/completions", json=body, extensions={"trace": trace}) as answer:
        if answer.status_code >= 400:
            raise_for_status(replica, answer, (await answer.aread()).decode(errors="replace"))
        async with aclosing(_until(_events(answer), interrupt or Interrupt())) as events:
            async for event in events:
                if isinstance(event, str):
                    done.finish = "cancelled" if event == "cancelled" else "deadline"
                    return done
                _take(done, event)
                if watch is not None:
                    watch(done.tokens)
    if done.finish is None:
        raise TryElsewhere("the answer broke off", down=True)
    return done


async def _events(answer: httpx.Response) -> AsyncIterator[Mapping[str, Any]]:
    """The JSON events of a server-sent stream, up to [DONE]."""
    async for line in answer.aiter_lines():
        if not line.startswith("data:"):
            continue
        text = line.removeprefix("data:").strip()
        if text == "[DONE]":
            return
        event = json.loads(text)
        if "error" in event:
            raise TryElsewhere(f"in the stream: {_message(text)}", down=True)
        yield event


async def _until(
    events: AsyncIterator[Mapping[str, Any]], interrupt: Interrupt
) -> AsyncGenerator[Mapping[str, Any] | str]:
    """The events; the reason instead of the next one when the interrupt says so, also while none comes."""
    while True:
        coming = asyncio.ensure_future(anext(events, None))
        try:
            while True:
                reason = interrupt.reason()
                if reason is not None:
                    yield reason
                    return
                await asyncio.wait({coming}, timeout=CANCEL_POLL_S)
                if coming.done():
                    break
            event = coming.result()
        finally:
            if not coming.done():
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)
        if event is None:
            return
        yield event


def _take(done: Generated, event: Mapping[str, Any]) -> None:
    for choice in event.get("choices") or ():
        found = choice.get("logprobs") or {}
        names = found.get("tokens") or ()
        ids = choice.get("token_ids") or [_token_id(name) for name in names]
        done.tokens += ids
        done.logprobs += [float(v or 0.0) for v in found.get("token_logprobs") or [0.0] * len(ids)]
        done.top += [_top(item) for item in found.get("top_logprobs") or [None] * len(ids)]
        if choice.get("finish_reason"):
            done.finish = "stop" if choice["finish_reason"] == "stop" else "length"
    usage = event.get("usage")
    if usage:
        done.prompt_tokens = int(usage.get("prompt_tokens") or 0)
        done.cached_tokens = int((usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0)


def _token_id(name: str) -> int:
    """`token_id:42` → 42."""
    return int(name.removeprefix("token_id:"))


def _top(found: Mapping[str, float] | None) -> dict[int, float]:
    return {_token_id(name): value for name, value in (found or {}).items() if value > UNLIKELY}


async def prompt_logprobs(
    client: httpx.AsyncClient, replica: Replica, model: str, ids: Sequence[int]
) -> list[float | None]:
    """Natural-log probability of every token of `ids` given those before it; None for the first."""
    body = {"model": model, "prompt": list(ids), "max_tokens": 0, "echo": True, "logprobs": 0}
    answer = await post_json(client, replica, "/v1/completions", body)
    found: list[float | None] = answer["choices"][0]["logprobs"]["token_logprobs"]
    if len(found) < len(ids):
        raise ServerRefusedError(
            f"{replica.url} gave {len(found)} log-probabilities for a prompt of {len(ids)} tokens",
            hint="The server must answer `echo` with `logprobs` for prompts of token ids, as vLLM does.",
        )
    return found[: len(ids)]


def structured(schema: Any = None, regex: str | None = None, choices: Sequence[str] | None = None) -> dict[str, Any]:
    """The fields that bind the output on the server."""
    if schema is not None:
        # vLLM hands this key on to llguidance: JSON is then spelled as the adapters were trained to write it. What
        # cannot be expressed is dropped there, since the whole schema is checked here afterwards.
        spelling = {"whitespace_flexible": False, "item_separator": ",", "key_separator": ":"}
        options = {**spelling, "coerce_one_of": True, "lenient": True}
        schema = {**schema, "x-guidance": options} if isinstance(schema, dict) else schema
        form = {"name": "output", "schema": schema, "strict": True}
        return {"response_format": {"type": "json_schema", "json_schema": form}}
    if regex is not None:
        return {"structured_outputs": {"regex": regex}}
    return {} if choices is None else {"structured_outputs": {"choice": list(choices)}}

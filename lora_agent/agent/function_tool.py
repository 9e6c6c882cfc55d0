"""One Python function as a tool: its specification for the model, and a safe way to run it.

Whatever happens inside the function (bad arguments, exception, time-out, a result without JSON form) comes
back as a `ToolOutcome`, never as an exception. Knows nothing of the agent's loop or of guards.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import re
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar, overload

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from lora_agent.agent.docstrings import read_docstring
from lora_agent.agent.signature import read_signature
from lora_agent.errors import ToolError, ToolSignatureError
from lora_agent.types import Tool, compact_json

P = ParamSpec("P")
R = TypeVar("R")

OUTPUT_CHARS = 4000
"""Longest tool output that a model is shown: about 1,000 tokens, half of what a small base reads well."""
ERROR_CHARS = 500
_CANCEL_POLL_S = 0.05
_NAME = re.compile(r"^[A-Za-z0-9_.-]{1,128}$")  # what the OpenAI API and MCP both can carry


@dataclass(frozen=True)
class ToolOutcome:
    """What one call of a tool gave. `content` is the text for the conversation: a string as it is, everything
    else as compact JSON, cut at OUTPUT_CHARS; for a failure `{"error":...}`."""

    ok: bool
    content: str
    value: Any = None
    """The result as a JSON value, whole; None for a failure."""
    error: str | None = None
    truncated: bool = False
    ms: float = 0.0

    @classmethod
    def failed(cls, error: str, ms: float = 0.0) -> ToolOutcome:
        error = error if len(error) <= ERROR_CHARS else error[: ERROR_CHARS - 1] + "…"
        return cls(False, compact_json({"error": error}), error=error, ms=ms)


class FunctionTool(Generic[P, R]):
    """A function with its tool specification. Still callable like the function itself.

    A synchronous function runs in a daemon thread of its own: Python cannot kill a thread, so after a
    time-out it goes on in the background until it ends by itself, its result unused. An async function runs
    in a fresh event loop and is really cancelled.
    """

    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: str | None = None,
        description: str | None = None,
        timeout_s: float = 30.0,
        trusted: bool = False,
    ) -> None:
        name = str(name or getattr(function, "__name__", type(function).__name__))
        if not callable(function) or inspect.isclass(function):
            raise ToolError(f"{function!r} is not a function", hint="A tool is a function or a bound method.")
        if not _NAME.match(name):
            raise ToolError(f"{name!r} is not a name for a tool", hint='Give one in ASCII: @tool(name="get_weather").')
        if timeout_s <= 0:
            raise ToolError(f"tool {name!r}: timeout_s is {timeout_s!r}", hint="Give seconds above 0.")
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise ToolSignatureError(f"tool {name!r} yields its result", hint="Return a list instead.")
        doc = read_docstring(function)
        self.function = function
        self.timeout_s = timeout_s
        self.trusted = trusted
        self._signature = read_signature(function, name, doc.parameters)
        self.spec = Tool(
            name=name,
            description=doc.summary if description is None else description,
            parameters=self._signature.schema,
        )
        functools.update_wrapper(self, function)

    @property
    def name(self) -> str:
        return self.spec.name

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"FunctionTool({self.name!r})"

    def run(
        self,
        arguments: Mapping[str, Any],
        *,
        timeout_s: float | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> ToolOutcome:
        """Check `arguments`, call, and wait no longer than the smaller of both limits.

        A KeyboardInterrupt passes; everything else that the function raises is in the outcome.
        """
        start = time.monotonic()
        limit = self.timeout_s if timeout_s is None else max(0.0, min(self.timeout_s, timeout_s))
        try:
            bound = self._signature.bind(arguments)
        except ValidationError as error:
            return ToolOutcome.failed(f"bad arguments: {_reasons(error)}", _ms(start))
        future: Future[bytes | str] = Future()
        context = contextvars.copy_context()
        threading.Thread(
            target=context.run, args=(self._work, future, bound, limit), name=f"tool {self.name}", daemon=True
        ).start()
        if not _wait(future, start + limit, cancel):
            stopped = "cancelled" if cancel is not None and cancel() else f"timed out after {limit:g} s"
            return ToolOutcome.failed(stopped, _ms(start))
        try:
            return _outcome(future.result(), _ms(start))
        except _TimedOut:
            return ToolOutcome.failed(f"timed out after {limit:g} s", _ms(start))
        except (Exception, SystemExit, GeneratorExit) as error:  # noqa: BLE001 - the boundary to user code
            return ToolOutcome.failed(f"{type(error).__name__}: {error}".removesuffix(": "), _ms(start))

    def _work(self, future: Future[bytes | str], arguments: Mapping[str, Any], limit: float) -> None:
        """In the thread: call and write the result as JSON (here, since that can take long too)."""
        try:
            value: Any = self.function(**arguments)  # type: ignore[call-arg]
            if inspect.isawaitable(value):
                value = asyncio.run(_limited(value, limit))
            future.set_result(value if isinstance(value, str) else to_json(value, inf_nan_mode="strings"))
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread, which sorts it
            future.set_exception(error)


class _TimedOut(Exception):
    """Our limit, as against a TimeoutError that the function raised itself."""


async def _limited(awaitable: Any, limit: float) -> Any:
    task = asyncio.ensure_future(awaitable)
    done, _ = await asyncio.wait({task}, timeout=limit)
    if not done:
        task.cancel()
        raise _TimedOut
    return task.result()


def _wait(future: Future[Any], deadline: float, cancel: Callable[[], bool] | None) -> bool:
    """True when the future is done; False when time is up or `cancel` says so."""
    while not future.done():
        left = deadline - time.monotonic()
        if left <= 0 or (cancel is not None and cancel()):
            return future.done()
        wait([future], timeout=left if cancel is None else min(left, _CANCEL_POLL_S))
    return True


def _outcome(result: bytes | str, ms: float) -> ToolOutcome:
    if isinstance(result, str):
        value: Any = result
        result.encode()  # half a surrogate pair is no text: UnicodeEncodeError, reported as a failure
        content = result
    else:
        value = from_json(result)
        content = compact_json(value)
    whole = len(content)
    if whole > OUTPUT_CHARS:
        content = content[:OUTPUT_CHARS] + f"… [cut: the first {OUTPUT_CHARS} of {whole} characters]"
    return ToolOutcome(True, content, value, truncated=whole > OUTPUT_CHARS, ms=ms)


def _reasons(error: ValidationError) -> str:
    parts = []
    for item in error.errors(include_url=False, include_context=False):
        where = ".".join(str(step) for step in item["loc"])
        given = "" if item["type"] == "missing" else f" (got {item['input']!r:.80})"
        parts.append(f"{where}: {item['msg']}{given}")
    return "; ".join(parts)


def _ms(start: float) -> float:
    return (time.monotonic() - start) * 1000.0


@overload
def tool(function: Callable[P, R], /) -> FunctionTool[P, R]: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    timeout_s: float = 30.0,
    trusted: bool = False,
) -> Callable[[Callable[P, R]], FunctionTool[P, R]]: ...
def tool(function: Any = None, /, **options: Any) -> Any:
    """Make a tool of a function: `@tool` or `@tool(name=..., timeout_s=...)`.

    The parameters' JSON Schema comes from the type hints, the description from the docstring's first
    paragraph, those of the parameters from its Google, NumPy or Sphinx section. `trusted`: the output is your
    own data, so the guard need not look for injected instructions in it.
    """
    if function is None:
        return lambda wrapped: FunctionTool(wrapped, **options)
    return FunctionTool(function, **options)

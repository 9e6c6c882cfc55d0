"""Tools of other MCP servers for the agent, from the usual configuration file.

    {"mcpServers": {"files": {"command": "npx", "args": [...]}, "wiki": {"url": "http://...", "headers": {}}}}

Each server is connected once, in a thread with an event loop of its own, and its tools are used like functions; their
output is not trusted: the agent's guard reads it. Knows the agent's tool type, nothing of the loop.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from pydantic import Field, ValidationError, model_validator

from lora_agent.agent.function_tool import OUTPUT_CHARS, FunctionTool, ToolOutcome
from lora_agent.engine.remote.loop import LoopThread
from lora_agent.errors import ConfigError, ToolError
from lora_agent.structured import validate
from lora_agent.types import Boundary, Tool, compact_json

CONNECT_S = 30.0
CALL_S = 60.0
_POLL_S = 0.05


class ServerConfig(Boundary):
    """One server: a `command` to start, or a `url` to connect to."""

    command: str | None = None
    args: list[str] = Field(default_factory=list)
    env: dict[str, str] = Field(default_factory=dict)
    cwd: str | None = None
    url: str | None = None
    headers: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_way(self) -> ServerConfig:
        if (self.command is None) == (self.url is None):
            raise ValueError("give either `command` (with args, env) or `url` (with headers)")
        return self


def read_config(path: Path) -> dict[str, ServerConfig]:
    """Raises ConfigError with the place of the fault."""
    try:
        servers = json.loads(path.read_text(encoding="utf-8"))["mcpServers"]
        # Other programs write keys of their own (type, disabled, ...) into the same file.
        known = set(ServerConfig.model_fields)
        return {
            name: ServerConfig.model_validate({k: v for k, v in entry.items() if k in known})
            for name, entry in servers.items()
        }
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        reason = f"{'.'.join(map(str, first['loc']))} {first['msg']}" if first else f"{type(error).__name__}: {error}"
        raise ConfigError(
            f"cannot read the MCP configuration {str(path)!r}: {reason}",
            hint='The shape is {"mcpServers": {"NAME": {"command": "...", "args": [...]}}}.',
        ) from error


class McpTool(FunctionTool[..., Any]):
    """One tool of a server. `run` checks the arguments against its schema, calls it, and never raises."""

    def __init__(self, servers: McpServers, server: str, name: str, spec: Tool, timeout_s: float = CALL_S) -> None:
        self.spec = spec
        self.timeout_s = timeout_s
        self.trusted = False
        self._servers = servers
        self._server, self._remote_name = server, name

    def __call__(self, *_: Any, **arguments: Any) -> Any:
        outcome = self.run(arguments)
        if not outcome.ok:
            raise ToolError(f"{self.name}: {outcome.error}")
        return outcome.value

    def run(
        self,
        arguments: Mapping[str, Any],
        *,
        timeout_s: float | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> ToolOutcome:
        start = time.monotonic()
        limit = self.timeout_s if timeout_s is None else max(0.0, min(self.timeout_s, timeout_s))
        checked = validate(dict(arguments), self.spec.parameters)
        if checked.errors:
            return ToolOutcome.failed(f"bad arguments: {checked.summary()}", _ms(start))
        work = self._servers.call(self._server, self._remote_name, dict(arguments))
        try:
            return _outcome(self._servers.loop.run(_limited(work, limit, cancel)), _ms(start))
        except TimeoutError:
            return ToolOutcome.failed(f"timed out after {limit:g} s", _ms(start))
        except _CancelledError:
            return ToolOutcome.failed("cancelled", _ms(start))
        except Exception as error:  # noqa: BLE001 - the boundary to a server of others
            return ToolOutcome.failed(f"{type(error).__name__}: {error}", _ms(start))


class McpServers:
    """The connections. `tools` are all tools of all servers, under `SERVER.TOOL` where two share a name."""

    def __init__(self, config: Mapping[str, ServerConfig]) -> None:
        """Connects to every server. Raises ToolError for one that cannot be reached."""
        self.loop = LoopThread()
        self._clients: dict[str, Any] = {}
        self._stop = asyncio.Event()
        self._held: list[Any] = []
        self.tools: list[McpTool] = []
        try:
            for name, server in config.items():
                self._add(name, server)
        except BaseException:
            self.close()
            raise

    @classmethod
    def from_file(cls, path: str | Path) -> McpServers:
        return cls(read_config(Path(path)))

    def __enter__(self) -> McpServers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __iter__(self) -> Iterator[McpTool]:
        return iter(self.tools)

    def close(self) -> None:
        """End the connections; processes that were started for them end too."""
        self.loop.run(self._end())
        self.loop.close()

    async def call(self, server: str, tool: str, arguments: dict[str, Any]) -> Any:
        return await self._clients[server].call_tool(tool, arguments)

    def _add(self, name: str, config: ServerConfig) -> None:
        try:
            listed = self.loop.run(asyncio.wait_for(self._connect(name, config), CONNECT_S))
        except Exception as error:
            where = config.url or " ".join([config.command or "", *config.args])
            raise ToolError(
                f"cannot reach the MCP server {name!r} ({where}): {type(error).__name__}: {error}",
                hint="Run its command by hand, or look at its address, and see what it says.",
            ) from error
        taken = {tool.name for tool in self.tools}
        for tool in listed:
            shown = tool.name if tool.name not in taken else f"{name}.{tool.name}"
            spec = Tool(name=shown, description=tool.description or "", parameters=tool.input_schema)
            self.tools.append(McpTool(self, name, tool.name, spec))

    async def _connect(self, name: str, config: ServerConfig) -> list[Any]:
        ready: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        # The SDK's context must be left by the task that entered it: one task holds it open.
        self._held.append(asyncio.create_task(self._hold(name, config, ready)))
        return await ready

    async def _hold(self, name: str, config: ServerConfig, ready: asyncio.Future[list[Any]]) -> None:
        try:
            async with AsyncExitStack() as stack:
                client = await stack.enter_async_context(await _client(config, stack))
                self._clients[name] = client
                ready.set_result((await client.list_tools()).tools)
                await self._stop.wait()
        except Exception as error:
            if ready.done():
                raise
            ready.set_exception(error)

    async def _end(self) -> None:
        self._stop.set()
        await asyncio.gather(*self._held, return_exceptions=True)


class _CancelledError(Exception):
    """By our caller, as against a cancellation inside the event loop."""


async def _client(config: ServerConfig, stack: AsyncExitStack) -> Any:
    from mcp import Client, StdioServerParameters

    if config.command is not None:
        started = StdioServerParameters(command=config.command, args=config.args, env=config.env, cwd=config.cwd)
        return Client(started)
    if not config.headers:
        return Client(str(config.url))
    import httpx2
    from mcp.client.streamable_http import streamable_http_client

    http = await stack.enter_async_context(httpx2.AsyncClient(headers=config.headers, timeout=CALL_S))
    return Client(streamable_http_client(str(config.url), http_client=http))


async def _limited(work: Any, limit: float, cancel: Callable[[], bool] | None) -> Any:
    task = asyncio.ensure_future(work)
    until = time.monotonic() + limit
    while not task.done():
        left = until - time.monotonic()
        if left <= 0 or (cancel is not None and cancel()):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise TimeoutError if left <= 0 else _CancelledError
        await asyncio.wait({task}, timeout=left if cancel is None else min(left, _POLL_S))
    return task.result()


def _outcome(result: Any, ms: float) -> ToolOutcome:
    texts = [item.text if item.type == "text" else f"[{item.type}]" for item in result.content]
    text = "\n".join(texts)
    if result.is_error:
        return ToolOutcome.failed(text or "the tool failed", ms)
    value: Any = text if result.structured_content is None else result.structured_content
    content = value if isinstance(value, str) else compact_json(value)
    whole = len(content)
    if whole > OUTPUT_CHARS:
        content = content[:OUTPUT_CHARS] + f"… [cut: the first {OUTPUT_CHARS} of {whole} characters]"
    return ToolOutcome(True, content, value, truncated=whole > OUTPUT_CHARS, ms=ms)


def _ms(start: float) -> float:
    return (time.monotonic() - start) * 1000.0

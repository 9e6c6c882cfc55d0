"""Every adapter, and the agent, as an MCP tool with its input and output schema, by the official SDK.

One server object for stdio and streamable HTTP. A tool's failure is an error result with the remedy, never a broken
connection. Knows engines and agents by their protocols.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import mcp_types as types
from mcp.server.lowlevel import Server

from lora_agent import __version__
from lora_agent.errors import LoraAgentError
from lora_agent.types import compact_json

if TYPE_CHECKING:
    from lora_agent.agent import Agent
    from lora_agent.engine import EngineProtocol
    from lora_agent.registry import AdapterPackage

log = logging.getLogger("lora_agent.mcp")

AGENT = "agent"
AGENT_INPUT = {
    "type": "object",
    "properties": {"request": {"type": "string", "minLength": 1, "description": "What you want, in plain words."}},
    "required": ["request"],
    "additionalProperties": False,
}
AGENT_OUTPUT = {
    "type": "object",
    "properties": {
        "output": {"type": "string"},
        "stop_reason": {"type": "string", "description": "answer, unanswerable, blocked_input, ..."},
        "citations": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["output", "stop_reason", "citations"],
}
CALLS_OUTPUT = {
    "type": "object",
    "properties": {
        "calls": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "arguments": {"type": "object"}},
                "required": ["name", "arguments"],
            },
        }
    },
    "required": ["calls"],
}


class ToolServer:
    """`agent` None: adapters alone."""

    def __init__(self, engine: EngineProtocol, agent: Agent | None) -> None:
        self._engine = engine
        self._agent = agent
        self.server: Server[Any] = Server(
            "lora-agent",
            version=__version__,
            instructions="Each tool is a skill of one small language model; its output is valid against its schema.",
            on_list_tools=self._list,
            on_call_tool=self._call,
        )

    async def _list(self, _: Any, __: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=self.tools())

    def tools(self) -> list[types.Tool]:
        """The adapters by name, then the agent."""
        found = [_tool(package) for _, package in sorted(self._engine.adapters.items())]
        if self._agent is not None:
            about = "Answers a request with the operator's tools and documents, step by step, guarded."
            shapes: dict[str, Any] = {"input_schema": AGENT_INPUT, "output_schema": AGENT_OUTPUT}
            found.append(types.Tool(name=AGENT, description=about, **shapes))
        return found

    async def _call(self, _: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        arguments = params.arguments or {}
        try:
            # The engine computes for seconds: in a thread, so that the connection stays alive.
            value = await asyncio.to_thread(self._work, params.name, arguments)
        except LoraAgentError as error:
            return _failed(str(error))
        except Exception as error:  # the boundary to the client
            log.exception("tool %s failed", params.name)
            return _failed(f"internal error: {type(error).__name__}")
        text = types.TextContent(type="text", text=compact_json(value))
        structured = value if isinstance(value, dict) else None
        return types.CallToolResult(content=[text], structured_content=structured)

    def _work(self, name: str, arguments: dict[str, Any]) -> Any:
        if name == AGENT and self._agent is not None:
            return self._ask(arguments)
        result = self._engine.call(name, arguments)
        if not result.ok:
            raise LoraAgentError(f"{name}: no valid output: {result.error}", hint="Ask again, or otherwise.")
        return result.output

    def _ask(self, arguments: dict[str, Any]) -> dict[str, Any]:
        from lora_agent.errors import InputError
        from lora_agent.structured import validate

        assert self._agent is not None  # for the type checker: asked by the caller
        checked = validate(arguments, AGENT_INPUT)
        if checked.errors:
            raise InputError(f"agent: {checked.summary()}", hint='Give {"request": "..."}.')
        done = self._agent.run(str(arguments["request"]))
        return {"output": done.output, "stop_reason": done.stop_reason, "citations": list(done.citations)}


def _tool(package: AdapterPackage) -> types.Tool:
    output = CALLS_OUTPUT if package.spec.output == "tool_calls" else package.output_schema
    # MCP's structured content is an object; other values are sent as text alone.
    shape: dict[str, Any] = {"output_schema": output} if output.get("type") == "object" else {}
    return types.Tool(name=package.name, description=package.description, input_schema=package.input_schema, **shape)


def _failed(text: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)], is_error=True)


def run_stdio(tools: ToolServer) -> None:
    """Serve one client over standard input and output, until it closes them."""
    from mcp.server.stdio import stdio_server

    async def main() -> None:
        async with stdio_server() as (read, write):
            await tools.server.run(read, write, tools.server.create_initialization_options())

    asyncio.run(main())


def http_app(tools: ToolServer, *, host: str, keys: Sequence[str] = ()) -> Any:
    """Streamable HTTP at /mcp as an ASGI app. With `keys`, each request needs one of them as a bearer token."""
    app = tools.server.streamable_http_app(host=host)
    return _Keys(app, keys) if keys else app


class _Keys:
    def __init__(self, app: Any, keys: Sequence[str]) -> None:
        self._app = app
        self._keys = [f"Bearer {key}".encode() for key in keys]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not sum(hmac.compare_digest(given, key) for key in self._keys):  # all of them, in constant time
                headers = [(b"content-type", b"text/plain"), (b"www-authenticate", b"Bearer")]
                await send({"type": "http.response.start", "status": 401, "headers": headers})
                await send({"type": "http.response.body", "body": b"a key is needed"})
                return
        await self._app(scope, receive, send)

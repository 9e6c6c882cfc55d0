"""A small MCP server of somebody else, by the official SDK's own decorators: run over stdio."""

from __future__ import annotations

import time

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

server = MCPServer("echo")


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
def shout(text: str) -> str:
    """A text in capitals."""
    if not text:
        raise ToolError("nothing to shout")
    return text.upper()


@server.tool()
def sleep(seconds: float) -> str:
    """Wait."""
    time.sleep(seconds)
    return "awake"


if __name__ == "__main__":
    server.run()

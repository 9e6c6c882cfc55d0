"""uvicorn around the application: bind, say where, serve, and on SIGTERM finish what is inside."""

from __future__ import annotations

import ctypes
import socket
import sys

import uvicorn
from fastapi import FastAPI

from lora_agent.errors import ConfigError
from lora_agent.server.record import log_to_stderr
from lora_agent.server.service import Service


class _Server(uvicorn.Server):
    """Drains before uvicorn closes its connections: it would wait for streams, but not refuse new requests."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._service.drain()
        await super().shutdown(sockets)


_M_MMAP_THRESHOLD = -3
_LARGE = 1 << 20


def return_large_blocks() -> None:
    """Have glibc give blocks of a MiB and more back to the system when they are freed.

    Left alone it keeps them in one heap per thread, where the keys and values of requests of all lengths fragment it:
    160 requests in 8 threads took 727 → 1147 MiB, and 650 → 673 MiB with this."""
    try:
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)
    except (OSError, AttributeError, TypeError):
        return  # another C library, which has its own ways


def run(app: FastAPI, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM. Raises ConfigError where the port cannot be had."""
    config = uvicorn.Config(
        app, host=host, port=port, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=5
    )
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror}", hint="Choose another --port.") from error
    shown = f"[{host}]" if ":" in host else host
    print(f"serving on http://{shown}:{listener.getsockname()[1]}", file=sys.stderr, flush=True)
    log_to_stderr()
    _Server(config, app.state.service).run(sockets=[listener])

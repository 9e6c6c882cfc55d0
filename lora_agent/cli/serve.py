"""`lora-agent serve`: the engine over HTTP, in the shape of the OpenAI API."""

from __future__ import annotations

import importlib.util
import ipaddress
import os
from pathlib import Path
from typing import Annotated

import typer

from lora_agent.cli import options
from lora_agent.errors import ConfigError

KEYS_VARIABLE = "LORA_AGENT_API_KEY"


def serve(
    host: Annotated[str, typer.Option("--host", help="Address to listen on. Others than loopback need keys.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    tools: Annotated[
        Path | None, typer.Option("--tools", help="Python file with functions that model `agent` may call.")
    ] = None,
    docs: Annotated[Path | None, typer.Option("--docs", help="Folder of documents that `agent` answers from.")] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, max=256, help="Requests at work at a time.")] = 8,
    queue: Annotated[int, typer.Option("--queue", min=0, help="Requests that may wait; more get 429.")] = 64,
    enable_adapter_loading: Annotated[
        Path | None,
        typer.Option(
            "--enable-adapter-loading",
            metavar="FOLDER",
            help="Let callers load and unload the packages in FOLDER by name.",
        ),
    ] = None,
    log_text: Annotated[bool, typer.Option("--log-text", help="Write message texts to the log.")] = False,
    key_requests: Annotated[
        int, typer.Option("--key-requests", min=1, help="Requests that one key may have waiting or at work.")
    ] = 32,
    key_rpm: Annotated[
        int, typer.Option("--key-rpm", min=0, help="Requests a minute that one key may send; 0: no limit.")
    ] = 0,
    timeout: Annotated[float, typer.Option("--timeout", min=1, help="Seconds that a request may take.")] = 120,
    adapter_path: options.AdapterPathOption = None,
    base: options.BaseOption = None,
    quantization: options.QuantizationOption = "nf4",
    device: options.DeviceOption = None,
    kv_cache_dtype: Annotated[
        str, typer.Option("--kv-cache-dtype", help="Of keys and values: float32, or int8 in a quarter of the memory.")
    ] = "float32",
) -> None:
    """Serve the OpenAI API on HOST:PORT. Keys come from LORA_AGENT_API_KEY (comma separated)."""
    if importlib.util.find_spec("fastapi") is None or importlib.util.find_spec("uvicorn") is None:
        raise ConfigError("the server's libraries are not installed", hint='pip install "lora-agent[serve]"')
    keys = tuple(key for part in os.environ.get(KEYS_VARIABLE, "").split(",") if (key := part.strip()))
    if not keys and not is_loopback(host):
        raise ConfigError(
            f"--host {host} would let everybody in: there is no API key",
            hint=f"Set {KEYS_VARIABLE}, or leave out --host.",
        )
    from lora_agent.agent import load_tools
    from lora_agent.agent.retrieval import as_retriever
    from lora_agent.server.app import create_app
    from lora_agent.server.run import return_large_blocks, run
    from lora_agent.server.settings import ServerSettings

    offered = load_tools(tools) if tools is not None else None
    documents = as_retriever(docs) if docs is not None else None
    if enable_adapter_loading is not None and not enable_adapter_loading.is_dir():
        raise ConfigError(f"there is no folder {str(enable_adapter_loading)!r}", hint="Check --enable-adapter-loading.")
    settings = ServerSettings(
        keys=keys,
        workers=workers,
        queue=queue,
        key_requests=key_requests,
        key_requests_per_minute=key_rpm,
        request_timeout_s=timeout,
        adapter_folder=enable_adapter_loading,
        log_text=log_text,
    )
    return_large_blocks()
    engine = options.open_engine(base, quantization, device, adapter_path, kv_cache_dtype=kv_cache_dtype)
    run(create_app(engine, settings, tools=offered, documents=documents), host, port)


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

"""How a server is set up: who may call it, how much work it takes on, how large a request may be.

Values only, each with the reason for its default.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from lora_agent.types import Boundary


class ServerSettings(Boundary):
    keys: tuple[str, ...] = Field(default=(), repr=False)
    """API keys; a request must bring one of them. None: no key is asked for, and only loopback may be bound."""

    workers: int = Field(default=8, ge=1, le=256)
    """Requests that the engine works on at a time; the others wait in the queue."""

    queue: int = Field(default=64, ge=0)
    """Requests that may wait. One more is answered with 429 and a time to come back after."""

    key_requests: int = Field(default=32, ge=1)
    """Requests that one key may have waiting or at work, so that one greedy client cannot fill the queue."""

    key_requests_per_minute: int = Field(default=0, ge=0)
    """0: no limit."""

    request_timeout_s: float = Field(default=120.0, gt=0)
    """From a request's arrival to its last token. A small base on a laptop writes some hundred tokens in that time."""

    body_timeout_s: float = Field(default=20.0, gt=0)
    """To send the body: a client that sends a byte a minute holds no place."""

    write_timeout_s: float = Field(default=60.0, gt=0)
    """For one piece of a streamed answer to be taken by the client."""

    drain_s: float = Field(default=30.0, ge=0)
    """After SIGTERM, for the work in progress to finish. New requests are answered with 503 meanwhile."""

    max_body_bytes: int = Field(default=1_048_576, ge=1024)
    max_output_tokens: int = Field(default=1024, ge=1)
    """The most that a request may ask for: far above what the shipped adapters write."""

    max_messages: int = Field(default=256, ge=1)
    max_tools: int = Field(default=64, ge=1)
    max_documents: int = Field(default=256, ge=1)
    max_schema_bytes: int = Field(default=65_536, ge=256)
    """Of one JSON Schema, tool parameters included. Larger ones take seconds to compile."""

    max_schema_depth: int = Field(default=32, ge=1)
    max_choices: int = Field(default=8, ge=1)
    """`n`, and the prompts of one `/v1/completions` request."""

    adapter_folder: Path | None = None
    """Packages in it may be loaded and unloaded by name over HTTP; None turns those two routes off."""

    log_text: bool = False
    """Write message texts to the log. Off: lengths and counts only."""

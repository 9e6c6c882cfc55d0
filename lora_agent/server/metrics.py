"""What Prometheus reads at `/metrics`: queue, batch, tokens, cache, slots, router, verdicts, latency per adapter.

One registry an application, so that two can live in one process. Knows results and the engine's public parts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from lora_agent.engine.protocol import EngineProtocol
from lora_agent.server.admission import Admission
from lora_agent.types import Result, Route

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    def __init__(self, engine: EngineProtocol, admission: Admission) -> None:
        self.registry = CollectorRegistry()
        made: dict[str, Any] = {"registry": self.registry}
        self._requests = Counter("lora_agent_requests", "Answered requests", ["path", "status"], **made)
        self._seconds = Histogram(
            "lora_agent_request_seconds", "From arrival to the last byte", ["path"], buckets=_SECONDS, **made
        )
        self._refused = Counter("lora_agent_refused", "Refused requests by error code", ["code"], **made)
        self._tokens = Counter(
            "lora_agent_tokens",
            "Tokens: read (computed), reused (from the KV cache), generated, forced (by the grammar)",
            ["kind"],
            **made,
        )
        self._calls = Histogram(
            "lora_agent_call_seconds", "One call of an adapter or the base", ["adapter"], buckets=_SECONDS, **made
        )
        self._verdicts = Counter("lora_agent_verdicts", "Schema verdicts", ["adapter", "verdict"], **made)
        self._redecoded = Counter("lora_agent_redecoded", "Parts of values that were decoded again", **made)
        self._routes = Counter("lora_agent_routes", "Choices of the router", ["adapter", "abstained"], **made)
        self._gauge("requests_inside", "Requests at work or waiting", lambda: admission.inside)
        self._gauge("requests_waiting", "Requests waiting for a worker", lambda: admission.waiting)
        bank, prefixes = getattr(engine, "bank", None), getattr(engine, "prefixes", None)
        if bank is not None:
            self._gauge("adapter_slots", "Slots for adapters", lambda: bank.slots - 1)
            self._gauge("adapter_slots_used", "Adapters in memory", lambda: len(bank.resident))
        if (passes := getattr(getattr(engine, "runner", None), "passes", None)) is not None:
            self._gauge("forward_passes", "Forward passes since the start", lambda: passes.count)
            self._gauge(
                "forward_rows", "Sequences read in them; over the passes, the mean batch", lambda: passes.pieces
            )
        if prefixes is not None:
            self._gauge("cached_tokens", "Tokens whose keys and values are kept", lambda: prefixes.tokens)
        if (memory := getattr(engine, "admission", None)) is not None:
            self._gauge("kv_tokens", "Tokens that requests at work may take of the KV memory", lambda: memory.used)
            self._gauge("kv_waiting", "Requests waiting for KV memory", lambda: memory.waiting)

    def note(self, seen: Result | Route) -> None:
        """From a worker's thread."""
        if isinstance(seen, Route):
            self._routes.labels(seen.adapter, str(seen.abstained).lower()).inc()
            return
        for kind in ("read", "reused", "generated", "forced"):
            self._tokens.labels(kind).inc(getattr(seen.usage, kind))
        self._calls.labels(seen.adapter).observe(seen.ms / 1000)
        self._verdicts.labels(seen.adapter, seen.verdict).inc()
        self._redecoded.inc(seen.redecoded)

    def request(self, path: str, status: int, seconds: float) -> None:
        """`path` is the route's, not the request's: whoever asks for a million paths makes no million series."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def refused(self, code: str) -> None:
        self._refused.labels(code).inc()

    def text(self) -> bytes:
        return generate_latest(self.registry)

    def _gauge(self, name: str, about: str, read: Callable[[], float]) -> None:
        Gauge(f"lora_agent_{name}", about, registry=self.registry).set_function(read)

"""Spans go to a collector over OTLP, with the GenAI attributes and without texts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from lora_agent.engine.local.engine import LocalEngine
from tests.server.conftest import serving
from tests.server.test_chat import TALK


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """What is posted to a real HTTP server."""
    posted: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield posted
    server.shutdown()
    server.server_close()


def test_an_answer_is_a_span_of_the_callers_trace(engine: LocalEngine, collector: list[bytes]) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    trace = "0af7651916cd43dd8448eb211c80319c"
    with serving(engine) as address:
        headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
        asked: dict[str, Any] = {"model": "alora", "messages": TALK}
        answer = httpx.post(f"{address}/v1/chat/completions", json=asked, headers=headers).json()
        httpx.post(f"{address}/v1/chat/completions", json={**asked, "stop": "x"})
    sent = [
        span
        for body in collector
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    good, bad = sorted(sent, key=lambda span: span.start_time_unix_nano)
    facts = {entry.key: entry.value for entry in good.attributes}
    assert (good.name, good.trace_id.hex()) == ("chat alora", trace)
    assert facts["gen_ai.operation.name"].string_value == "chat"
    assert facts["gen_ai.response.model"].string_value == answer["model"]
    assert facts["gen_ai.usage.input_tokens"].int_value == answer["usage"]["prompt_tokens"]
    assert facts["gen_ai.usage.output_tokens"].int_value == answer["usage"]["completion_tokens"]
    assert {entry.key: entry.value for entry in bad.attributes}["error.type"].string_value == "InputError"
    assert not any(TALK[0]["content"].encode() in body for body in collector)

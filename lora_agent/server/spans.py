"""OpenTelemetry: one span an answer with the GenAI conventions, one for each step of the agent. No texts.

Off unless an exporter is set in OpenTelemetry's own variables; nothing of it is imported then.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from lora_agent import __version__
from lora_agent.errors import ConfigError
from lora_agent.server.answer import Answer
from lora_agent.server.ask import Ask

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


class Spans:
    def __init__(self) -> None:
        self._provider = _provider() if any(map(os.environ.get, _ENDPOINTS)) else None

    def around(self, ask: Ask, headers: Mapping[str, str], work: Callable[[], Answer]) -> Answer:
        """`work`, in a span whose parent is the caller's, if it sent one (`traceparent`)."""
        if self._provider is None:
            return work()
        from opentelemetry.trace import SpanKind, Status, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        tracer = self._provider.get_tracer("lora_agent.server", __version__)
        operation = _operation(ask)
        span = tracer.start_span(
            f"{operation} {ask.model}",
            context=TraceContextTextMapPropagator().extract(dict(headers)),
            kind=SpanKind.SERVER,
            attributes=_asked(ask, operation),
        )
        started = time.time_ns()
        try:
            answer = work()
            span.set_attributes(_answered(answer))
            self._steps(tracer, span, answer, started)
            return answer
        except Exception as error:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(Status(StatusCode.ERROR))
            raise
        finally:
            span.end()

    def close(self) -> None:
        """Send what has not been sent."""
        if self._provider is not None:
            self._provider.shutdown()

    def _steps(self, tracer: Any, parent: Any, answer: Answer, started: int) -> None:
        """The agent's steps, end to end: each has its duration, and they follow one another."""
        from opentelemetry.trace import set_span_in_context

        at = started
        for step in answer.details.get("steps", ()):
            tool = step["kind"] == "tool"
            name = f"execute_tool {step['adapter']}" if tool else f"{step['kind']} {step['adapter'] or ''}".strip()
            facts = {
                "gen_ai.tool.name": step["adapter"] if tool else None,
                "gen_ai.operation.name": "execute_tool" if tool else "chat" if step["usage"]["generated"] else None,
                "gen_ai.usage.input_tokens": step["usage"]["read"] + step["usage"]["reused"],
                "gen_ai.usage.output_tokens": step["usage"]["generated"] + step["usage"]["forced"],
                "lora_agent.adapter_digest": step["adapter_digest"],
                "lora_agent.verdict": step["verdict"],
                "error.type": "step_failed" if step["error"] else None,
            }
            span = tracer.start_span(
                name, context=set_span_in_context(parent), start_time=at, attributes=_present(facts)
            )
            at += int(step["ms"] * 1e6)
            span.end(at)


def _provider() -> Any:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ConfigError(
            f"{' or '.join(_ENDPOINTS)} is set, but OpenTelemetry is not installed ({error.name})",
            hint='pip install "lora-agent[otel]"',
        ) from error
    service = {"service.name": os.environ.get("OTEL_SERVICE_NAME", "lora-agent"), "service.version": __version__}
    provider = TracerProvider(resource=Resource.create(service))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def _operation(ask: Ask) -> str:
    if ask.text is not None:
        return "text_completion"
    return "invoke_agent" if ask.model == "agent" else "chat"


def _asked(ask: Ask, operation: str) -> dict[str, Any]:
    facts = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": "lora_agent",
        "gen_ai.request.model": ask.model,
        "gen_ai.request.max_tokens": ask.max_tokens,
        "gen_ai.request.temperature": ask.temperature,
        "gen_ai.request.top_p": ask.top_p,
        "gen_ai.request.seed": ask.seed,
        "gen_ai.output.type": "json" if ask.schema is not None else "text",
    }
    return _present(facts)


def _answered(answer: Answer) -> dict[str, Any]:
    facts = {
        "gen_ai.response.model": answer.model,
        "gen_ai.response.finish_reasons": [answer.finish],
        "gen_ai.usage.input_tokens": answer.usage.read + answer.usage.reused,
        "gen_ai.usage.output_tokens": answer.usage.generated + answer.usage.forced,
        "gen_ai.usage.cache_read.input_tokens": answer.usage.reused,
        "lora_agent.verdict": answer.details.get("verdict"),
        "lora_agent.stop_reason": answer.details.get("stop_reason"),
    }
    return _present(facts)


def _present(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value is not None}

"""An engine whose model is a set of rules over the text: it makes the agent's own behaviour testable exactly.

It keeps the engine protocol's promises: adapters leave the session as it was, a session only grows, and what
was read once is not read again.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

from lora_agent.registry import Calibration
from lora_agent.types import Message, Result, Route, Tool, Usage, compact_json

Rule = Callable[["ScriptedSession", Mapping[str, Any]], Any]
BUILT_IN = ("safety", "tool_call", "retrieval", "query_rewrite")


@dataclass(frozen=True)
class ScriptedPackage:
    digest: str
    input_schema: dict[str, Any]
    manifest: Any = field(default_factory=lambda: SimpleNamespace(calibration=Calibration()))


def safety(session: ScriptedSession, inputs: Mapping[str, Any]) -> Any:
    last = session.messages[-1]
    assert last.role == inputs["target"]
    unsafe = "bomb" in last.content
    injection = "ignore all previous instructions" in last.content.lower()
    return {
        "verdict": "unsafe" if unsafe else "safe",
        "categories": ["weapons"] if unsafe else [],
        "injection": injection,
    }


def tool_call(session: ScriptedSession, inputs: Mapping[str, Any]) -> Any:
    cities = re.findall(r"in ([A-Z]\w+)", session.request)
    return {"calls": [{"name": "get_weather", "arguments": {"city": city}} for city in cities]}


def retrieval(session: ScriptedSession, inputs: Mapping[str, Any]) -> Any:
    words = set(re.findall(r"[a-z]{5,}", session.request.lower()))
    for document in inputs["documents"]:
        for sentence in document["text"].split(". "):
            if len(words & set(re.findall(r"[a-z]{5,}", sentence.lower()))) > 1:
                return {"answerable": True, "answer": sentence, "citations": [document["id"]]}
    return {"answerable": False, "answer": "", "citations": []}


def query_rewrite(session: ScriptedSession, inputs: Mapping[str, Any]) -> Any:
    return {"query": " ".join(m.content for m in session.messages if m.role == "user")}


RULES: dict[str, Rule] = {
    "safety": safety,
    "tool_call": tool_call,
    "retrieval": retrieval,
    "query_rewrite": query_rewrite,
}


def prefer(*names: str) -> Callable[[ScriptedSession, Sequence[str]], str]:
    """Routes to the first of `names` that is legal, else to the base."""
    return lambda session, legal: next((name for name in names if name in legal), "base")


class ScriptedEngine:
    """`rules` give an adapter's output, a whole Result, or raise; `generate` is the rule "base"."""

    def __init__(
        self,
        *,
        adapters: Sequence[str] = BUILT_IN,
        rules: Mapping[str, Rule] | None = None,
        route: Callable[[ScriptedSession, Sequence[str]], str] | None = None,
        seconds: float = 0.0,
        tokens: int = 5,
    ) -> None:
        schema = {"type": "object", "required": ["messages"]}
        self.adapters = {name: ScriptedPackage(f"sha256:{name}", schema) for name in adapters}
        self.rules = {**RULES, "base": lambda session, inputs: "Hello there.", **(rules or {})}
        self.choose = route or prefer("tool_call", "query_rewrite", "retrieval")
        self.seconds = seconds
        self.tokens = tokens
        self.sessions: list[ScriptedSession] = []
        self.limits: list[int | None] = []
        self.offered: list[list[str]] = []

    def session(
        self,
        messages: Sequence[Message | Mapping[str, Any]],
        *,
        tools: Sequence[Tool | Mapping[str, Any]] = (),
    ) -> ScriptedSession:
        session = ScriptedSession(self, messages, tools)
        self.sessions.append(session)
        return session

    def call(self, adapter: str, inputs: Mapping[str, Any], **options: Any) -> Result:
        return self.session(inputs["messages"]).run(adapter, **options)

    def generate(self, messages: Sequence[Message | Mapping[str, Any]], schema: Any = None, **options: Any) -> Any:
        return self.session(messages).generate(**options).output


class ScriptedSession:
    def __init__(self, engine: ScriptedEngine, messages: Sequence[Any], tools: Sequence[Any]) -> None:
        self.engine = engine
        self.messages = tuple(Message.model_validate(m) for m in messages)
        self.tools = tuple(Tool.model_validate(t) for t in tools)
        self._read = 0

    @property
    def request(self) -> str:
        return next(m.content for m in reversed(self.messages) if m.role == "user")

    @property
    def context_tokens(self) -> int:
        return sum(1 + len(m.content.split()) for m in self.messages)

    def prefill(self) -> Usage:
        new, self._read = self.context_tokens - self._read, self.context_tokens
        return Usage(read=new)

    def route(self, legal: Sequence[str] | None = None) -> Route:
        names = list(self.engine.adapters if legal is None else legal)
        self.engine.offered.append(names)
        choice = self.engine.choose(self, names)
        if choice == "abstain":
            return Route("base", {name: 1 / (len(names) + 1) for name in (*names, "base")}, abstained=True)
        return Route(choice, {name: float(name == choice) for name in (*names, "base")})

    def run(
        self,
        adapter: str,
        *,
        max_tokens: int | None = None,
        deadline: float | None = None,
        cancel: Callable[[], bool] | None = None,
        temperature: float = 0.0,
        seed: int | None = None,
        **inputs: Any,
    ) -> Result:
        self.engine.limits.append(max_tokens)
        digest = self.engine.adapters[adapter].digest
        return replace(self._decode(adapter, inputs, max_tokens, deadline, cancel), adapter_digest=digest)

    def generate(
        self,
        *,
        schema: Any = None,
        max_tokens: int | None = None,
        deadline: float | None = None,
        cancel: Callable[[], bool] | None = None,
        temperature: float = 0.0,
        seed: int | None = None,
    ) -> Result:
        self.engine.limits.append(max_tokens)
        return self._decode("base", {}, max_tokens, deadline, cancel)

    def extend(self, messages: Sequence[Message]) -> None:
        self.messages += tuple(messages)

    def _decode(self, name: str, inputs: Any, max_tokens: int | None, deadline: Any, cancel: Any) -> Result:
        usage = Usage(reused=self._read, generated=self.engine.tokens, forced=3)
        time.sleep(self.engine.seconds)
        if cancel is not None and cancel():
            return failed(name, "cancelled", usage)
        if deadline is not None and time.monotonic() >= deadline:
            return failed(name, "deadline", usage)
        if max_tokens is not None and self.engine.tokens > max_tokens:
            return failed(name, "length", replace(usage, generated=max_tokens))
        output = self.engine.rules[name](self, inputs)
        if isinstance(output, Result):
            return output
        raw = output if isinstance(output, str) else compact_json(output)
        return Result(name, output, raw, "unchecked" if name == "base" else "valid", "stop", usage, 1.0, 0.9)


def failed(name: str, finish: Any, usage: Usage | None = None, raw: str = '{"ca') -> Result:
    usage = usage or Usage()
    return Result(name, None, raw, "truncated", finish, usage, 1.0, error=f"the output ended by {finish}")

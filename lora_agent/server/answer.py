"""An `Ask` → an `Answer`: which model, adapter or loop takes it, and what came out. Runs in a worker's thread.

Knows the engine by its protocol and the agent; nothing of HTTP but the refusals. Told pieces (`Piece`) go out while
the work goes on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, Literal

from lora_agent.agent import Agent, Policy, Retriever, ToolSet
from lora_agent.engine.protocol import EngineProtocol, Session
from lora_agent.errors import AdapterInputError, CancelledError, DeadlineError, InputError, ModelOutputError
from lora_agent.registry import AdapterPackage
from lora_agent.server.ask import ANY_OBJECT, Ask
from lora_agent.server.catalogue import AGENT, AUTO, BASE, Catalogue
from lora_agent.server.results import answer_from_results, rounds_of_calls
from lora_agent.server.written import calls_so_far
from lora_agent.structured import calls_schema, explain, normalise_parameters
from lora_agent.types import Result, Route, Step, TokenLogprob, ToolCall, Usage

Finish = Literal["stop", "length", "tool_calls", "content_filter"]
UNANSWERABLE = "The documents do not contain the answer."
_BUILT_IN = frozenset({"safety", "tool_call", "retrieval", "query_rewrite"})


@dataclass(frozen=True)
class Piece:
    """What is known of an answer while it is written; each one replaces the one before."""

    text: str | None = None
    calls: tuple[tuple[str, str], ...] = ()
    """Per tool call its name and the text of its arguments so far."""
    step: Step | None = None
    """A step of the agent that has just ended."""


@dataclass(frozen=True)
class Answer:
    model: str
    content: str | None
    finish: Finish
    usage: Usage
    calls: tuple[ToolCall, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    """What goes under `lora_agent` in the response."""


@dataclass(frozen=True)
class Limits:
    """`deadline` is a `time.monotonic()` value. `tell` gets pieces, `note` every Result and Route (for the metrics)."""

    deadline: float
    cancel: Callable[[], bool]
    tell: Callable[[Piece], None] | None = None
    note: Callable[[Result | Route], None] = lambda _: None


class Answerer:
    def __init__(
        self,
        engine: EngineProtocol,
        catalogue: Catalogue,
        *,
        tools: ToolSet | None = None,
        documents: Retriever | None = None,
        policy: Policy | None = None,
    ) -> None:
        self.engine = engine
        self.catalogue = catalogue
        self.tools = tools if tools is not None else ToolSet()
        self.documents = documents
        self.policy = policy or Policy()

    def answer(self, ask: Ask, limits: Limits) -> Answer:
        """Raises ApiError, the InputError and AdapterError families, DeadlineError and ModelOutputError."""
        if ask.text is not None:
            return self._continuation(ask.text, ask, limits)
        target = self.catalogue.find(ask.model)
        if target == AGENT:
            return self._agent(ask, limits)
        if target == AUTO:
            return self._auto(ask, limits)
        if isinstance(target, AdapterPackage):
            return self._adapter(target, ask, limits)
        return self._base(self.engine.session(ask.messages, tools=ask.tools), ask, limits)

    def _base(self, session: Session, ask: Ask, limits: Limits) -> Answer:
        """The bare base. Tools: it is asked for calls under their grammar first, and for text if it makes none."""
        _refuse(ask, "base", documents=True, inputs=True)
        if not ask.tools:
            return self._text(session, ask, limits)
        least, most = ask.calls
        schema = calls_schema(ask.tools, most, min_calls=least)
        watch = self._watch_calls(ask, limits)
        result = self._checked(session.generate(schema=schema, watch=watch, **_options(ask, limits)), limits)
        calls = _calls(result)
        if calls or result.verdict != "valid":
            return _answer(BASE, result, None, calls)
        return self._text(session, ask, limits)

    def _continuation(self, text: str, ask: Ask, limits: Limits) -> Answer:
        return self._written(partial(self.engine.complete, text), ask, limits)

    def _text(self, session: Session, ask: Ask, limits: Limits) -> Answer:
        return self._written(session.generate, ask, limits)

    def _written(self, generate: Callable[..., Result], ask: Ask, limits: Limits) -> Answer:
        """The base's own words, free or constrained."""
        tell = limits.tell
        watch = None
        if tell is not None and not (ask.schema is not None and explain(ask.schema).checked):
            watch = lambda text: tell(Piece(text=text))  # noqa: E731 - one line, used once
        result = generate(
            schema=ask.schema,
            regex=ask.regex,
            choices=ask.choices,
            stop=ask.stop,
            watch=watch,
            **_options(ask, limits),
        )
        result = self._checked(result, limits)
        if ask.constrained and result.verdict == "invalid":
            raise _invalid(result)
        return _answer(BASE, result, result.raw.rstrip("\ufffd"))

    def _adapter(self, package: AdapterPackage, ask: Ask, limits: Limits) -> Answer:
        """One adapter by name: its JSON as the content, or its calls where it calls tools."""
        properties = package.input_schema.get("properties", {})
        fits = ask.schema is None or ask.schema in (ANY_OBJECT, package.output_schema)
        if not fits or ask.regex is not None or ask.choices is not None:
            message = f"adapter {package.name!r} answers in the JSON of its own output schema"
            raise InputError(message, hint="Leave out response_format and structured_outputs.")
        if ask.stop:
            raise InputError(
                f"adapter {package.name!r} writes JSON, which no stop text may cut", hint="Leave out stop."
            )
        _refuse(ask, package.name, tools="tools" not in properties, documents="documents" not in properties)
        inputs = dict(ask.inputs)
        if reserved := inputs.keys() & {"messages", "tools", "documents"}:
            raise AdapterInputError(f"inputs holds {sorted(reserved)}", hint="Those are parameters of their own.")
        if unknown := inputs.keys() - properties.keys():
            raise AdapterInputError(
                f"inputs holds {sorted(unknown)}, which adapter {package.name!r} does not read",
                hint=f"It reads: {', '.join(properties)}.",
            )
        if "documents" in properties:
            inputs["documents"] = [document.model_dump(exclude_none=True) for document in ask.documents]
        if "messages" not in properties:
            result = self.engine.call(
                package.name, inputs or _json_of(ask, package), **_options(ask, limits), **self._calling(ask, limits)
            )
            return self._of_adapter(package, self._checked(result, limits), ask)
        session = self.engine.session(ask.messages, tools=ask.tools)
        return self._run(package, session, ask, limits, inputs)

    def _run(
        self, package: AdapterPackage, session: Session, ask: Ask, limits: Limits, inputs: Mapping[str, Any]
    ) -> Answer:
        calling = self._calling(ask, limits) if package.spec.output == "tool_calls" else {}
        if not calling and limits.tell is not None and not explain(package.output_schema).checked:
            tell = limits.tell
            calling = {"watch": lambda text: tell(Piece(text=text))}
        result = session.run(package.name, **_options(ask, limits), **calling, **inputs)
        return self._of_adapter(package, self._checked(result, limits), ask)

    def _of_adapter(self, package: AdapterPackage, result: Result, ask: Ask) -> Answer:
        if result.verdict == "invalid":
            raise _invalid(result)
        if package.spec.output == "tool_calls":
            return _answer(_id(package), result, None, _calls(result))
        return _answer(_id(package), result, result.raw)

    def _auto(self, ask: Ask, limits: Limits) -> Answer:
        """The router chooses among what this request allows; the base answers where it abstains or no tool fits."""
        _refuse(ask, AUTO, inputs=True)
        if ask.constrained and ask.documents:
            message = "documents are answered from by `retrieval`, whose JSON is its own"
            raise InputError(message, hint="Leave out response_format, or documents.")
        adapters = self.engine.adapters
        session = self.engine.session(ask.messages, tools=ask.tools)
        rounds = rounds_of_calls(ask.messages)
        may_call = bool(ask.tools) and "tool_call" in adapters
        if ask.calls[0] and may_call:
            return self._run(adapters["tool_call"], session, ask, limits, {})
        legal = ["tool_call"] if may_call and rounds < self.policy.max_tool_rounds else []
        if not rounds and not ask.constrained:
            legal += ["retrieval"] if ask.documents and "retrieval" in adapters else []
            legal += [name for name in self.skills() if not ask.documents]
        route, read = None, Usage()
        if legal:
            read = session.prefill()
            route = session.route(legal)
            limits.note(route)
        chosen = BASE if route is None or route.abstained else route.adapter
        answer = self._take(chosen, session, ask, limits)
        if answer is None and (template := answer_from_results(ask.messages)) and not ask.constrained:
            answer = Answer("template", template, "stop", Usage(), details={"adapter": None})
            if limits.tell is not None:
                limits.tell(Piece(text=template))
        if answer is None:
            free = replace(ask, tools=(), documents=())
            answer = self._text(session, free, limits)
        details = {**answer.details, "route": None if route is None else asdict(route)}
        return replace(answer, usage=_with_prefill(answer.usage, read), details=details)

    def _take(self, chosen: str, session: Session, ask: Ask, limits: Limits) -> Answer | None:
        """The chosen adapter's answer; None where the base should speak."""
        if chosen == BASE:
            return None
        package = self.engine.adapters[chosen]
        if chosen == "tool_call":
            answer = self._run(package, session, ask, limits, {})
            return answer if answer.calls or answer.finish == "length" else None
        if chosen != "retrieval":
            return self._run(package, session, ask, limits, {})
        given = [document.model_dump(exclude_none=True) for document in ask.documents]
        # The answer is one field of the adapter's JSON, and only the score at its end says whether it is given.
        found = self._run(package, session, ask, replace(limits, tell=None), {"documents": given})
        output, score = found.details.get("output"), found.details.get("score")
        if not isinstance(output, Mapping):
            return replace(found, content=None)
        doubtful = score is not None and score >= self.policy.unanswerable_threshold
        text = str(output["answer"]) if output["answerable"] and not doubtful else UNANSWERABLE
        if limits.tell is not None:
            limits.tell(Piece(text=text))
        citations = list(output["citations"]) if text != UNANSWERABLE else []
        return replace(found, content=text, details={**found.details, "citations": citations})

    def skills(self) -> list[str]:
        """Adapters beside the built-in four that need nothing but the messages."""
        return [
            name
            for name, package in self.engine.adapters.items()
            if name not in _BUILT_IN and set(package.input_schema.get("required", ())) <= {"messages"}
        ]

    def _agent(self, ask: Ask, limits: Limits) -> Answer:
        """The whole loop, with the operator's tools; documents may come with the request."""
        if ask.tools:
            names = ", ".join(self.tools) or "none"
            raise InputError(
                f"model 'agent' runs tools that this server's operator registered ({names}), no others",
                hint="Leave out `tools`, or use model 'auto' to get tool_calls that you run yourself.",
            )
        if ask.constrained or ask.stop or ask.temperature or ask.top_logprobs is not None or ask.max_tokens:
            raise InputError(
                "model 'agent' takes no response_format, stop, temperature, logprobs or token limit",
                hint="Its steps have budgets of their own; leave those parameters out.",
            )
        _refuse(ask, AGENT, inputs=True)
        documents: Any = list(ask.documents) or self.documents
        agent = Agent(self.engine, tools=self.tools, documents=documents, policy=self.policy)
        run = agent.stream(list(ask.messages), cancel=limits.cancel)
        for step in run:
            if step.route is not None:
                limits.note(step.route)
            if limits.tell is not None:
                limits.tell(Piece(step=step))
        result = run.result
        if limits.tell is not None:
            limits.tell(Piece(text=result.output))
        finish: Finish = "stop"
        if result.stop_reason in ("blocked_input", "blocked_output"):
            finish = "content_filter"
        elif result.stop_reason in ("step_budget", "token_budget", "time_budget"):
            finish = "length"
        facts = result.to_json()
        details = {name: facts[name] for name in ("stop_reason", "citations", "steps", "usage", "ms")}
        return Answer(AGENT, result.output, finish, result.usage, details=details)

    def _calling(self, ask: Ask, limits: Limits) -> dict[str, Any]:
        return {"calls": ask.calls, "watch": self._watch_calls(ask, limits)}

    def _watch_calls(self, ask: Ask, limits: Limits) -> Callable[[str], None] | None:
        """None where a call may yet be taken back: a keyword of its tool is checked after it is written."""
        tell = limits.tell
        if tell is None or any(explain(normalise_parameters(t.parameters).schema).checked for t in ask.tools):
            return None
        return lambda text: tell(Piece(calls=calls_so_far(text)))

    def _checked(self, result: Result, limits: Limits) -> Result:
        limits.note(result)
        if result.finish_reason == "deadline":
            raise DeadlineError("the answer was not finished in time", hint="Ask for fewer tokens, or try again later.")
        if result.finish_reason == "cancelled":
            raise CancelledError("the client has gone")
        return result


def _with_prefill(usage: Usage, prefill: Usage) -> Usage:
    """What the router had the base read for this request is no reuse of an earlier one."""
    moved = min(prefill.read, usage.reused)
    return replace(usage, read=usage.read + prefill.read, reused=usage.reused - moved)


def _options(ask: Ask, limits: Limits) -> dict[str, Any]:
    return {
        "max_tokens": ask.max_tokens,
        "deadline": limits.deadline,
        "cancel": limits.cancel,
        "temperature": ask.temperature,
        "top_p": ask.top_p,
        "seed": ask.seed,
        "top_logprobs": ask.top_logprobs,
    }


def _refuse(ask: Ask, model: str, *, tools: bool = False, documents: bool = False, inputs: bool = False) -> None:
    """Nothing is ignored: what the model does not read is an error."""
    for name, refused in (("tools", tools), ("documents", documents), ("inputs", inputs)):
        if refused and getattr(ask, name):
            raise InputError(f"model {model!r} does not read {name}", hint=f"Leave out {name!r}.")


def _json_of(ask: Ask, package: AdapterPackage) -> dict[str, Any]:
    """The input of an adapter that reads no conversation: the last user turn, which must be a JSON object."""
    text = next((m.content for m in reversed(ask.messages) if m.role == "user"), "")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise AdapterInputError(
            f"adapter {package.name!r} reads a JSON object, and the last user turn is none",
            hint="Send the object as the user's text, or as `inputs`.",
        )
    return value


def _calls(result: Result) -> tuple[ToolCall, ...]:
    if not isinstance(result.output, Mapping):
        return ()
    return tuple(ToolCall.model_validate(call) for call in result.output["calls"])


def _answer(model: str, result: Result, content: str | None, calls: tuple[ToolCall, ...] = ()) -> Answer:
    finish: Finish = "tool_calls" if calls else "length" if result.finish_reason == "length" else "stop"
    details = {
        "adapter": result.adapter,
        "adapter_digest": result.adapter_digest,
        "output": result.output,
        "verdict": result.verdict,
        "confidence": result.confidence,
        "score": result.score,
        "closed_early": result.closed_early,
        "usage": asdict(result.usage),
        "ms": result.ms,
    }
    return Answer(model, content, finish, result.usage, calls, result.token_logprobs, details)


def _invalid(result: Result) -> ModelOutputError:
    return ModelOutputError(
        f"the model's value is not valid: {result.error}",
        hint="Simplify the keywords that are checked after decoding; POST /v1/schema/explain lists them.",
    )


def _id(package: AdapterPackage) -> str:
    return f"{package.name}@{package.digest.removeprefix('sha256:')[:12]}"


__all__ = ["Answer", "Answerer", "Limits", "Piece"]

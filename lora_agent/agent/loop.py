"""The agent: engine, tools, documents, policy. `run` gives the result, `stream` the steps as they happen.

An Agent keeps nothing between runs, so one may serve many threads. It knows engines only by their protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lora_agent.agent.conversation import MessagesLike, read_messages
from lora_agent.agent.guard import GUARD
from lora_agent.agent.phases import work
from lora_agent.agent.policy import Policy
from lora_agent.agent.retrieval import Retriever, as_retriever
from lora_agent.agent.run import Run, Setup
from lora_agent.agent.tools import ToolLike, ToolSet
from lora_agent.agent.trace import Trace
from lora_agent.engine.protocol import EngineProtocol
from lora_agent.errors import ConfigError, EngineError
from lora_agent.types import AgentResult, Document, Message, Step

_BUILT_IN = frozenset({GUARD, "tool_call", "retrieval", "query_rewrite"})


class Agent:
    """`documents` is a folder's path, a list of texts, or a Retriever; `trace` a file to append to.

    `system` is the system message for requests that bring none. Adapters beside the built-in four are offered
    to the router too if their input schema requires nothing but `messages`.
    """

    def __init__(
        self,
        engine: EngineProtocol,
        *,
        tools: ToolSet | Iterable[ToolLike] = (),
        documents: str | Path | Sequence[str | Document] | Retriever | None = None,
        policy: Policy | None = None,
        trace: Trace | str | Path | None = None,
        system: str | None = None,
    ) -> None:
        self.engine = engine
        self.tools = tools if isinstance(tools, ToolSet) else ToolSet(tools)
        self.policy = policy or Policy()
        self.trace = trace if isinstance(trace, Trace) else Trace(trace)
        self.system = system
        self._require_adapters(documents is not None)
        self._setup = Setup(
            engine=engine,
            tools=self.tools,
            retriever=None if documents is None else as_retriever(documents),
            policy=self.policy,
            skills=_skills(engine),
        )

    def run(self, request: MessagesLike, *, cancel: Callable[[], bool] | None = None) -> AgentResult:
        """Answer a text or a conversation. `cancel` is asked between steps and tokens; True ends the run."""
        return self.stream(request, cancel=cancel).result

    def stream(self, request: MessagesLike, *, cancel: Callable[[], bool] | None = None) -> AgentRun:
        """Like `run`, step by step: iterate for the steps, then read `.result`."""
        messages = read_messages(request, self.system)
        return AgentRun(self._steps(messages, cancel))

    def _steps(
        self, messages: Sequence[Message], cancel: Callable[[], bool] | None
    ) -> Generator[Step, None, AgentResult]:
        trace = self.trace.begin(
            base=_base(self.engine),
            adapters={name: package.digest for name, package in self.engine.adapters.items()},
            policy=self.policy.model_dump(),
        )
        try:
            run = Run(self._setup, messages, trace, cancel)
            return (yield from run.drive(work(run)))
        except BaseException as error:  # GeneratorExit: the caller asked for no more steps
            trace.broken_off(type(error).__name__)
            raise

    def _require_adapters(self, documents: bool) -> None:
        policy = self.policy
        guards = [f"{name}=False" for name in ("guard_input", "guard_output", "guard_tools") if getattr(policy, name)]
        wanted = {
            GUARD: (bool(guards), "the policy demands guards", f"Policy({', '.join(guards)})"),
            "tool_call": (bool(self.tools), f"there are tools ({', '.join(self.tools)})", "no tools"),
            "retrieval": (documents, "there are documents", "no documents"),
        }
        for name, (needed, reason, instead) in wanted.items():
            if needed and name not in self.engine.adapters:
                raise ConfigError(
                    f"{reason}, but the engine has no adapter {name!r}; "
                    f"it has: {', '.join(self.engine.adapters) or 'none'}",
                    hint=f"Install it with `lora-agent adapters add FOLDER`, or go without: {instead}.",
                )


class AgentRun(Iterator[Step]):
    """A run in progress. Iterating it does the work, one step at a time."""

    def __init__(self, steps: Generator[Step, None, AgentResult]) -> None:
        self._steps = steps
        self._result: AgentResult | None = None

    def __next__(self) -> Step:
        try:
            return next(self._steps)
        except StopIteration as end:
            self._result = self._result or end.value
            raise StopIteration from None

    @property
    def result(self) -> AgentResult:
        """The result; what is left of the run is done first."""
        for _ in self:
            pass
        if self._result is None:
            raise EngineError("the run broke off, it has no result", hint="Start another one.")
        return self._result

    def close(self) -> None:
        """End the run here."""
        self._steps.close()


def _skills(engine: EngineProtocol) -> tuple[str, ...]:
    return tuple(
        name
        for name, package in engine.adapters.items()
        if name not in _BUILT_IN and set(package.input_schema.get("required", ())) <= {"messages"}
    )


def _base(engine: EngineProtocol) -> Mapping[str, Any] | None:
    """The base's identity for the trace, as far as this engine tells it."""
    base = getattr(engine, "base", None)
    names = ("id", "source_sha256", "quantization")
    return {name: getattr(base, name) for name in names if hasattr(base, name)} or None

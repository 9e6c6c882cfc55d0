"""One run's state, and the few acts that its phases share: call a model, consult the guard, record a step.

Every act checks the budget first, and every step goes to the trace at once. What to do next is not decided
here (see `phases`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lora_agent.agent.answer import ToolResult, render_results
from lora_agent.agent.budget import Budget, Stop
from lora_agent.agent.conversation import Conversation
from lora_agent.agent.guard import GUARD, Finding, block_threshold, read_finding
from lora_agent.agent.policy import Policy
from lora_agent.agent.retrieval import Retriever
from lora_agent.agent.tools import ToolSet
from lora_agent.agent.trace import RunTrace
from lora_agent.engine.protocol import EngineProtocol
from lora_agent.errors import CancelledError, ContextTooLongError, DeadlineError, EngineError
from lora_agent.types import AgentResult, Message, Result, Route, Step, StepKind, StopReason, Usage

Steps = Generator[Step, None, None]
_CUT_SHORT: frozenset[StopReason] = frozenset({"step_budget", "token_budget", "time_budget", "cancelled"})


@dataclass(frozen=True)
class Setup:
    """What an agent is made of; the same for all its runs."""

    engine: EngineProtocol
    tools: ToolSet
    retriever: Retriever | None
    policy: Policy
    skills: tuple[str, ...]
    """Adapters beside the built-in four that need nothing but the messages."""


class Run:
    def __init__(
        self, setup: Setup, messages: Sequence[Message], trace: RunTrace, cancel: Callable[[], bool] | None
    ) -> None:
        self.setup = setup
        self.budget = Budget(setup.policy, cancel)
        self.conversation = Conversation(setup.engine, messages, setup.tools.specs)
        self.steps: list[Step] = []
        self.results: list[ToolResult] = []
        self.tool_rounds = 0
        self.no_tool_fits = False
        self._trace = trace
        self._unrecorded = Usage()

    def read(self) -> None:
        """Read the context; its tokens are counted in the next step."""
        self._unrecorded += self.conversation.read()

    def route(self, legal: Sequence[str]) -> Generator[Step, None, Route]:
        self.budget.check()
        self.read()
        start = time.monotonic()
        route = self.conversation.session.route(legal)
        if route.adapter not in (*legal, "base"):
            raise EngineError(
                f"the router chose {route.adapter!r}, which is not among {list(legal)!r}",
                hint="Check the router with `lora-agent route`.",
            )
        ms = route.ms or (time.monotonic() - start) * 1000.0
        chosen = "base" if route.abstained else route.adapter
        yield self.record("route", chosen, {"legal": list(legal)}, chosen, route=route, ms=ms)
        return route

    def adapter(
        self, name: str, shown: Any, *, kind: StepKind = "adapter", **inputs: Any
    ) -> Generator[Step, None, Result]:
        """Run an adapter on the conversation. `shown` is what the step shows as its input."""
        self.budget.check()
        self.read()
        limit = self.budget.call_limit()
        result = self.conversation.session.run(
            name, max_tokens=limit, deadline=self.budget.deadline, cancel=self.budget.cancel, **inputs
        )
        yield self.record(kind, name, shown, result.output, result=result)
        self.budget.check_result(result, limit=limit)
        return result

    def generate(self) -> Generator[Step, None, Result]:
        """Let the base write freely."""
        self.budget.check()
        self.read()
        wanted = self.setup.policy.answer_max_tokens
        limit = self.budget.call_limit(wanted)
        result = self.conversation.session.generate(
            max_tokens=limit, deadline=self.budget.deadline, cancel=self.budget.cancel
        )
        yield self.record("answer", "base", None, result.output, result=result)
        self.budget.check_result(result, wanted=wanted, limit=limit)
        return result

    def guard(self, target: Literal["user", "assistant", "tool"]) -> Generator[Step, None, Finding]:
        """Judge the last message of the conversation."""
        result = yield from self.adapter(GUARD, {"target": target}, kind="guard", target=target)
        threshold = block_threshold(self.setup.policy.block_threshold, self.setup.engine.adapters[GUARD])
        return read_finding(result, threshold)

    def record(
        self,
        kind: StepKind,
        adapter: str | None,
        shown: Any,
        output: Any,
        *,
        result: Result | None = None,
        route: Route | None = None,
        error: str | None = None,
        ms: float = 0.0,
    ) -> Step:
        usage, self._unrecorded = self._unrecorded + (result.usage if result else Usage()), Usage()
        step = Step(
            index=len(self.steps),
            kind=kind,
            adapter=adapter,
            input=shown,
            output=output,
            route=route,
            verdict=result.verdict if result else None,
            usage=usage,
            ms=result.ms if result else ms,
            adapter_digest=result.adapter_digest if result else None,
            confidence=result.confidence if result else None,
            score=result.score if result else None,
            error=result.error if result else error,
        )
        self.steps.append(step)
        self.budget.steps += 1
        self.budget.usage += usage
        self._trace.step(step)
        return step

    def drive(self, phases: Steps) -> Generator[Step, None, AgentResult]:
        """Run the phases to their `Stop`; the engine's own ways of stopping end a run the same way."""
        try:
            yield from phases
            raise EngineError("the run ended without saying why", hint="Report this as a bug, with its trace.")
        except Stop as stop:
            return self._result(stop)
        except DeadlineError as error:
            return self._result(Stop("time_budget", f"Stopped: {error.message}"))
        except CancelledError as error:
            return self._result(Stop("cancelled", f"Stopped: {error.message}"))
        except ContextTooLongError as error:
            if not self.steps:  # the request itself is too long: the caller's mistake, and an error to them
                raise
            return self._result(Stop("model_error", f"Stopped: {error.message}"))

    def _result(self, stop: Stop) -> AgentResult:
        output = stop.output
        if stop.reason in _CUT_SHORT and self.results:
            output += "\nResults so far:\n" + render_results(self.results)
        result = AgentResult(
            output=output,
            stop_reason=stop.reason,
            steps=tuple(self.steps),
            citations=stop.citations,
            usage=self.budget.usage,
            ms=self.budget.ms(),
        )
        self._trace.end(result)
        return result

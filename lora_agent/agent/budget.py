"""What one run has used and what is left; raises `Stop` when a limit of the policy is reached.

`Stop` is the loop's own signal: it carries the stop reason and the text for the user, and never leaves a run.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from lora_agent.agent.policy import Policy
from lora_agent.types import Result, StopReason, Usage

_LONGEST_CALL = 1024
"""Adapters bring their own token limits, all below this. Only when less is left does the budget set the
limit, so that it never lengthens an adapter's own."""


class Stop(Exception):
    """Ends a run."""

    def __init__(self, reason: StopReason, output: str, citations: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.reason: StopReason = reason
        self.output = output
        self.citations = citations


class Budget:
    def __init__(self, policy: Policy, cancel: Callable[[], bool] | None) -> None:
        self._policy = policy
        self.cancel = cancel
        self.start = time.monotonic()
        self.deadline = self.start + policy.time_s
        self.steps = 0
        self.usage = Usage()

    def check(self) -> None:
        """Call before each piece of work."""
        if self.cancel is not None and self.cancel():
            raise Stop("cancelled", "Stopped: cancelled.")
        if time.monotonic() >= self.deadline:
            raise self._out_of_time()
        if self.steps >= self._policy.max_steps:
            raise Stop("step_budget", f"Stopped: the limit of {self._policy.max_steps} steps is reached.")
        if self.tokens_left() <= 0:
            raise self._out_of_tokens()

    def tokens_left(self) -> int:
        return self._policy.max_tokens - self.usage.generated

    def time_left(self) -> float:
        return self.deadline - time.monotonic()

    def call_limit(self, wanted: int | None = None) -> int | None:
        """`max_tokens` for a model call: `wanted`, the callee's own default (None), or what is left."""
        left = self.tokens_left()
        if wanted is not None:
            return min(wanted, left)
        return left if left < _LONGEST_CALL else None

    def check_result(self, result: Result, *, wanted: int | None = None, limit: int | None = None) -> None:
        """Stop if a limit of this run, not the model, ended the call that was given `call_limit(wanted)`."""
        if result.finish_reason == "cancelled":
            raise Stop("cancelled", "Stopped: cancelled.")
        if result.finish_reason == "deadline":
            raise self._out_of_time()
        if result.finish_reason == "length" and limit != wanted:
            raise self._out_of_tokens()

    def ms(self) -> float:
        return (time.monotonic() - self.start) * 1000.0

    def _out_of_time(self) -> Stop:
        return Stop("time_budget", f"Stopped: the limit of {self._policy.time_s:g} s is reached.")

    def _out_of_tokens(self) -> Stop:
        return Stop("token_budget", f"Stopped: the limit of {self._policy.max_tokens} generated tokens is reached.")

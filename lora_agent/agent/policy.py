"""What an agent may do and when it must stop: budgets, mandatory guards, how answers are made.

Values only, each with the reason for its default. The loop obeys them; nothing here acts.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lora_agent.types import Boundary


class Policy(Boundary):
    """All limits hold for one run. What runs out has its own stop reason."""

    max_steps: int = Field(default=12, ge=1)
    """Recorded steps. Guard, route, tool_call, two for each of four calls, and the answer: 12."""

    max_tokens: int = Field(default=4096, ge=1)
    """Sampled tokens of all calls together. Several times what a run of 12 steps needs: it ends runaways."""

    time_s: float = Field(default=120.0, gt=0)
    """Wall time. Minutes, since a laptop CPU reads only some hundred tokens a second."""

    guard_input: bool = True
    """Run the `safety` adapter on the request before anything else does."""

    guard_output: bool = True
    """Run it on every answer that a model wrote. An answer made from checked tool output by template is not
    checked again: it holds nothing new."""

    guard_tools: bool = True
    """Run it on each tool's output (tools marked `trusted` apart), since whoever wrote a web page or a mail
    that a tool reads would otherwise be giving the model orders. Documents are the user's own and
    not checked; what is answered from them is (guard_output)."""

    block_threshold: float | None = Field(default=None, ge=0.0, le=1.0)
    """The guard blocks at this probability of unsafe or above. None: at the one that its package carries, which the
    build set from a risk target (`max_false_positives` in its recipe; see the card of `safety`), or at 0.5. Lower it to
    block more."""

    injection_action: Literal["withhold"] = "withhold"
    """Tool output that the guard flags is replaced by a notice: no model and no answer sees the text."""

    max_tool_rounds: int = Field(default=1, ge=0)
    """Rounds of tool calls. One, since the embedded 135M base and its adapters are trained on one round and
    repeat themselves in a second; with a larger base, more rounds let a call use an earlier call's result."""

    unanswerable_threshold: float = Field(default=0.5, ge=0.0, le=1.0)
    """An answer whose calibrated score says with this probability or above that there is none is not given. One that
    the `retrieval` adapter did not write cannot be, whatever the score."""

    retrieval_k: int = Field(default=3, ge=1)
    """Passages shown to the `retrieval` adapter: about 400 tokens at 120 words each."""

    compose: Literal["template", "model"] = "template"
    """How tool results become the answer. "template" writes the results out and never invents a value, which
    a small base does; "model" lets the base phrase them (and the output guard check it)."""

    answer_max_tokens: int = Field(default=160, ge=1)
    """Longest free answer of the base: a paragraph. Small models ramble beyond it."""

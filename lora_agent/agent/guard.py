"""What a guard's result means under a policy. Fails closed: no verdict counts as a refusal.

Reads the output of the `safety` adapter; running it is the loop's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lora_agent.registry import AdapterPackage
from lora_agent.types import Result

GUARD = "safety"
REFUSAL = "I can't help with that request."
REFUSED_ANSWER = "I can't show the answer: the safety check refused it."


@dataclass(frozen=True)
class Finding:
    blocked: bool
    """Unsafe, or no verdict at all."""
    injection: bool = False
    reason: str = ""


def block_threshold(chosen: float | None, package: AdapterPackage) -> float:
    """The policy's, else the one that the guard's build set."""
    built = package.manifest.calibration.threshold
    return chosen if chosen is not None else 0.5 if built is None else built


def read_finding(result: Result, threshold: float) -> Finding:
    """The score decides where the guard has one (it is calibrated), else its written verdict."""
    if not result.ok:
        return Finding(True, reason=f"the safety check failed: {result.error}")
    if not isinstance(result.output, Mapping) or "verdict" not in result.output:
        return Finding(True, reason=f"the safety check gave no verdict but {result.output!r:.80}")
    unsafe = result.output["verdict"] != "safe" if result.score is None else result.score >= threshold
    injection = result.output.get("injection") is True
    reasons = [str(category) for category in result.output.get("categories", ())] if unsafe else []
    if injection:
        reasons.insert(0, "instructions to the model")
    return Finding(unsafe, injection, ", ".join(reasons) or ("unsafe" if unsafe else ""))


def withheld_notice(tool: str, finding: Finding) -> str:
    """Stands in the conversation in place of a tool's output. Holds nothing that the tool wrote."""
    return f"[The output of {tool} was withheld by the safety check: {finding.reason}.]"

"""Whether the adapter may ship: each rule that it breaks, with its numbers. A failed gate is a result, no error."""

from __future__ import annotations

from typing import Any

from ..run import Run

_SIGNIFICANT = 0.05


def inputs(run: Run) -> Any:
    return {"validate": run.report("validate")["inputs"], "rules": run.recipe.gate.model_dump(mode="json")}


def work(run: Run) -> dict[str, Any]:
    rules, found = run.recipe.gate, run.report("validate")
    report, previous = found["report"], found["previous"]
    reasons = []
    if report["gain"] < rules.min_gain:
        reasons.append(f"gain over the prompted base {report['gain']} is under {rules.min_gain}")
    if report["mcnemar_p"] > _SIGNIFICANT:
        p, n = report["mcnemar_p"], report["paired_n"]
        reasons.append(f"the difference to the prompted base may be chance (McNemar p = {p:.3g}, n = {n})")
    if report["adapter"]["valid"] < rules.min_valid:
        reasons.append(f"valid outputs {report['adapter']['valid']} are under {rules.min_valid}")
    if previous and "correct" in previous:
        worse = report["adapter"]["correct"] < previous["correct"] and previous["mcnemar_p"] <= _SIGNIFICANT
        if worse:
            reasons.append(
                f"worse than version {previous['version']}: {report['adapter']['correct']} against "
                f"{previous['correct']} (McNemar p = {previous['mcnemar_p']:.3g})"
            )
    return {"passed": not reasons, "reasons": reasons}

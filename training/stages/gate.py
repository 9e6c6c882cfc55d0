"""Whether the adapter may ship: each rule that it breaks, with its numbers. A failed gate is a result, no error."""

from __future__ import annotations

from typing import Any

from ..evaluate.interference import describe
from ..run import Run

_SIGNIFICANT = 0.05


def inputs(run: Run) -> Any:
    return {"validate": run.report("validate")["inputs"], "rules": run.recipe.gate.model_dump(mode="json")}


def work(run: Run) -> dict[str, Any]:
    rules, found = run.recipe.gate, run.report("validate")
    report, previous = found["report"], found["previous"]
    reasons = []
    if report["gain"] < rules.min_gain:
        base, adapter = report["prompted_base"], report["gain"] + report["prompted_base"]["correct"]
        reasons.append(
            f"gain over the prompted base {report['gain']} is under {rules.min_gain} (right: {adapter:.1%} against "
            f"{base['correct']:.1%}, n = {report['paired_n']})"
        )
    if report["mcnemar_p"] > _SIGNIFICANT:
        p, n = report["mcnemar_p"], report["paired_n"]
        reasons.append(f"the difference to the prompted base may be chance (McNemar p = {p:.3g}, n = {n})")
    if report["adapter"]["valid"] < rules.min_valid:
        low, high = report["adapter"]["valid_95"]
        said = f"valid outputs {report['adapter']['valid']} ({low} to {high}, n = {report['adapter']['n']})"
        reasons.append(f"{said} are under {rules.min_valid}")
    if report.get("without_effect"):
        reasons.append(f"{report['without_effect']}: it has learnt next to nothing; train longer or at a higher rate")
    if previous and "correct" in previous:
        worse = report["adapter"]["correct"] < previous["correct"] and previous["mcnemar_p"] <= _SIGNIFICANT
        if worse:
            reasons.append(
                f"worse than version {previous['version']}: {report['adapter']['correct']} against "
                f"{previous['correct']} (McNemar p = {previous['mcnemar_p']:.3g})"
            )
    reasons += _interference(report.get("interference"), rules.max_taken)
    examples = report["failures"] if reasons else []
    return {"passed": not reasons, "reasons": reasons, "examples": examples}


def _interference(found: dict[str, Any] | None, most: float) -> list[str]:
    if found is None:
        return []
    reasons = [f"beside it, the output of {name} changes" for name in found["outputs_changed"]]
    if found["examples"] and len(found["moved"]) / found["examples"] > most:
        said = f"{len(found['moved'])} of {found['examples']} requests on the other adapters' cards go elsewhere"
        reasons.append(f"{said}: {describe(found['moved'])}. Make its description and examples narrower")
    return reasons

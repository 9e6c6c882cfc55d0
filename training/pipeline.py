"""The stages of a build in their order; what is up to date is skipped, what was killed goes on.

Each stage is a module of `stages/` with `inputs(run)`, a JSON value of all that its result depends on, and
`work(run)`, which returns its report; where it writes files besides, `intact(run)` says whether they are still there,
and `needed(run)` whether this recipe has such a stage at all. The digest of the inputs is kept in the report: an equal
one means that there is nothing to do. A report appears after its stage has finished and not before.
"""

from __future__ import annotations

import hashlib
import sys
import time
from dataclasses import dataclass
from typing import Any

from lora_agent.errors import ConfigError
from lora_agent.types import compact_json

from .run import Run
from .stages import data, fit, gate, package, plan, probe, sweep, teach, validate, variants

STAGES: dict[str, Any] = {
    "plan": plan,
    "teach": teach,
    "data": data,
    "probe": probe,
    "sweep": sweep,
    "fit": fit,
    "validate": validate,
    "gate": gate,
    "variants": variants,
    "package": package,
}


@dataclass(frozen=True)
class Outcome:
    """What a build came to. `passed` is None where the gate was not reached."""

    passed: bool | None
    reports: dict[str, dict[str, Any]]


def build(run: Run, *, start: str = "plan", until: str = "package") -> Outcome:
    """Run the stages up to `until`. Those before `start` must be finished and are left as they are; `start` itself
    and all after it are done again.

    Raises ConfigError and DataError (exit code 2), MemoryForecastError (3); a failed gate is in the Outcome.
    """
    names = list(STAGES)
    first, last = names.index(start), names.index(until)
    reports: dict[str, dict[str, Any]] = {}
    for index, name in enumerate(names[: last + 1]):
        if not getattr(STAGES[name], "needed", _always)(run):
            continue
        if index < first:
            if not run.has(name):
                hint = f"Run without --from, or with --from {name}."
                raise ConfigError(f"{str(run.folder)!r} has no finished {name}, which {start} needs", hint=hint)
            reports[name] = run.report(name)
            continue
        reports[name] = _stage(run, name, again=start != "plan")
    gate_report = reports.get("gate")
    return Outcome(None if gate_report is None else bool(gate_report["passed"]), reports)


def _stage(run: Run, name: str, *, again: bool) -> dict[str, Any]:
    stage = STAGES[name]
    digest = hashlib.sha256(compact_json([name, stage.inputs(run)]).encode()).hexdigest()
    if not again and run.has(name):
        report = run.report(name)
        if report.get("inputs") == digest and getattr(stage, "intact", _always)(run):
            print(f"{name}: up to date", file=sys.stderr)
            return report
    print(f"{name} ...", file=sys.stderr, flush=True)
    if (
        name != "package"
    ):  # which replaces its folder as a whole; others write file by file, and may be killed in between
        run.forget(name)
    started = time.monotonic()
    found = stage.work(run)
    report = {"inputs": digest, "seconds": round(time.monotonic() - started, 1), **found}
    run.write(name, report)
    return report


def _always(_: Run) -> bool:
    return True

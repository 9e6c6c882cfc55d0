"""`lora-agent train`: one adapter, from a recipe to a package that has passed its gate."""

from __future__ import annotations

import enum
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from lora_agent.cli.options import JsonFlag

GATE_FAILED = 4


class StageName(enum.StrEnum):
    plan = "plan"
    teach = "teach"
    data = "data"
    probe = "probe"
    sweep = "sweep"
    fit = "fit"
    validate = "validate"
    gate = "gate"
    variants = "variants"
    package = "package"


def train(
    recipe: Annotated[Path, typer.Argument(help="The recipe, a YAML file.", metavar="RECIPE.yaml")],
    out: Annotated[Path, typer.Option("--out", help="Folder for checkpoints and reports; the package is OUT/NAME.")],
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder of the recipe's data files. Default: the recipe's own.")
    ] = None,
    package: Annotated[Path | None, typer.Option("--package", help="Write the package here instead.")] = None,
    until: Annotated[StageName, typer.Option("--until", help="Stop after this stage.")] = StageName.package,
    start: Annotated[
        StageName, typer.Option("--from", help="Do this stage and all after it again; those before must be finished.")
    ] = StageName.plan,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check recipe and data, print the plan, train nothing.")
    ] = False,
    sweep: Annotated[
        bool,
        typer.Option("--sweep", help="Choose the learning rate by short runs first."),
    ] = False,
    processes: Annotated[
        int, typer.Option("--processes", min=1, help="Train with this many processes, through `accelerate launch`.")
    ] = 1,
    preview: Annotated[
        int, typer.Option("--preview", min=0, help="Print this many rows as the model sees them, and stop.")
    ] = 0,
    push: Annotated[
        str | None, typer.Option("--push", help="If it passes, publish it on the Hub.", metavar="OWNER/NAME")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Train an adapter, validate it against the prompted base, package it if it passes its gate.

    Killed runs go on where they were; stages whose inputs have not changed are skipped. Exit codes: 0 shipped,
    2 bad recipe or data, 3 will not fit in memory, 4 the gate failed.
    """
    from lora_agent.training.pipeline import build
    from lora_agent.training.run import Run
    from lora_agent.training.stages.data import preview as show_rows

    run = Run.open(recipe, out, data=data, package=package, sweep=sweep, processes=processes)
    if preview:
        print(show_rows(run, preview))
        return
    outcome = build(run, start=start.value, until="probe" if dry_run else until.value)
    if push is not None and outcome.passed:
        from lora_agent.registry.hub import push as publish

        done = publish(outcome.reports["package"]["folder"], push)
        print(f"pushed {done.tag} ({done.digest}): {done.url}", file=sys.stderr)
    if as_json:
        print(json.dumps({"passed": outcome.passed, "package": _packaged(outcome.reports), "stages": outcome.reports}))
    else:
        for line in _summary(outcome.reports):
            print(line)
    if outcome.passed is False:
        for reason in outcome.reports["gate"]["reasons"]:
            print(f"gate: {reason}", file=sys.stderr)
        for wrong in outcome.reports["gate"]["examples"][:3]:
            said, right = (
                json.dumps(wrong["output"], ensure_ascii=False),
                json.dumps(wrong["target"], ensure_ascii=False),
            )
            print(
                f"gate: for example {wrong['row']}: {wrong['last']!r}: wrote {said}, right is {right}", file=sys.stderr
            )
        raise typer.Exit(GATE_FAILED)


def _packaged(reports: dict[str, dict[str, Any]]) -> str | None:
    return reports["package"]["folder"] if "package" in reports else None


def _summary(reports: dict[str, dict[str, Any]]) -> list[str]:
    """One line for each stage that has something to say."""
    lines = []
    if found := reports.get("teach"):
        fell = ", ".join(f"{n} {reason}" for reason, n in found["rejected"].items()) or "none"
        lines.append(f"teach     {found['taught']} of {found['without_target']} lines; without an answer: {fell}")
    if found := reports.get("data"):
        dropped = ", ".join(f"{n} {reason}" for reason, n in found["dropped"].items()) or "none"
        lines.append(
            f"data      {found['train']['rows']} to train on, {found['dev']['rows']} to validate on; dropped: {dropped}"
        )
    if found := reports.get("probe"):
        forecast = f"forecast {found['forecast_mib']['total']}" if found["forecast_mib"] else "no forecast"
        lines.append(
            f"probe     {found['steps']} steps, about {found['minutes_expected']} min, "
            f"{found['measured_peak_mib']} MiB ({forecast})"
        )
    if found := reports.get("sweep"):
        lines.append("sweep     " + ", ".join(f"{axis} {value}" for axis, value in found["chosen"].items()))
    if found := reports.get("fit"):
        done = f"composed by {found['composed']}" if "composed" in found else f"{found['rows_seen']} rows"
        lines.append(f"fit       {done} in {found['training_seconds']} s")
    if found := reports.get("validate"):
        for name in ("adapter", "prompted_base"):
            s = found["report"][name]
            low, high = s["correct_95"]
            lines.append(
                f"validate  {name.replace('_', ' ')}: {s['correct']:.0%} ({low:.0%} to {high:.0%}, n = {s['n']})"
            )
    if found := reports.get("gate"):
        lines.append(f"gate      {'passed' if found['passed'] else 'FAILED'}")
    if found := reports.get("package"):
        lines.append(f"package   {found['folder']}")
    return lines

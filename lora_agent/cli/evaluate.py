"""`lora-agent eval`: an adapter on rows of your own, next to the prompted base if asked."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from lora_agent.cli.options import (
    AdapterPathOption,
    BaseOption,
    DeviceOption,
    JsonFlag,
    QuantizationOption,
    open_engine,
)
from lora_agent.errors import ConfigError


def evaluate(
    adapter: Annotated[str, typer.Argument(help="Name of the adapter.")],
    data: Annotated[Path, typer.Option("--data", help="JSON Lines in any shape that `train` reads.")],
    metric: Annotated[
        str | None, typer.Option("--metric", help="exact, call, answer, rewrite or verdict. Default: its gate's.")
    ] = None,
    rows: Annotated[int | None, typer.Option("--rows", min=1, help="At most this many, evenly spread.")] = None,
    prompted: Annotated[bool, typer.Option("--prompted", help="Run the prompted base on the same rows too.")] = False,
    base: BaseOption = None,
    quantization: QuantizationOption = "nf4",
    device: DeviceOption = None,
    adapter_path: AdapterPathOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Score an adapter: share of right answers with its 95 % interval, validity, stop rate, by source."""
    from lora_agent.training.data.formats import read_lines
    from lora_agent.training.data.rows import Row
    from lora_agent.training.evaluate.metrics import METRICS
    from lora_agent.training.evaluate.run import compare, run_system, summary
    from lora_agent.training.selection import pick

    engine: Any = open_engine(base, quantization, device, adapter_path)
    package = engine.package(adapter)
    found = list(read_lines(data, tool_calls=package.spec.output == "tool_calls"))
    wrong = [(number, row) for number, row in found if not isinstance(row, Row)]
    for number, problem in wrong:
        print(f"{data}:{number}: {problem}", file=sys.stderr)
    good = [row for _, row in found if isinstance(row, Row)]
    if not good:
        raise ConfigError(f"{str(data)!r} has no usable line", hint="docs/training.md says what a line looks like.")
    name = metric or str((package.manifest.gate.report or {}).get("metric", "exact"))
    if name not in METRICS:
        raise ConfigError(f"there is no metric {name!r}", hint=f"Use one of {', '.join(METRICS)}.")
    chosen = pick(good, rows or len(good))
    scored = run_system(engine, adapter, chosen, name)
    report: dict[str, Any] = {"adapter": adapter, "metric": name, "skipped_lines": len(wrong), **summary(scored)}
    report["by_source"] = {s: {"n": len(f), "correct": sum(f) / len(f)} for s, f in sorted(scored.by_source.items())}
    if prompted:
        other = run_system(engine, adapter, chosen, name, prompted=True)
        report["prompted_base"] = {**summary(other), **compare(scored, other)}
    if as_json:
        print(json.dumps(report))
        return
    low, high = report["correct_95"]
    print(f"{adapter}: {report['correct']:.1%} right ({low:.1%} to {high:.1%}, n = {report['n']}), metric {name}")
    print(f"valid {report['valid']:.1%}, stopped {report['stopped']:.1%}")
    if prompted:
        other_report = report["prompted_base"]
        p = other_report["mcnemar_p"]
        print(f"prompted base: {other_report['correct']:.1%} right; McNemar p = {p:.3g}")

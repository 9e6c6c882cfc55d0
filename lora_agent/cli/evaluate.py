"""`lora-agent eval`: an adapter on its shipped suite or on rows of your own, next to the prompted base if asked."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
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

RATES = ("recall", "false_positive_rate", "injection_recall", "injection_false_positive_rate", "answerability_correct")


def evaluate(
    adapter: Annotated[str, typer.Argument(help="Name of the adapter.")],
    suite: Annotated[
        Path | None,
        typer.Option(
            "--suite", "--data", help="JSON Lines in any shape that `train` reads. Default: the suite that is shipped."
        ),
    ] = None,
    metric: Annotated[
        str | None, typer.Option("--metric", help="exact, call, answer, rewrite or verdict. Default: its gate's.")
    ] = None,
    rows: Annotated[int | None, typer.Option("--rows", min=1, help="At most this many, evenly spread.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Keep every answer here; an interrupted run goes on from them.")
    ] = None,
    prompted: Annotated[bool, typer.Option("--prompted", help="Run the prompted base on the same rows too.")] = False,
    base: BaseOption = None,
    quantization: QuantizationOption = "nf4",
    device: DeviceOption = None,
    adapter_path: AdapterPathOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Score an adapter: share of right answers with its 95 % interval, validity, stop rate, calibration, by source."""
    from lora_agent.training.data.formats import read_lines
    from lora_agent.training.data.rows import Row
    from lora_agent.training.evaluate.metrics import METRICS
    from lora_agent.training.evaluate.run import compare, detail, run_system, summary
    from lora_agent.training.evaluate.suite import answers, shipped
    from lora_agent.training.selection import pick

    engine: Any = open_engine(base, quantization, device, adapter_path)
    package = engine.package(adapter)
    path = suite or shipped(adapter)
    found = list(read_lines(path, tool_calls=package.spec.output == "tool_calls"))
    wrong = [(number, row) for number, row in found if not isinstance(row, Row)]
    for number, problem in wrong:
        print(f"{path}:{number}: {problem}", file=sys.stderr)
    good = [row for _, row in found if isinstance(row, Row)]
    if not good:
        raise ConfigError(f"{str(path)!r} has no usable line", hint="docs/training.md says what a line looks like.")
    name = metric or str((package.manifest.gate.report or {}).get("metric", "exact"))
    if name not in METRICS:
        raise ConfigError(f"there is no metric {name!r}", hint=f"Use one of {', '.join(METRICS)}.")
    chosen = pick(good, rows or len(good))
    run = {"adapter": adapter, "digest": package.digest, "base": engine.base.id, "quantization": quantization}
    with answers(out, adapter, run) as kept:
        scored = run_system(engine, adapter, chosen, name, kept=kept)
    report: dict[str, Any] = {"adapter": adapter, "version": package.spec.version, "suite": str(path), "metric": name}
    report |= {"skipped_lines": len(wrong), **summary(scored), **detail(scored, chosen, package, name)}
    report["by_source"] = {s: {"n": len(f), "correct": sum(f) / len(f)} for s, f in sorted(scored.by_source.items())}
    if prompted:
        other = run_system(engine, adapter, chosen, name, prompted=True)
        report["prompted_base"] = {**summary(other), **compare(scored, other)}
    print(json.dumps(report) if as_json else _text(report))


def _text(report: Mapping[str, Any]) -> str:
    low, high = report["correct_95"]
    right = f"{report['correct']:.1%} right ({low:.1%} to {high:.1%}, n = {report['n']}), metric {report['metric']}"
    lines = [f"{report['adapter']} {report['version']}: {right}"]
    lines.append(f"valid {report['valid']:.1%}, stopped {report['stopped']:.1%}")
    if "confidence_ece" in report:
        lines.append(f"calibration error of the confidence {report['confidence_ece']:.3f}")
    if score := report.get("score"):
        count = f"{score['positives']} positive, {score['negatives']} negative"
        lines.append(f"score: AUROC {score['auroc']:.3f}, AUPRC {score['auprc']:.3f}, F1 {score['f1']:.3f} ({count})")
    for name in RATES:
        if (rate := report.get(name)) and rate["n"]:
            low, high = rate["interval_95"]
            lines.append(f"{name.replace('_', ' ')} {rate['rate']:.1%} ({low:.1%} to {high:.1%}, n = {rate['n']})")
    if report.get("citation_f1") is not None:
        f1 = f"citation F1 {report['citation_f1']:.2f}, word F1 of the answer {report['answer_word_f1']:.2f}"
        lines.append(f"of the questions that have an answer: {f1}")
    width = max(len(source) for source in report["by_source"])
    lines += [f"  {source:<{width}}  {v['correct']:>6.1%}  n = {v['n']}" for source, v in report["by_source"].items()]
    if other := report.get("prompted_base"):
        lines.append(f"prompted base: {other['correct']:.1%} right; McNemar p = {other['mcnemar_p']:.3g}")
    return "\n".join(lines)

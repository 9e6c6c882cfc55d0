"""`lora-agent bench`: what a step costs on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from lora_agent.cli import options
from lora_agent.types import compact_json


def bench(
    runs: Annotated[int, typer.Option(min=1, help="Runs per measurement.")] = 7,
    out: Annotated[Path | None, typer.Option(help="Also write the measurements to this file, as JSON.")] = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Measure prefill, routing, each shipped adapter and batches, part by part: medians with least and most.

    Compare ratios within a run, never absolute times of two machines. `python -m benchmarks.engine` in the repository
    compares with transformers and PEFT, llama.cpp and vLLM.
    """
    from lora_agent.benchmarks.steps import measure, show

    rows, facts = measure(runs)
    report = {"runs": runs, "facts": facts, "rows": rows}
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(compact_json(report) + "\n", encoding="utf-8")
        print(f"written to {out}", file=sys.stderr)
    if as_json:
        print(compact_json(report))
    else:
        show(rows, facts, runs)

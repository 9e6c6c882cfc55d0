"""`python -m benchmarks.structured --data DIR`: every schema of JSONSchemaBench, or with --suite of the official tests.

Each schema is compiled and timed, and its instances go through the mask and the validator. Results are lines of JSON in
`--out`; a run that was stopped goes on where it ended. Exit code 1 if an invalid instance passed where the library says
that the grammar enforces everything.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from pathlib import Path
from typing import Any

import llguidance

from benchmarks.structured.pool import run
from benchmarks.structured.report import print_summary, summarise
from benchmarks.structured.sources import rows
from lora_agent import __version__
from lora_agent.cli.progress import Progress


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.structured", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the collections")
    parser.add_argument("--suite", action="store_true", help="the JSON-Schema-Test-Suite instead of JSONSchemaBench")
    parser.add_argument("--limit", type=int, help="a random sample of so many schemas")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, help="lines of results (default runs/structured[-suite].jsonl)")
    parser.add_argument("--fresh", action="store_true", help="forget the results of an earlier run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    options = parser.parse_args()
    wanted = rows(options.data, options.suite)
    if options.limit is not None and options.limit < len(wanted):
        wanted = random.Random(options.seed).sample(wanted, options.limit)
    out = options.out or Path("runs", "structured-suite.jsonl" if options.suite else "structured.jsonl")
    records = _measure(wanted, out, options.workers, fresh=options.fresh)
    figures = summarise(records)
    print_summary(figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))
    return 1 if figures["invalid_exact_tier"]["accepted"] else 0


def _measure(wanted: list[Any], out: Path, workers: int, *, fresh: bool) -> list[dict[str, Any]]:
    """The records of the wanted rows, from `out` where they are there."""
    header = {"lora_agent": __version__, "llguidance": llguidance.__version__}
    done = {} if fresh or not out.is_file() else _read(out, header)
    out.parent.mkdir(parents=True, exist_ok=True)
    left = [row for row in wanted if row.id not in done]
    progress = Progress(len(wanted), already=len(wanted) - len(left), unit="schema")
    with out.open("a" if done else "w", encoding="utf-8") as file:
        if not done:
            file.write(json.dumps(header) + "\n")
        for record in run(left, workers):
            done[record["id"]] = record
            file.write(json.dumps(record) + "\n")
            file.flush()
            progress.advance()
    progress.finish()
    return [done[row.id] for row in wanted]


def _read(out: Path, header: dict[str, str]) -> dict[str, dict[str, Any]]:
    lines = out.read_text(encoding="utf-8").splitlines()
    if not lines or json.loads(lines[0]) != header:
        raise SystemExit(f"error: {out} holds results of {lines[:1]}, not of {header}\n  Use --fresh or another --out.")
    found = {}
    for line in lines[1:]:
        try:
            record = json.loads(line)
        except ValueError:
            continue  # the last line of a run that was stopped
        found[record["id"]] = record
    return found


if __name__ == "__main__":
    sys.exit(main())

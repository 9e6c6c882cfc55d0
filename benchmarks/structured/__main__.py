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

from .lines import measured
from .pool import run
from .report import print_summary, summarise
from .sources import rows


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
    records = measured(wanted, out, lambda left: run(left, options.workers), fresh=options.fresh)
    figures = summarise(records)
    print_summary(figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))
    return 1 if figures["invalid_exact_tier"]["accepted"] else 0


if __name__ == "__main__":
    sys.exit(main())

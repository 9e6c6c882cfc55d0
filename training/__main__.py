"""`python -m training RECIPE --data DIR --out RUN`: one adapter, from data files to a package."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from lora_agent.errors import LoraAgentError

from .stages import Run, fit, package

GATE_FAILED = 4


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data", type=Path, help="folder that the recipe's data files lie in (default: the recipe's)")
    parser.add_argument("--out", type=Path, required=True, help="run folder: checkpoints, metrics, reports")
    parser.add_argument("--package", type=Path, help="folder of the finished package (default: OUT/NAME)")
    parser.add_argument("--until", choices=["fit", "package"], default="package")
    options = parser.parse_args()
    try:
        run = Run.open(options.recipe, options.out, options.data)
        print(json.dumps(fit(run)), file=sys.stderr)
        if options.until == "fit":
            return 0
        found = package(run, options.package or options.out / run.recipe.name)
        print(json.dumps({"passed": found["passed"], "report": found["report"]}, indent=1))
    except LoraAgentError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0 if found["passed"] else GATE_FAILED


if __name__ == "__main__":
    sys.exit(main())

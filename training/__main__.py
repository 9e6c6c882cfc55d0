"""`python -m training RECIPE --data DIR --out RUN`: one adapter, from data files to a package."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lora_agent.errors import LoraAgentError

from .stages import Run, fit


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data", type=Path, help="folder that the recipe's data files lie in (default: the recipe's)")
    parser.add_argument("--out", type=Path, required=True, help="run folder")
    options = parser.parse_args()
    try:
        run = Run.open(options.recipe, options.out, options.data)
        print(fit(run), file=sys.stderr)
    except LoraAgentError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())

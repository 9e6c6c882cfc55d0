"""One of the processes that `accelerate launch` starts for a fit; see training/stages/fit.py."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lora_agent.errors import LoraAgentError

from .run import Run
from .stages.fit import worker


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--processes", type=int, required=True)
    parser.add_argument("--sweep", action="store_true")
    given = parser.parse_args()
    try:
        worker(Run.open(given.recipe, given.folder, data=given.data, sweep=given.sweep, processes=given.processes))
    except LoraAgentError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())

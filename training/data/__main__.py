"""`python -m training.data NAME`: build one set of training rows from the public sets and our generators.

Writes train.jsonl.gz, dev.jsonl.gz, report.json and card.md, and prints the report. Same data and seed, same bytes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from lora_agent.errors import ConfigError, LoraAgentError

from .card import write_card

NAMES = ("tool_call", "retrieval", "query_rewrite", "safety", "router")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.data", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--data", type=Path, default=os.environ.get("LORA_AGENT_DATA"), help="default: LORA_AGENT_DATA")
    parser.add_argument("--out", type=Path, help="default: runs/data/NAME")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--train", type=int, help="training rows (default: the builder's)")
    parser.add_argument("--dev", type=int, help="development rows (default: the builder's)")
    options = parser.parse_args(arguments)
    if options.data is None:
        parser.error("no data folder: pass --data FOLDER or set LORA_AGENT_DATA")
    build = import_module(f".{options.name}.build", __package__).build
    sizes: dict[str, Any] = {k: v for k in ("train", "dev") if (v := getattr(options, k)) is not None}
    try:
        if not options.data.is_dir():
            hint = "export LORA_AGENT_DATA=<folder with the data sets>; their origins are in training/data/origins.yaml"
            raise ConfigError(f"no data folder at {str(options.data)!r}", hint=hint)
        out = options.out or Path("runs/data") / options.name
        report = build(options.data, out, options.seed, **sizes)
        write_card(options.name, out, options.data, report)
    except LoraAgentError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps(report, indent=1, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m benchmarks.structured.outputs --data DIR`: the embedded base writes a value for sampled schemas of
JSONSchemaBench. Every value that is returned is validated again, by `jsonschema` alone with its format checks.
`--tools`: only schemas of function calls. Exit code 1 if a returned value is not valid.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jsonschema

from lora_agent import Engine
from lora_agent.errors import ContextTooLongError, EngineError, SchemaError

from .lines import measured
from .sources import Row, rows

TOOLS = "Glaiveai2K"
"""The split of function signatures."""
REQUEST = "Make up one realistic example, with short texts."


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.structured.outputs", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the collections")
    parser.add_argument("--limit", type=int, default=300, help="a random sample of so many schemas")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--tools", action="store_true", help=f"only the split {TOOLS}")
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--out", type=Path, help="lines of results (default runs/outputs[-tools].jsonl)")
    parser.add_argument("--fresh", action="store_true", help="forget the results of an earlier run")
    options = parser.parse_args()
    all_rows = [row for row in rows(options.data, False) if not options.tools or row.split == TOOLS]
    wanted = random.Random(options.seed).sample(all_rows, min(options.limit, len(all_rows)))
    out = options.out or Path("runs", "outputs-tools.jsonl" if options.tools else "outputs.jsonl")
    records = measured(wanted, out, lambda left: _write(left, options.max_tokens), fresh=options.fresh)
    figures = _summary(records)
    print(json.dumps(figures, indent=1))
    return 1 if figures["returned_but_invalid"] else 0


def _write(left: Sequence[Row], max_tokens: int) -> Iterator[dict[str, Any]]:
    engine = Engine.load()
    for row in left:
        started = time.perf_counter()
        record: dict[str, Any] = {"id": row.id, "split": row.split}
        try:
            session = engine.session([{"role": "user", "content": REQUEST}])
            result = session.generate(schema=row.schema, max_tokens=max_tokens)
        except SchemaError as error:
            yield record | {"status": "refused", "reason": f"{error.message:.200}"}
            continue
        except ContextTooLongError as error:
            yield record | {"status": "too long", "reason": f"{error.message:.200}"}
            continue
        except EngineError as error:
            yield record | {"status": "failed", "reason": f"{error.message:.200}"}
            continue
        record |= {
            "status": "returned" if result.ok else result.verdict,
            "valid": _valid(result.output, row.schema) if result.ok else None,
            "finish_reason": result.finish_reason,
            "redecoded": result.redecoded,
            "closed_early": result.closed_early,
            "generated": result.usage.generated,
            "forced": result.usage.forced,
            "ms": round((time.perf_counter() - started) * 1000),
            "reason": result.error or "",
        }
        yield record


def _valid(value: Any, schema: Any) -> bool:
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    return bool(kind(schema, format_checker=kind.FORMAT_CHECKER).is_valid(value))


def _summary(records: Iterable[dict[str, Any]]) -> dict[str, Any]:
    records = list(records)
    asked = [r for r in records if r["status"] not in ("refused", "too long", "failed")]
    returned = [r for r in asked if r["status"] == "returned"]
    tokens = sum(r["generated"] + r["forced"] for r in asked)
    return {
        "schemas": len(records),
        "status": dict(Counter(r["status"] for r in records)),
        "returned_but_invalid": sum(not r["valid"] for r in returned),
        "ended_by_length": sum(r["finish_reason"] == "length" for r in asked),
        "closed_early": sum(r["closed_early"] for r in asked),
        "decoded_again": sum(r["redecoded"] > 0 for r in asked),
        "decoded_again_times": dict(Counter(r["redecoded"] for r in asked)),
        "forced_share": round(sum(r["forced"] for r in asked) / max(tokens, 1), 3),
        "median_ms": sorted(r["ms"] for r in asked)[len(asked) // 2] if asked else None,
    }


if __name__ == "__main__":
    sys.exit(main())

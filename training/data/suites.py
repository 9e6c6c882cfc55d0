"""The suites that `lora-agent eval NAME` runs by default: `python -m training.data.suites`.

Rows of our own generators alone (no text of others ships), of the domains, document kinds, patterns and families that
are kept for development and never trained on. Same seed, same bytes. The gate's development rows are others: they mix
in public sets, which a user need not have.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from ..evaluate.suite import FOLDER
from .decontaminate import Decontaminator
from .query_rewrite import generator as rewrites
from .retrieval import generator as retrieval
from .rows import Row, write_rows
from .safety import generator as safety
from .tool_call.generator.compose import Composer
from .tool_call.generator.spec import load_domains
from .tool_call.schema import TargetChecker

ROWS = 200
SAFETY = {"requests": 0.5, "tool_results": 0.4, "replies": 0.1}
"""Shares of what is judged: users' messages, tools' results, the assistant's replies."""


def tool_call(rng: random.Random) -> list[Row]:
    composer = Composer([domain for domain in load_domains() if domain.dev], rng, "dev")
    check, found = TargetChecker(), []
    for group in composer.groups():
        found += [row for row in group if check.fault(row) is None]
        if len(found) >= ROWS:
            break
    return found[:ROWS]


def documents(rng: random.Random) -> list[Row]:
    return [row for row in retrieval.rows(rng, "dev", 2 * ROWS) if row is not None][:ROWS]


def safety_rows(rng: random.Random) -> list[Row]:
    passages = [text["text"] for row in documents(rng) for text in row.input["documents"]]
    made = {
        "requests": list(safety.requests(rng, "dev", ROWS)),
        "tool_results": list(safety.tool_results(passages, rng, "dev", ROWS)),
        "replies": list(safety.replies(rng, "dev", ROWS)),
    }
    return [row for name, rows in made.items() for row in _distinct(rows)[: round(ROWS * SAFETY[name])]]


SUITES: dict[str, Callable[[random.Random], list[Row]]] = {
    "query_rewrite": lambda rng: _distinct(rewrites.rows(rng, "dev", 2 * ROWS))[:ROWS],
    "retrieval": documents,
    "safety": safety_rows,
    "tool_call": tool_call,
}


def _distinct(rows: Iterable[Row]) -> list[Row]:
    return list({str(row.input): row for row in rows}.values())


def main() -> int:
    data = os.environ.get("LORA_AGENT_DATA")
    if data is None:
        print("error: set LORA_AGENT_DATA, whose hashes of public test sets keep them out of here", file=sys.stderr)
        return 2
    clean = Decontaminator.from_data(Path(data))
    for name, make in SUITES.items():
        kept, dropped = clean.split(make(random.Random(f"suite/{name}")))
        write_rows(FOLDER / f"{name}.jsonl", kept)
        print(f"{name}: {len(kept)} rows, {len(dropped)} in a public test set")
    return 0


if __name__ == "__main__":
    sys.exit(main())

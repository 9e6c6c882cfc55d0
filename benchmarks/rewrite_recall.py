"""Does a rewrite find what the person meant? Recall@5 of `query_rewrite` against people's own rewrites.

    python -m training.data query_rewrite
    python -m benchmarks.rewrite_recall --rows runs/data/query_rewrite/dev.jsonl.gz

The questions are the development turns of TREC CAsT 2021, none of whose topics was trained on; the passage that the
track's organisers gave as the answer of a turn is what must be found, by our own full-text search, among the passages
and replies of all turns of 2021 and 2022 and the passages of QuAC. No query comes with its conversation.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from pathlib import Path

import numpy as np
from lora_agent.training.data.query_rewrite.sources import read_passages
from lora_agent.training.data.retrieval.sources import read_quac
from lora_agent.training.data.rows import read_rows

from lora_agent import Engine
from lora_agent.agent.retrieval.fts5 import Fts5Retriever
from lora_agent.types import Document

TOP = 5
AT_A_TIME = 8
SOURCE = "cast-2021"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("LORA_AGENT_DATA"), help="folder of the public sets"
    )
    parser.add_argument("--adapter-path", type=Path, help="a package to measure instead of the shipped one")
    options = parser.parse_args()
    if options.data is None:
        parser.error("set LORA_AGENT_DATA or give --data")
    passages = read_passages(Path(options.data))
    rows = [row for row in read_rows(options.rows) if row.source == SOURCE and row.output["query"] in passages]
    others = [question.passage for question in read_quac(Path(options.data))[0]]
    texts = list(dict.fromkeys([*passages.values(), *others]))
    retriever = Fts5Retriever.from_texts([Document(id=str(number), text=text) for number, text in enumerate(texts)])
    retriever.min_coverage = 0.0  # recall alone: the agent would turn the weakest away
    engine = Engine.load(adapters=[options.adapter_path] if options.adapter_path else [])
    rewrites: list[str] = []
    for start in range(0, len(rows), AT_A_TIME):
        found = engine.call_batch([("query_rewrite", row.input) for row in rows[start : start + AT_A_TIME]])
        rewrites += [str((result.output or {}).get("query", "")) for result in found]
        print(f"{len(rewrites)}/{len(rows)} turns", file=sys.stderr)
    queries = {
        "as it was said": [row.input["messages"][-1]["content"] for row in rows],
        "query_rewrite": rewrites,
        "a person's rewrite": [row.output["query"] for row in rows],
    }
    wanted = [str(texts.index(passages[row.output["query"]])) for row in rows]
    hits = {
        name: [_finds(retriever, query, identifier) for query, identifier in zip(asked, wanted, strict=True)]
        for name, asked in queries.items()
    }
    print(f"{len(texts)} texts, recall@{TOP}, n = {len(rows)}")
    for name, found_by in hits.items():
        print(f"{name:20s} {np.mean(found_by):.0%}")
    ours, theirs = np.array(hits["query_rewrite"], float), np.array(hits["a person's rewrite"], float)
    draws = [np.mean(random.Random(seed).choices(list(ours - theirs), k=len(rows))) for seed in range(2000)]
    low, high = np.percentile(draws, [2.5, 97.5])
    print(f"ours less theirs     {np.mean(ours - theirs):+.1%} ({low:+.1%} to {high:+.1%})")
    return 0


def _finds(retriever: Fts5Retriever, query: str, identifier: str) -> bool:
    """A long text is several passages, "12#1", "12#2", ...: any of them will do."""
    return identifier in [document.id.partition("#")[0] for document in retriever.search(query, TOP)]


if __name__ == "__main__":
    sys.exit(main())

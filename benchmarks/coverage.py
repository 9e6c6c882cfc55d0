"""`python -m benchmarks.coverage --rows runs/data/retrieval/dev.jsonl.gz`: how well a question's coverage by a passage
tells whether the passages answer it (decision 008). The rows are made by `python -m training.data retrieval`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lora_agent.training.data.rows import Row, read_rows

from lora_agent.agent.retrieval.fts5 import Fts5Retriever, _phrases
from lora_agent.agent.retrieval.passages import Passage
from lora_agent.types import Document

THRESHOLDS = (0.2, 0.25, 0.3, 1 / 3, 0.4, 0.5, 0.6)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=__doc__)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--own", action="store_true", help="search each question's own passages only, 1 to 4")
    options = parser.parse_args()
    rows = read_rows(options.rows)
    answered: list[float] = []
    unanswered: list[float] = []
    shared = None if options.own else _index(rows)
    for row in rows:
        index, numbers = shared or _index([row])
        phrases = _phrases(row.input["messages"][-1]["content"])
        given = [numbers[document["text"]] for document in row.input["documents"]]
        best = max(index._coverage(phrases, given)) if phrases else 1.0
        (answered if row.output["answerable"] else unanswered).append(best)
    print(f"{len(answered)} questions with an answer, {len(unanswered)} without")
    higher = sum((a > u) + 0.5 * (a == u) for a in answered for u in unanswered)
    print(f"area under the ROC curve {higher / (len(answered) * len(unanswered)):.3f}")
    print("at least   turned away: without an answer   with one")
    for threshold in THRESHOLDS:
        right = sum(u < threshold for u in unanswered) / len(unanswered)
        wrong = sum(a < threshold for a in answered) / len(answered)
        print(f"{threshold:8.2f}   {right:32.0%}   {wrong:8.0%}")
    return 0


def _index(rows: Sequence[Row]) -> tuple[Fts5Retriever, dict[str, int]]:
    """All passages of the rows, and the number of each text among them."""
    numbers: dict[str, int] = {}
    passages = []
    for row in rows:
        for document in row.input["documents"]:
            if document["text"] not in numbers:
                numbers[document["text"]] = len(passages)
                known = Document(id=str(len(passages)), title=document.get("title"), text=document["text"])
                passages.append(Passage(known, known.title or ""))
    return Fts5Retriever(passages), numbers


if __name__ == "__main__":
    sys.exit(main())

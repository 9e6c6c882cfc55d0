"""Build the safety adapter's training and development rows: `python -m training.data safety`.

Reads the public sets from a data folder, adds our generator's rows, drops repetitions and test-set texts,
draws the shares below and writes train.jsonl.gz, dev.jsonl.gz and report.json. Everything follows from the
seed.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

from ..decontaminate import Decontaminator
from ..rows import Row, Split, write_rows
from ..selection import Drops, draw, thin, usable
from . import reply_sources, sources, written
from .contract import judged, key, words
from .generator import replies, requests, tool_results, with_history
from .long_requests import long_requests, passages
from .long_results import long_result_windows, long_results

# Parts of all rows. What was written one by one is two thirds of them at 1,800 rows, half of the development rows;
# half of either verdict, as of the others.
TRAIN_SHARES = {
    "written/unsafe": 4.8, "written/safe": 5.3, "written/injection": 2.8, "written/tool_clean": 2.8,
    "written_2/unsafe": 12.0, "written_2/safe": 12.0, "written_2/injection": 8.0, "written_2/tool_clean": 10.0,
    "written_3/unsafe": 14.0, "written_3/safe": 14.0, "written_3/injection": 14.0, "written_3/tool_clean": 14.0,
    "written_4/unsafe": 20.0, "written_4/safe": 20.0, "written_4/injection": 26.0, "written_4/tool_clean": 30.0,
    "generator/harmful": 6.5, "generator/jailbreak": 2.4, "advbench": 4.5, "do_not_answer/unsafe": 3.5,
    "do_not_answer/privacy": 0.9, "in_the_wild": 0.85, "gptfuzz/template": 1.5, "gptfuzz/question": 0.7,
    "hh_red_team": 1.4, "davidson/hate": 1.2,
    "generator/lookalike": 15.0, "generator/ordinary": 6.5, "pasted": 1.2, "generator/role": 1.0,
    "do_not_answer/safe": 1.0, "davidson/neither": 1.2,
    "everyday/hwu64": 1.4, "everyday/snips": 1.0, "everyday/clinc150": 1.8, "everyday/nq": 1.4,
    "everyday/boolq": 0.8,
    "generator/injection": 11.5, "generator/tool_clean": 12.5, "generator/tool_harmful": 0.9,
    "bipia/email_attack": 1.1, "bipia/email_clean": 0.3, "bipia/table_attack": 0.9, "bipia/table_clean": 0.85,
    "bipia/code_attack": 1.2, "bipia/code_clean": 0.3,
    "diasafety/safe": 2.4, "diasafety/unsafe": 2.4, "gptfuzz_reply/safe": 1.2, "gptfuzz_reply/unsafe": 1.2,
    "pyrit_reply/safe": 1.2, "pyrit_reply/unsafe": 1.8, "generator/reply_unsafe": 1.8,
    "generator/reply_refusal": 0.7,
    "generator/reply_safe": 1.4, "nq_reply": 0.5, "boolq_reply": 0.4,
    "window/injection": 15.0, "window/tool_clean": 30.0,
}  # fmt: skip
DEV_SHARES = {
    "written_dev/unsafe": 34.0, "written_dev/safe": 34.0, "written_dev/injection": 20.0, "written_dev/tool_clean": 20.0,
    "written_dev/long_injection": 14.0, "written_dev/long_tool_clean": 14.0,
    "generator/harmful": 12.0, "generator/jailbreak": 2.5, "airt": 8.0,
    "generator/lookalike": 14.5, "generator/ordinary": 2.0, "pasted": 1.0, "generator/role": 0.7,
    "everyday/snips_validate": 3.0, "everyday/banking77": 3.0,
    "everyday/squad2": 3.0,
    "generator/injection": 13.0, "generator/tool_clean": 15.0, "generator/tool_harmful": 1.0,
    "bipia/email_attack": 2.0, "bipia/email_clean": 1.0, "bipia/table_attack": 1.0, "bipia/table_clean": 1.0,
    "bipia/code_attack": 1.0, "bipia/code_clean": 0.5,
    "diasafety/safe": 3.0, "diasafety/unsafe": 3.0, "pyrit_reply/safe": 2.0, "pyrit_reply/unsafe": 3.0,
    "generator/reply_unsafe": 2.0, "generator/reply_refusal": 0.7, "generator/reply_safe": 1.5,
}  # fmt: skip
HISTORY = 0.12
"""Share of user rows that follow an earlier exchange."""
HARD_LIMIT = 140
"""Words of a judged text above which a row is dropped, long results apart."""


def candidates(data: Path, train: int, dev: int, rng: random.Random, drops: Drops) -> list[Row]:
    """Every row there is: all of the public sets, and more of our generator's than will be drawn."""
    rows: list[Row] = written.rows()
    for read in (*sources.READERS, *reply_sources.READERS):
        rows += read(data)
    rows += reply_sources.bipia(data, rng)
    counts: dict[Split, int] = {"train": train, "dev": dev}
    texts = {split: passages(data, split) for split in counts}
    for split, count in counts.items():
        rows += requests(rng, split, max(40, count // 6))
        rows += replies(rng, split, max(20, count // 30))
        rows += tool_results(texts[split], rng, split, max(60, count // 4))
        rows += long_requests(texts[split], rng, split, max(20, count // 40))
    drops.add("empty or too long", [row for row in rows if not _is_of_a_length(row)])
    rows = [row for row in rows if _is_of_a_length(row)]
    ours = [row for row in rows if row.split == "train" and not row.source.startswith("bipia/")]
    written_dev = [row for row in rows if row.source.startswith("written_dev/")]
    rows += long_result_windows(ours, texts["train"], rng)
    return [*rows, *long_results(written_dev, texts["dev"], rng)]


def _is_of_a_length(row: Row) -> bool:
    return 1 <= words(judged(row)) <= HARD_LIMIT


def build(data: Path, out: Path, seed: int, train: int = 8000, dev: int = 600) -> dict[str, Any]:
    """Write the set under `out` and return the report."""
    rng = random.Random(seed)
    drops = Drops()
    rows = candidates(data, train, dev, rng, drops)
    settings: tuple[tuple[Split, dict[str, float], int], ...] = (
        ("train", TRAIN_SHARES, train),
        ("dev", DEV_SHARES, dev),
    )
    few = [
        row
        for split, shares, total in settings
        for row in thin((r for r in rows if r.split == split), shares, total, rng, drops)
    ]
    clean = Decontaminator.from_data(data)
    kept = usable(few, _identity, clean, drops)
    report: dict[str, Any] = {"seed": seed, "splits": {}}
    for split, shares, total in settings:
        chosen, short = draw((row for row in kept if row.split == split), shares, total, rng, drops)
        # An earlier exchange is text as well, so that what got one is compared with the test sets again.
        chosen, hits = clean.split(_aged(row, rng) for row in chosen)
        drops.add("in a public test set", hits)
        write_rows(out / f"{split}.jsonl.gz", chosen)
        report["splits"][split] = {**summary(chosen), "short": short}
    report["dropped"] = drops.report()
    (out / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return report


def _identity(row: Row) -> str:
    """Replies are the same only in the same context ("Yes.")."""
    context = row.input["messages"][0]["content"] if row.input["target"] == "assistant" else ""
    return key(f"{context} {judged(row)}")


def _aged(row: Row, rng: random.Random) -> Row:
    return with_history(row, rng) if row.input["target"] == "user" and rng.random() < HISTORY else row


def summary(rows: list[Row]) -> dict[str, Any]:
    """Counts of a split: rows by target and verdict, categories, sources."""
    verdicts = Counter(f"{row.input['target']}/{row.output['verdict']}" for row in rows)
    harms = Counter(name for row in rows for name in row.output["categories"])
    return {
        "rows": len(rows),
        "verdicts": dict(sorted(verdicts.items())),
        "injections": sum(row.output["injection"] for row in rows),
        "categories": dict(sorted(harms.items())),
        "sources": dict(sorted(Counter(row.source for row in rows).items())),
    }

"""A set's card: counts by origin, and the comparison with public test sets as the rows lie there."""

from __future__ import annotations

import gzip
from hashlib import blake2b
from pathlib import Path

from training.data.card import card
from training.data.decontaminate import Decontaminator
from training.data.rows import Row, Split, write_rows

LEAKED = "book a table for two in lisbon tonight"


def row(text: str, source: str, group: str, split: Split) -> Row:
    return Row({"messages": [{"role": "user", "content": text}]}, {"calls": []}, source, group, split)


def test_the_card_counts_origins_and_finds_what_the_builder_missed(tmp_path: Path) -> None:
    hashes = tmp_path / "ngrams.txt.gz"
    hashes.write_bytes(gzip.compress(blake2b(LEAKED.encode(), digest_size=8).hexdigest().encode()))
    train = [row(f"turn on lamp {i}", "hwu64/single", f"a{i}", "train") for i in range(3)]
    train.append(row("is it raining", "boolq/answer", "d", "train"))
    train += [row("what is two and two", "generator/none", "b", "train"), row(LEAKED, "generator/none", "c", "train")]
    write_rows(tmp_path / "train.jsonl.gz", train)
    write_rows(tmp_path / "dev.jsonl.gz", [row("hello", "generator/none", "b", "dev")])
    report = {"seed": 3, "dropped": {"sgd: in a public test set": 2, "sgd: too long": 5}}
    text = card("tool_call", tmp_path, Decontaminator(hashes), report)
    assert "`python -m training.data tool_call --seed 3`: 6 train, 1 dev rows." in text
    assert "| CC-BY-4.0 | `f6071b49` | 3 | 0 |" in text
    assert "| boolq | CC-BY-SA-3.0 |  | 1 | 0 |" in text  # a set without a repository
    assert "| our own | Apache-2.0 |  | 2 | 1 |" in text
    assert "public test set: 1 in train, 0 in dev; dropped before: 2." in text
    assert "in both splits: 1." in text
    assert "| hwu64/single | 3 | 0 |" in text

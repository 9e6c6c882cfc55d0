"""The query_rewrite rows: patterns, generator, the CAsT reader, and the whole build on a tiny archive."""

from __future__ import annotations

import gzip
import io
import json
import random
import tarfile
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest

from lora_agent.errors import ConfigError
from training.data.query_rewrite import generator
from training.data.query_rewrite.build import build, is_dev
from training.data.query_rewrite.contract import MAX_MESSAGES, problem
from training.data.query_rewrite.patterns import fill_pattern, parse_patterns, read_patterns
from training.data.query_rewrite.sources import (
    ARCHIVE,
    EXTRA_2019,
    EXTRA_2020,
    FILES,
    REWRITES_2019,
    read_cast,
)
from training.data.rows import Row, read_rows

REPLY = "Some wool comes from goats in Velm. The goats of Velm live high up and are milked twice a day. " * 4


def topics(first: int, year: int) -> list[dict[str, Any]]:
    """Three topics of three turns each, in the archive's shape for a year."""
    result = []
    for number in range(first, first + 3):
        turns = [
            (f"Tell me about goat farm {number}.", f"Tell me about goat farm {number}."),
            ("How many goats are there?", f"How many goats are there on goat farm {number}?"),
            (
                "Who owns it?",
                "Who owns the zeppelin hangar by the quarry?",
            ),  # cannot be known from the history
        ]
        result.append({"number": number, "turn": [_turn(i + 1, *turn, year) for i, turn in enumerate(turns)]})
    return result


def _turn(number: int, said: str, rewrite: str, year: int) -> dict[str, Any]:
    if year == 2022:
        return {
            "number": f"1-{number}",
            "utterance": said,
            "manual_rewritten_utterance": rewrite,
            "response": REPLY,
        }
    turn: dict[str, Any] = {"number": number, "raw_utterance": said}
    if year > 2019:
        turn["manual_rewritten_utterance"] = rewrite
    if year == 2021:
        turn["passage"] = REPLY
    return turn


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    starts = {2019: 31, 2020: 81, 2021: 106, 2022: 132}
    files = {name: json.dumps(topics(starts[year], year)) for year, name in FILES.items()}
    files[EXTRA_2019] = json.dumps(topics(1, 2019))
    files[EXTRA_2020] = files[FILES[2020]]
    for name, first in zip(REWRITES_2019, (31, 1), strict=True):
        files[name] = "\n".join(
            f"{topic}_{number}\t{text}"
            for topic in range(first, first + 3)
            for number, text in enumerate(
                [f"Tell me about goat farm {topic}.", f"How many goats has goat farm {topic}?"], 1
            )
        )
    (root / ARCHIVE).parent.mkdir()
    with tarfile.open(root / ARCHIVE, "w:xz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    digest = blake2b(b"tell me about goat farm 31", digest_size=8).hexdigest()
    (root / "decontamination").mkdir()
    (root / "decontamination" / "ngrams.txt.gz").write_bytes(gzip.compress(f"{digest}\n".encode()))
    return root


def test_cast_turns_have_short_histories_and_knowable_rewrites(data: Path) -> None:
    turns, drops = read_cast(data, random.Random(0))
    assert {turn.year for turn in turns} == {2019, 2020, 2021, 2022}
    for turn in turns:
        assert len(turn.history) < MAX_MESSAGES
        assert all(len(text.split()) <= 60 for _, text in turn.history)
        assert "zeppelin" not in turn.rewrite
    later = next(turn for turn in turns if turn.year == 2021 and turn.history)
    assert [role for role, _ in later.history] == ["user", "assistant"]
    assert drops["2020: repeated turn"] == 9
    assert drops["2021: rewrite needs words that the history does not show"] == 3
    assert drops["2019: no rewrite"] == 6


def test_missing_archive_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="LORA_AGENT_DATA"):
        read_cast(tmp_path, random.Random(0))


def test_patterns_are_many_and_all_slots_fill_with_one_value_each() -> None:
    patterns = read_patterns()
    assert len(patterns) >= 60
    assert sum(pattern.held_out for pattern in patterns) >= 10
    assert len({pattern.name for pattern in patterns}) == len(patterns)
    rng = random.Random(0)
    for pattern in patterns:
        filled = fill_pattern(pattern, rng)
        assert len(filled.follow_ups) >= 4, pattern.name
        for text in [filled.asked, filled.reply, *(text for pair in filled.follow_ups for text in pair)]:
            assert text.strip()
            assert not set("{}|") & set(text), text
        assert all(said != rewrite for said, rewrite in filled.follow_ups)


def test_numbered_slots_differ() -> None:
    pattern = parse_patterns("@ x\nu: {city} or {city2} or {city3}?\na: {city}.\n> Why? => Why {city}?", "test")[0]
    for seed in range(30):
        filled = fill_pattern(pattern, random.Random(seed))
        first, second, third = filled.asked.rstrip("?").split(" or ")
        assert len({first, second, third}) == 3
        assert filled.reply == f"{first}."
        assert filled.follow_ups[0][1] == f"Why {first}?"


def test_bad_pattern_files_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"Bad line in test\.txt:2"):
        parse_patterns("@ x\n> no arrow", "test.txt")


def test_generator_rows_keep_to_the_contract_and_hold_patterns_out() -> None:
    train = generator.rows(random.Random(0), "train", 500)
    dev = generator.rows(random.Random(0), "dev", 60)
    assert all(problem(row) is None for row in train + dev)
    assert not {row.group for row in train} & {row.group for row in dev}
    assert {row.source.split("/")[1] for row in train} == set(generator.CASES)
    unchanged = [row for row in train if row.output["query"] == row.input["messages"][-1]["content"]]
    assert {"standalone" in row.source for row in unchanged} == {True}
    assert 0.2 < len(unchanged) / len(train) < 0.36
    assert generator.rows(random.Random(0), "train", 500) == train


def test_contract_names_the_fault() -> None:
    def check(messages: list[dict[str, str]], output: dict[str, Any]) -> str | None:
        return problem(Row({"messages": messages}, output, "test", "test"))

    user = {"role": "user", "content": "And then?"}
    assert check([user], {"query": "x"}) is None
    assert "not valid" in (check([user], {"query": ""}) or "")
    assert check([user] * 7, {"query": "x"}) == "history too long"
    assert check([user, {"role": "assistant", "content": "Hm."}], {"query": "x"}) == "last message is not the user's"
    assert check([user], {"query": "word " * 61}) == "target too long"


def test_build_writes_clean_splits_and_a_report(data: Path, tmp_path: Path) -> None:
    report = build(data, tmp_path / "a", seed=0, train=120, dev=30)
    rows = {split: read_rows(tmp_path / "a" / f"{split}.jsonl.gz") for split in ("train", "dev")}
    assert {split: len(found) for split, found in rows.items()} == {"train": 120, "dev": 30}
    assert not {row.group for row in rows["train"]} & {row.group for row in rows["dev"]}
    assert report["decontamination_hits"]["cast-2019"] >= 1
    turns, _ = read_cast(data, random.Random("0/cast"))
    assert {turn.topic for turn in turns if is_dev(turn)} == {106, 108}
    assert build(data, tmp_path / "b", seed=0, train=120, dev=30) == report
    assert report["rows"]["train"]["source"]["written_2/follow-up"] == 120  # a small set has the latest tables first
    assert (tmp_path / "a" / "train.jsonl.gz").read_bytes() == (tmp_path / "b" / "train.jsonl.gz").read_bytes()

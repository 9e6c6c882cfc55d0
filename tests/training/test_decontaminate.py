"""The decontamination rule, on a small list of hashes made here, and the row files."""

from __future__ import annotations

import gzip
from hashlib import blake2b
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_agent.errors import BatchLineError, ConfigError
from training.data.decontaminate import Decontaminator, ngram_hashes
from training.data.rows import Row, count_by, read_rows, write_rows

LONG = "the quick brown fox jumps over the lazy dog near the river"
SHORT = "turn off the kitchen lights"


def digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=8).hexdigest()


@pytest.fixture
def check(tmp_path: Path) -> Decontaminator:
    words = LONG.split()
    lines = [digest(" ".join(words[i : i + 8])) for i in range(len(words) - 7)] + [digest(SHORT)]
    path = tmp_path / "ngrams.txt.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return Decontaminator(path)


def row(text: str, **output: object) -> Row:
    return Row({"messages": [{"role": "user", "content": text}]}, output or {"calls": []}, "test", text[:10])


def test_eight_words_anywhere_in_a_longer_text_hit(check: Decontaminator) -> None:
    assert check.hits("I saw: brown fox, jumps OVER the lazy dog near...")
    assert not check.hits("brown fox jumps over the lazy dog")  # only seven words, and not a listed short text


def test_short_text_hits_only_as_a_whole(check: Decontaminator) -> None:
    assert check.hits("Turn off the kitchen lights!")
    assert not check.hits("turn off the kitchen lights now")
    assert not check.hits("turn off the lights")


def test_split_looks_at_messages_documents_and_targets(check: Decontaminator) -> None:
    document = Row({"messages": [], "documents": [{"id": "1", "text": LONG}]}, {"answer": "no"}, "rag", "d")
    target = row("hello", calls=[{"name": "say", "arguments": {"parts": ["a", LONG]}}])
    tools = Row({"messages": [], "tools": [{"function": {"description": LONG}}]}, {"calls": []}, "tool", "t")
    clean = row("what a nice day it is today, is it not")
    kept, dropped = check.split([document, clean, target, tools])
    assert kept == [clean, tools]
    assert dropped == [document, target]
    assert count_by(dropped) == {"rag": 1, "test": 1}


def test_a_missing_list_says_where_it_belongs(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="LORA_AGENT_DATA"):
        Decontaminator.from_data(tmp_path)


@given(st.text())
def test_number_of_hashes_follows_the_number_of_words(text: str) -> None:
    import re

    words = len(re.findall("[a-z0-9]+", text.lower()))
    expected = 0 if words < 5 else max(1, words - 7)
    assert len(list(ngram_hashes(text))) == expected


@pytest.mark.parametrize("name", ["rows.jsonl", "deep/rows.jsonl.gz"])
def test_rows_survive_a_file(tmp_path: Path, name: str) -> None:
    rows = [row("grüße"), Row({"messages": []}, {"calls": []}, "b", "g", "dev")]
    assert write_rows(tmp_path / name, rows) == 2
    assert read_rows(tmp_path / name) == rows
    first = (tmp_path / name).read_bytes()
    write_rows(tmp_path / name, rows)
    assert (tmp_path / name).read_bytes() == first


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_rows(path, [row("old")])
    with pytest.raises(TypeError):
        write_rows(path, [row("new"), row("bad", value=object())])
    assert read_rows(path) == [row("old")]
    assert [p.name for p in tmp_path.iterdir()] == ["rows.jsonl"]


@pytest.mark.parametrize("line", ["{", "[]", '{"input":{}}', '{"input":{},"output":{},"source":"a","group":"b","x":1}'])
def test_a_broken_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "rows.jsonl"
    write_rows(path, [row("fine")])
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(BatchLineError, match=r"rows\.jsonl:2"):
        read_rows(path)


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(ConfigError, match="'test'"):
        Row({}, {}, "a", "b", "test")  # type: ignore[arg-type]

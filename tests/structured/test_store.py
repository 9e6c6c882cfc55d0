"""Compiled schemas on disk: found again, never trusted blindly, bounded, and not needed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lora_agent.structured import Grammar, Vocabulary, compile_schema, store
from lora_agent.structured import compile as compiling

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"a": {"type": "string"}, "n": {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}},
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("LORA_AGENT_HOME", str(tmp_path))
    monkeypatch.setattr(compiling, "STORED_FROM_S", 0.0)
    compiling._cache.clear()
    yield tmp_path / "cache" / "schemas"
    compiling._cache.clear()


def again(vocabulary: Vocabulary) -> Grammar:
    """As a new process would compile it: with nothing in memory."""
    compiling._cache.clear()
    return compile_schema(SCHEMA, vocabulary)


def test_a_stored_schema_compiles_to_the_same_grammar(
    home: Path, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = again(vocabulary)
    assert len(list(home.iterdir())) == 1
    monkeypatch.setattr(compiling, "_compile", None)  # would raise if it were asked
    second = again(vocabulary)
    assert (second.bounds, second.checked, second.bounded, second.tier) == (
        first.bounds,
        first.checked,
        first.bounded,
        first.tier,
    )
    assert second.start().allowed() == first.start().allowed()


@pytest.mark.parametrize("damage", [b"", b"\x00\xff", b'0\n{"text":"x"}', None])
def test_a_damaged_file_is_made_anew(home: Path, vocabulary: Vocabulary, damage: bytes | None) -> None:
    again(vocabulary)
    (file,) = home.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:-7] if damage is None else damage)
    assert again(vocabulary).start().allowed()
    assert file.read_bytes() == whole


def test_another_version_is_another_entry(home: Path, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch) -> None:
    again(vocabulary)
    monkeypatch.setattr(store, "_version", lambda package: "99")
    again(vocabulary)
    assert len(list(home.iterdir())) == 2


def test_the_oldest_go(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_FILES", 2)
    plan = store.Plan("g", "strict", {}, (), ())
    for number, key in enumerate(("a", "b", "c")):
        store.save(key, plan)
        os.utime(home / f"{key}.json", (number, number))
    store.save("d", plan)
    assert sorted(path.name for path in home.iterdir()) == ["c.json", "d.json"]
    assert store.load("d") == plan
    assert store.load("a") is None


def test_a_folder_that_cannot_be_written_is_no_error(home: Path, vocabulary: Vocabulary) -> None:
    home.parent.mkdir(parents=True)
    home.write_text("a file where the folder should be")
    assert again(vocabulary).start().allowed()

"""The router's features are kept: what was read once is not read again, another base's are not taken."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import training.router.__main__ as router
from training.data.rows import Row


def rows(*texts: str) -> list[Row]:
    return [Row({"messages": [{"role": "user", "content": text}]}, {}, "intent", "") for text in texts]


def test_only_new_rows_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def extract(base: Any, asked: list[Row]) -> torch.Tensor:
        texts = [row.input["messages"][0]["content"] for row in asked]
        read.extend(texts)
        return torch.tensor([[float(len(text)), base.scale] for text in texts])

    monkeypatch.setattr(router, "extract", extract)
    base, path = SimpleNamespace(source_sha256="a", scale=1.0), tmp_path / "features.pt"
    router._features(base, rows("one", "three"), path)
    found = router._features(base, rows("three", "eleven", "one", "three"), path)
    assert found[:, 0].tolist() == [5, 6, 3, 5]
    assert read == ["one", "three", "eleven"]
    router._features(base, rows("eleven", "one"), path)
    assert read == ["one", "three", "eleven"]
    router._features(base, rows("one", "seventh"), path)
    router._features(base, rows("three", "eleven"), path)  # which the call before did not ask for
    assert read == ["one", "three", "eleven", "seventh"]
    other = SimpleNamespace(source_sha256="b", scale=2.0)
    assert router._features(other, rows("one"), path).tolist() == [[3.0, 2.0]]
    assert [file.name for file in tmp_path.iterdir()] == ["features.pt"]

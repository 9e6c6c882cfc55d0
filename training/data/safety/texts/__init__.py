"""Longer tables of our own texts, one a line. All of them are for training; development has tables apart."""

from __future__ import annotations

from pathlib import Path


def read(name: str) -> str:
    """The table `name`.txt as it stands."""
    return (Path(__file__).parent / f"{name}.txt").read_text("utf-8")


def families(name: str) -> dict[str, str]:
    """The blocks of the table by their `== headings`."""
    blocks = (block.partition("\n") for block in f"\n{read(name)}".split("\n== ")[1:])
    return {head.strip(): body for head, _, body in blocks}

"""Which public sets a data file was made of, from the `source` of its rows and `origins.yaml` beside this module."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from lora_agent.registry import sha256_file

from .rows import Row

OWN = "generator"
"""Rows of our own generators carry another or no known set's name."""


def origin_of(source: str) -> str:
    """The name in origins.yaml for a row's source, such as "quac" for "everyday/quac" or "cast" for "cast-2019"."""
    parts = source.replace("_", "-").split("/")
    name = parts[1] if parts[0] == "everyday" and len(parts) > 1 else parts[0]
    return re.sub(r"(-reply|-dev|-validate|-?\d{4})$", "", name)


def read_origins() -> dict[str, dict[str, str]]:
    return dict(yaml.safe_load((Path(__file__).parent / "origins.yaml").read_text()))


def describe(rows: Iterable[Row], seed: int = 0) -> list[dict[str, Any]]:
    """One entry per set for a package's sources.yaml: where it comes from, the files' digests, rows used."""
    known = read_origins()
    counts = Counter(origin_of(row.source) for row in rows)
    own = sum(n for name, n in counts.items() if name not in known)
    entries: list[dict[str, Any]] = []
    for name, n in sorted(counts.items()):
        if name in known:
            entries.append({"name": name, **_without(known[name]), "files": _files(known[name]["folder"]), "rows": n})
    if own:
        entries.append(
            {"name": OWN, "origin": "training/data of this project", "licence": "Apache-2.0", "seed": seed, "rows": own}
        )
    return entries


def digest(entry: dict[str, Any]) -> str:
    """One sha256 per set for the manifest."""
    text = "".join(f"{n}{d}" for n, d in sorted(entry.get("files", {}).items())) or str(entry)
    return hashlib.sha256(text.encode()).hexdigest()


def _without(entry: dict[str, str]) -> dict[str, str]:
    return {k: v for k, v in entry.items() if k != "folder"}


def _files(folder: str) -> dict[str, str]:
    root = os.environ.get("LORA_AGENT_DATA")
    if not root:
        return {}
    files = sorted(
        p
        for p in (Path(root) / folder).iterdir()
        if p.is_file() and not p.name.startswith(("README", "LICENSE", "NOTICE"))
    )
    return {p.name: sha256_file(p) for p in files}

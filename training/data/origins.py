"""Which public sets a data file was made of, from the `source` of its rows and `origins.yaml` beside this module."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lora_agent.registry import sha256_file

OWN = "generator"
"""Rows of our own generators, in a package's list of sources."""


def origin_of(source: str) -> str:
    """The name in origins.yaml for a row's source, such as "quac" for "everyday/quac" or "cast" for "cast-2019"."""
    parts = source.replace("_", "-").split("/")
    name = parts[1] if parts[0] == "everyday" and len(parts) > 1 else parts[0]
    return re.sub(r"(-reply|-dev|-validate|-?\d{4})$", "", name)


def read_origins() -> dict[str, dict[str, str]]:
    return dict(yaml.safe_load((Path(__file__).parent / "origins.yaml").read_text()))


FILE = "file"
"""Rows of a user's file that do not say where they come from."""

_OURS = (OWN, "written", "pasted")
"""How the sources of our generators' rows begin; any other name that is not in origins.yaml is the user's."""

TEACHER = "teacher"
"""Rows of a user's file whose target a teacher wrote."""


def describe(
    rows_by_source: Mapping[str, int],
    *,
    seed: int = 0,
    file: Path | None = None,
    licence: str = "unstated",
    teacher: dict[str, Any] | None = None,
    origin: dict[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """One entry per set for a package's sources.yaml: where it comes from, the files' digests, rows trained on.
    `file`, `licence` and `origin` (repository and commit, say) are those of rows without a source; `teacher` is the
    report of the stage that asked it."""
    known = read_origins()
    counts: Counter[str] = Counter()
    for source, n in rows_by_source.items():
        counts[origin_of(source)] += n
    named = [name for name in counts if name not in known and name != TEACHER]
    own = sum(counts[name] for name in named if name.startswith(_OURS))
    counts[FILE] = sum(counts[name] for name in named if not name.startswith(_OURS))
    entries: list[dict[str, Any]] = []
    for name, n in sorted(counts.items()):
        if name in known:
            entries.append({"name": name, **_without(known[name]), "files": _files(known[name]["folder"]), "rows": n})
    if counts[FILE] and file is not None:
        digests = {file.name: sha256_file(file)}
        entries.append(
            {"name": file.name, **(origin or {}), "licence": licence, "files": digests, "rows": counts[FILE]}
        )
    if TEACHER in counts and file is not None and teacher is not None:
        digests = {file.name: sha256_file(file), "answers": teacher["sha256"]}
        origin = {"origin": f"requests of {file.name}, answered by a teacher", "teacher": teacher["teacher"]}
        entries.append({"name": TEACHER, **origin, "licence": licence, "files": digests, "rows": counts[TEACHER]})
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

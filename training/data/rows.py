"""One training row, and the JSONL files that hold rows.

A row is what an adapter reads (`input`), what it must answer (`output`), where it came from (`source`) and
which rows must stay on the same side of a split (`group`). This module knows nothing of any particular data
set, of rendering or of training.
"""

from __future__ import annotations

import gzip
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO, Any, Literal, cast

from lora_agent.errors import BatchLineError, ConfigError
from lora_agent.types import compact_json

Split = Literal["train", "dev"]
SPLITS: tuple[Split, ...] = ("train", "dev")


@dataclass(frozen=True)
class Row:
    """One example of one adapter."""

    input: dict[str, Any]
    """The adapter's input, e.g. {"messages": [...], "tools": [OpenAI tool objects]}."""
    output: dict[str, Any]
    """The target, keys in the order of the adapter's output schema."""
    source: str
    """Name of the data set or generator, with "/kind" after it where kinds are balanced."""
    group: str
    """Rows of one group never straddle a split."""
    split: Split = "train"
    rejected: str | None = None
    """The text of an answer that is not wanted, JSON or not (preference learning)."""
    desirable: bool = True
    """False for a row that has a rejected answer only; its output is empty then."""
    about: str | None = None
    """The part of the last user turn that the output answers, if not all of it."""

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ConfigError(f"a row has split {self.split!r}", hint=f"use one of {', '.join(SPLITS)}")


_FIELDS = {f.name for f in fields(Row)}
_UNUSUAL = {"rejected": None, "desirable": True, "about": None}
"""Fields that are written only where they say something."""
_REQUIRED = _FIELDS - {"split", *_UNUSUAL}


def write_rows(path: str | Path, rows: Iterable[Row]) -> int:
    """Write rows as JSON lines (gzip if the name ends in .gz); returns how many. The file appears whole or
    not at all, and equal rows give equal bytes (no time stamp in the gzip header)."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as raw:
            if path.suffix == ".gz":
                with gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as packed:
                    count = _write_lines(cast("IO[bytes]", packed), rows)
            else:
                count = _write_lines(raw, rows)
        os.chmod(temporary, 0o644)  # mkstemp makes files that only their owner reads
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return count


def _write_lines(out: IO[bytes], rows: Iterable[Row]) -> int:
    count = 0
    for row in rows:
        values = {k: v for k, v in asdict(row).items() if k not in _UNUSUAL or v != _UNUSUAL[k]}
        out.write(compact_json(values).encode() + b"\n")
        count += 1
    return count


def open_text(path: Path) -> IO[str]:
    """A text file for reading, unpacked if its name ends in .gz."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8")
    return path.open(encoding="utf-8")


def iter_rows(path: str | Path) -> Iterator[Row]:
    """Rows of a file, one at a time; a broken line raises BatchLineError with its number."""
    path = Path(path)
    with open_text(path) as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _parse(line, f"{path}:{number}")


def read_rows(path: str | Path) -> list[Row]:
    """All rows of a file."""
    return list(iter_rows(path))


def _parse(line: str, where: str) -> Row:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise BatchLineError(f"{where} is not JSON: {error}", hint="write the file with write_rows") from error
    if not isinstance(value, dict) or not _REQUIRED <= value.keys() <= _FIELDS:
        found = sorted(value) if isinstance(value, dict) else type(value).__name__
        raise BatchLineError(
            f"{where} is not a row: found {found!r}",
            hint=f"a row has the keys {', '.join(sorted(_REQUIRED))} and optionally split",
        )
    return Row(**value)


def count_by(rows: Iterable[Row], field: Literal["source", "split", "group"] = "source") -> dict[str, int]:
    """How many rows each source (or split, or group) has, in name order."""
    return dict(sorted(Counter(str(getattr(row, field)) for row in rows).items()))

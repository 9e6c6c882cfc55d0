"""What `lora-agent eval` runs, and the file that keeps its answers so that an interrupted run goes on.

An answers file is JSON Lines: a header that names the adapter's digest and what else the answers depend on, then one
line per row by the row's key. Knows nothing of the command line.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from lora_agent.errors import ConfigError
from lora_agent.types import Result, Usage, compact_json

from ..data.rows import Row

FOLDER = Path(__file__).parent / "suites"
"""Of the shipped adapters; built by training/data/suites.py."""
_KEPT = ("output", "verdict", "finish_reason", "confidence", "score", "error", "ms")


def shipped(adapter: str) -> Path:
    """The suite that comes with an adapter. Raises ConfigError where none does."""
    path = FOLDER / f"{adapter}.jsonl"
    if not path.is_file():
        names = ", ".join(sorted(p.stem for p in FOLDER.glob("*.jsonl")))
        raise ConfigError(
            f"no suite is shipped for adapter {adapter!r} (there are {names})",
            hint="Give rows of your own with --suite FILE; docs/training.md says what a line looks like.",
        )
    return path


def key(row: Row) -> str:
    """The same for equal input and target, whatever the file."""
    return hashlib.blake2b(compact_json([row.input, row.output]).encode(), digest_size=8).hexdigest()


class Answers:
    """The answers of one adapter to rows by their key; with a file, those of earlier runs too."""

    def __init__(self, adapter: str, found: dict[str, Result], file: IO[bytes] | None) -> None:
        self._adapter, self._found, self._file = adapter, found, file

    def get(self, row: Row) -> Result | None:
        return self._found.get(key(row))

    def put(self, row: Row, result: Result) -> None:
        """On disk when this returns; an interruption leaves at most one torn line, which is done again."""
        self._found[key(row)] = result
        if self._file is not None:
            line = {"row": key(row), "target": row.output, **{name: getattr(result, name) for name in _KEPT}}
            line["logprob"] = sum(result.logprobs)
            self._file.write((json.dumps(line) + "\n").encode())


@contextmanager
def answers(path: Path | None, adapter: str, header: dict[str, Any]) -> Iterator[Answers]:
    """The answers kept in `path`, which is made if it is not there. Raises ConfigError if it holds something else or
    answers under another `header`."""
    if path is None:
        yield Answers(adapter, {}, None)
        return
    found = _read(path, adapter, header) if path.is_file() else None
    try:
        with path.open("ab" if found is not None else "wb", buffering=0) as file:
            if found is None:
                file.write((json.dumps(header) + "\n").encode())
            yield Answers(adapter, found or {}, file)
    except OSError as fault:
        raise ConfigError(f"cannot write {str(path)!r}: {fault.strerror}", hint="Give --out another path.") from fault


def _read(path: Path, adapter: str, header: dict[str, Any]) -> dict[str, Result] | None:
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    try:
        first, *lines = [json.loads(line) for line in whole.splitlines()] or [None]
        found = {line["row"]: _result(adapter, line) for line in lines}
    except (ValueError, KeyError, TypeError) as fault:
        raise _other(path, "is no file of answers") from fault
    if first is None and not data.strip():
        return None
    if first != header:
        raise _other(path, f"holds the answers of another run: {first}, not {header}")
    if whole != data:
        path.write_bytes(whole)
    return found


def _other(path: Path, what: str) -> ConfigError:
    return ConfigError(f"{str(path)!r} {what}", hint="Give --out another path, or delete that file.")


def _result(adapter: str, line: dict[str, Any]) -> Result:
    kept = {name: line[name] for name in _KEPT}
    return Result(adapter, raw="", usage=Usage(), logprobs=(line["logprob"],), **kept)

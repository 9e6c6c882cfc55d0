"""A JSON Lines file in, a JSON Lines file out: in order, resumable, and no line stops the run.

Every input line that is not blank gives exactly one output line. A line that cannot be read or served gives
an error line; its text names the line number. An interrupted run is continued by running it again: output
lines that are complete are kept, a half-written last one is dropped and done again.
Knows nothing of engines: the work on one record is a function that is passed in.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, BinaryIO

from lora_agent.cli.progress import Progress
from lora_agent.errors import BatchLineError, ConfigError, LoraAgentError
from lora_agent.types import compact_json

Work = Callable[[Mapping[str, Any]], dict[str, Any]]
"""From an input record to the fields of its output line but `id`. A LoraAgentError becomes an error line."""
Failed = Callable[[str], dict[str, Any]]
"""From an error text to the fields of an error line but `id`."""


@dataclass(frozen=True)
class Record:
    """One input line. `error` says why `value` could not be read; then `value` is empty."""

    number: int
    """Line number in the file, from 1."""
    id: str | int | None
    value: Mapping[str, Any]
    error: str | None = None


@dataclass(frozen=True)
class BatchSummary:
    lines: int
    kept: int
    """Lines that an earlier run had already written."""
    errors: int
    """Error lines in the whole output file."""


def run_batch(source: Path, out: Path, work: Work, failed: Failed) -> BatchSummary:
    """Serve every record of `source` and append to `out`. Raises ConfigError for unusable files only."""
    if source.resolve() == out.resolve():
        raise ConfigError(f"--in and --out are the same file: {str(source)!r}", hint="Choose another --out.")
    wanted = [_key(record.id) for record in read_records(source)]
    start, later = _resume(wanted, out)
    kept, errors = len(start), sum(_is_error(line) for line in start)
    progress = Progress(len(wanted), already=kept)
    with _open(out, "ab") as sink:
        for record in islice(read_records(source), len(start), None):
            if spare := later.get(_key(record.id)):
                line = spare.popleft()
                kept += 1
            else:
                line = _line(record, work, failed)
            errors += _is_error(line)
            sink.write(line)  # one write per line: an interruption leaves at most one torn line, at the end
            progress.advance()
    progress.finish()
    return BatchSummary(len(wanted), kept, errors)


def read_records(source: Path) -> Iterator[Record]:
    """The records of a JSON Lines file; blank lines are none. Bad lines come as records with an error."""
    with _open(source, "rb") as file:
        for number, line in enumerate(file, start=1):
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")  # byte order mark of Windows editors
            if line.strip():
                yield parse_record(line, number)


def parse_record(line: bytes, number: int) -> Record:
    """Read one line: an object with an `id` that is a string or a whole number."""
    try:
        value = json.loads(line.decode())
    except UnicodeDecodeError as fault:
        return Record(number, None, {}, f"line {number}: not UTF-8: {fault.reason} at byte {fault.start}")
    except (ValueError, RecursionError) as fault:
        return Record(number, None, {}, f"line {number}: not JSON: {fault}")
    if not isinstance(value, dict):
        return Record(number, None, {}, f"line {number}: not an object but {type(value).__name__}")
    identity = value.get("id")
    if isinstance(identity, bool) or not isinstance(identity, str | int):
        return Record(number, None, {}, f"line {number}: needs an id (text or whole number), got {identity!r}")
    return Record(number, identity, value)


def field(record: Mapping[str, Any], name: str) -> Any:
    """A required field of a record. Raises BatchLineError, which ends up on that record's line."""
    if name not in record:
        raise BatchLineError(f"the field {name!r} is missing; the line has {sorted(record)}")
    return record[name]


def _line(record: Record, work: Work, failed: Failed) -> bytes:
    if record.error is not None:
        fields = failed(record.error)
    else:
        try:
            fields = work(record.value)
        except LoraAgentError as fault:
            fields = failed(f"line {record.number}: {fault.message}")
    # backslashreplace: a lone surrogate in an id or output is not UTF-8, but its JSON escape is fine.
    return (compact_json({"id": record.id, **fields}) + "\n").encode(errors="backslashreplace")


def _is_error(line: bytes) -> bool:
    return json.loads(line).get("error") is not None


def _resume(wanted: list[str], out: Path) -> tuple[list[bytes], dict[str, deque[bytes]]]:
    """What an earlier run wrote: the lines that `out` starts with (it is cut to them), and, when the input
    was changed since, later lines by id, to be written in their turn. Refuses results of another input."""
    if not out.exists():
        return [], {}
    with _open(out, "rb") as file:
        data = file.read()
    written = data[: data.rfind(b"\n") + 1].splitlines(keepends=True)
    keys = [_written_key(line, number, out) for number, line in enumerate(written, start=1)]
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(keys, wanted, strict=False)))
    later: dict[str, deque[bytes]] = {}
    for key, line in zip(keys[same:], written[same:], strict=True):
        if key != _NO_ID:  # such a line says nothing about any other
            later.setdefault(key, deque()).append(line)
    foreign = sorted(set(later) - set(wanted))
    if foreign:
        raise ConfigError(
            f"{str(out)!r} holds results of another input: ids {foreign[:3]} are not in this one",
            hint="Choose another --out, or delete that file.",
        )
    start = b"".join(written[:same])
    if start != data:
        scratch = out.with_name(out.name + ".tmp")
        scratch.write_bytes(start)
        scratch.replace(out)
    return written[:same], later


def _written_key(line: bytes, number: int, out: Path) -> str:
    try:
        value = json.loads(line)
    except ValueError as fault:
        raise ConfigError(
            f"{str(out)!r} exists and its line {number} is not a result line: {fault}",
            hint="Choose another --out, or delete that file.",
        ) from fault
    if not isinstance(value, dict) or "id" not in value:
        raise ConfigError(
            f"{str(out)!r} exists and its line {number} has no id, so it is not a result file",
            hint="Choose another --out, or delete that file.",
        )
    return _key(value["id"])


def _key(identity: object) -> str:
    """1 and "1" are different ids."""
    return compact_json(identity)


_NO_ID = _key(None)


def _open(path: Path, mode: str) -> BinaryIO:
    """Unbuffered for writing, so that every line is on disk when the next one starts."""
    try:
        return path.open(mode, buffering=0 if mode == "ab" else -1)  # type: ignore[return-value]
    except OSError as fault:
        raise ConfigError(f"cannot open {str(path)!r}: {fault.strerror}", hint="Check the path.") from fault

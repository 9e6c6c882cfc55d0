"""What was worked out about a schema, kept on disk: a later process only has to build the matcher.

One file a schema, named by the digest of schema, budget the code of this folder and llguidance's version. Written to a
scratch file and moved into place; a file whose checksum is wrong counts as absent; the oldest go when there are too
many. A folder that cannot be written costs time, never an error.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from lora_agent.folders import cache_dir
from lora_agent.structured.bounds import Bound
from lora_agent.structured.faults import Note
from lora_agent.types import JsonSchema

MAX_FILES = 1_000
MAX_BYTES = 64 * 2**20
_log = logging.getLogger(__name__)


class Plan(NamedTuple):
    """All of a compiled schema but llguidance's own state."""

    text: str
    """The grammar in llguidance's form."""
    tier: str
    bounded: JsonSchema
    bounds: tuple[Bound, ...]
    checked: tuple[Note, ...]


def store_key(*parts: Any) -> str:
    """The name of an entry. Raises TypeError, ValueError or RecursionError where a part is not JSON."""
    text = json.dumps([_code_digest(), _version("llguidance"), *parts], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def load(key: str) -> Plan | None:
    path = _folder() / f"{key}.json"
    try:
        checksum, _, body = path.read_bytes().partition(b"\n")
        if hashlib.sha256(body).hexdigest().encode() != checksum:
            raise ValueError("wrong checksum")
        found = json.loads(body)
        bounds = tuple(Bound(*bound) for bound in found["bounds"])
        checked = tuple(Note(*note) for note in found["checked"])
        return Plan(found["text"], found["tier"], found["bounded"], bounds, checked)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.info("%s is not used: %s", path, error)
        return None


def save(key: str, plan: Plan) -> None:
    folder = _folder()
    try:
        body = json.dumps(plan._asdict()).encode()
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, scratch = tempfile.mkstemp(dir=folder, suffix=".part")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
            os.replace(scratch, folder / f"{key}.json")
        except BaseException:
            with suppress(OSError):
                os.unlink(scratch)
            raise
        _prune(folder)
    except (OSError, ValueError, TypeError, RecursionError) as error:
        _log.info("%s keeps no schemas: %s", folder, error)


def _folder() -> Path:
    return cache_dir() / "schemas"


def _prune(folder: Path) -> None:
    files = []
    for entry in os.scandir(folder):
        with suppress(OSError):  # another process may have taken it away
            status = entry.stat()
            files.append((status.st_mtime, status.st_size, entry.path))
    total = sum(size for _, size, _ in files)
    files.sort()
    while len(files) > MAX_FILES or total > MAX_BYTES:
        _, size, path = files.pop(0)
        total -= size
        with suppress(OSError):
            os.unlink(path)


@cache
def _code_digest() -> str:
    """Of the code that makes plans: a version number alone would keep those of yesterday's working tree."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(here.rglob("*.py")):
        digest.update(path.relative_to(here).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"

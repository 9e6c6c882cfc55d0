"""Files in the cache, named by what they are: made once, whole or not at all."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lora_agent.errors import CacheError
from lora_agent.folders import cache_dir
from lora_agent.types import compact_json


def cached(kind: str, key: Any, name: str, make: Callable[[Path], None]) -> Path:
    """The file `name` for `key` (a JSON value that pins its bytes); `make` writes it where it is told if it is not
    there yet. Raises CacheError, and what `make` raises."""
    digest = hashlib.sha256(compact_json(key).encode()).hexdigest()[:24]
    path = cache_dir() / "data" / kind / digest / name
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=".")
        os.close(handle)
    except OSError as error:
        hint = "Free the disk, or set LORA_AGENT_HOME."
        raise CacheError(f"cannot write {str(path)!r}: {error}", hint=hint) from error
    try:
        make(Path(scratch))
        os.replace(scratch, path)
    finally:
        Path(scratch).unlink(missing_ok=True)
    return path

"""A folder that appears whole or not at all: written beside its place, then renamed.

Knows nothing of packages.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lora_agent.errors import CacheError, ConfigError


@contextmanager
def staged(target: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield an empty folder; when the block ends without an error it becomes `target`, else it is removed.

    Raises ConfigError if `target` exists and `overwrite` is False, CacheError if the disk refuses.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and not overwrite:
            raise ConfigError(f"{str(target)!r} exists already", hint="Choose another folder, or remove this one.")
        # Beside its place: a rename is atomic only within one file system. The dot hides it from searches.
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
            folder = Path(scratch) / "new"
            folder.mkdir()
            yield folder
            if overwrite and target.exists():
                _replace(target, folder, Path(scratch) / "old")
            else:
                folder.rename(target)
    except OSError as error:
        raise CacheError(
            f"cannot write {str(target)!r}: {error}",
            hint="Free some space, or set LORA_AGENT_HOME to a folder that you can write.",
        ) from error


def _replace(target: Path, new: Path, old: Path) -> None:
    target.rename(old)
    try:
        new.rename(target)
    except OSError:
        old.rename(target)
        raise


def copy_file(source: Path, target: Path) -> None:
    """Bytes only: permissions and links of where it came from do not matter here."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)

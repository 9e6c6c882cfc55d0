"""Rows that the user's own Python function makes: fn(seed, rows) → lines as a data file would have them."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

from lora_agent.errors import ConfigError
from lora_agent.registry import sha256_file

from ...recipe import Generator
from .cached import cached


def run_generator(source: Generator, folder: Path) -> Path:
    """Run once for each content of the file, seed and number of rows. Raises ConfigError for a function that is not
    there, raises, or gives something else than objects."""
    path = folder / source.file
    if not path.is_file():
        raise ConfigError(f"no generator {str(path)!r}", hint="Paths are relative to the recipe.")

    def make(scratch: Path) -> None:
        function = _load(path, source.function)
        with scratch.open("w", encoding="utf-8") as out:
            for number, line in enumerate(_lines(function, source, path), 1):
                if not isinstance(line, dict):
                    hint = 'Yield objects such as {"prompt": ..., "completion": ...}.'
                    raise ConfigError(f"row {number} of {path.name} is a {type(line).__name__}", hint=hint)
                out.write(json.dumps(line, ensure_ascii=False) + "\n")

    key = [sha256_file(path), source.function, source.seed, source.rows]
    return cached("python", key, f"{path.stem}-{source.seed}-{source.rows}.jsonl", make)


def _load(path: Path, name: str) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{str(path)!r} is no Python file", hint="Give `python: {file: generate.py, ...}`.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ConfigError(
            f"{path.name} cannot be imported: {type(error).__name__}: {error}", hint="Mend it."
        ) from error
    if not callable(getattr(module, name, None)):
        raise ConfigError(f"{path.name} has no function {name!r}", hint="Name it in `python: {function: ...}`.")
    return getattr(module, name)


def _lines(function: Any, source: Generator, path: Path) -> Any:
    try:
        yield from function(source.seed, source.rows)
    except Exception as error:
        hint = f"It is called as {source.function}({source.seed}, {source.rows}) and must yield rows."
        raise ConfigError(f"{path.name} raised {type(error).__name__}: {error}", hint=hint) from error

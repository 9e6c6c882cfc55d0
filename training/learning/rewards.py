"""What an answer is worth: does it fit its schema, is it right, what does the user's own program say."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lora_agent.errors import ConfigError
from lora_agent.structured import validate
from lora_agent.types import JsonSchema

from ..data.rows import Row
from ..evaluate.metrics import Correct

Program = Callable[[dict[str, Any], Any], float]
"""(input, output) → 0 to 1."""

_JSON_AT_LEAST = 0.25
"""For a JSON value that breaks its schema: a group of answers that all break it must still have something to climb."""


def schema_reward(text: str | None, schema: JsonSchema) -> tuple[float, Any]:
    """(1 for a valid value, less for JSON, 0 for anything else; the value if valid). `text`: None if it never ended."""
    if text is None:
        return 0.0, None
    found = validate(text, schema)
    if not found.errors:
        return 1.0, found.value
    return (_JSON_AT_LEAST if found.value is not None else 0.0), None


def task_reward(value: Any, row: Row, same: Correct) -> float:
    """1 for the target by the gate's metric."""
    return float(value is not None and same(value, row.output))


def program_reward(value: Any, row: Row, program: Program) -> float:
    """What running the output comes to, cut to 0 to 1; 0 if the program raises: a model's output may be anything."""
    if value is None:
        return 0.0
    try:
        return min(1.0, max(0.0, float(program(row.input, value))))
    except Exception as error:  # noqa: BLE001
        print(f"the reward program raised {type(error).__name__}: {error} on {value!r:.100}", file=sys.stderr)
        return 0.0


def load_program(where: str, folder: Path) -> Program:
    """`file.py:function`, relative to `folder`: the user's own code, run in this process. Raises ConfigError."""
    file, _, name = where.partition(":")
    path = folder / file
    if not path.is_file() or not name:
        raise ConfigError(
            f"no reward program at {where!r}", hint="Give `program: file.py:function`, beside the recipe."
        )
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{str(path)!r} is no Python file", hint="Give `program: file.py:function`.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = getattr(module, name, None)
    if not callable(found):
        raise ConfigError(f"{str(path)!r} has no function {name!r}", hint="Give `program: file.py:function`.")
    program: Program = found
    return program

"""Text files of a package → checked values; a fault becomes a PackageFormatError with file, line and key.

Knows nothing of what the files mean: the model to check against is passed in.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from lora_agent.errors import PackageFormatError

Model = TypeVar("Model", bound=BaseModel)
Location = Sequence[int | str]

SHOWN_ERRORS = 3  # the first faults of a file; more would bury them


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a key written twice, where PyYAML would drop the first one silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is written twice", key.start_mark
                )
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else "")
        return super().construct_mapping(node, deep=deep)


def read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise PackageFormatError(
            f"the package {str(path.parent)!r} has no {path.name}",
            hint="An adapter package is a folder made by `lora-agent train RECIPE.yaml --out DIR`.",
        ) from error
    except UnicodeDecodeError as error:
        raise PackageFormatError(f"{str(path)!r} is not UTF-8 text ({error})") from error


def read_yaml(path: Path, model: type[Model]) -> Model:
    text = read_text(path)
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        data = loader.construct_document(node) if node is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" line {mark.line + 1}" if mark else ""
        raise PackageFormatError(f"{str(path)!r}{where}: {error.problem or 'not YAML'}") from error
    except (yaml.YAMLError, ValueError) as error:  # an unreadable character, an impossible date
        raise PackageFormatError(f"{str(path)!r} is not YAML: {error}") from error
    finally:
        loader.dispose()
    return check(data, model, path, line_of=lambda location: _line_of(node, location))


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises PackageFormatError also for a key written twice."""
    try:
        data = json.loads(read_text(path), object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise PackageFormatError(f"{str(path)!r} line {error.lineno}: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise PackageFormatError(f"{str(path)!r} is not usable JSON: {error}") from error
    if not isinstance(data, dict):
        raise PackageFormatError(f"{str(path)!r} holds a JSON {type(data).__name__}, expected an object")
    return data


def check(data: Any, model: type[Model], path: Path, line_of: Callable[[Location], int] | None = None) -> Model:
    """`data` as an instance of `model`. Raises PackageFormatError with the place of each fault."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise PackageFormatError(_describe(error, path, line_of)) from error


def _describe(error: ValidationError, path: Path, line_of: Callable[[Location], int] | None) -> str:
    faults = error.errors(include_url=False)
    lines = []
    for fault in faults[:SHOWN_ERRORS]:
        place = ".".join(str(part) for part in fault["loc"])
        line = f" line {line_of(fault['loc'])}" if line_of else ""
        given = "" if fault["type"] == "missing" else f" (got {_short(fault['input'])})"
        lines.append(f"{str(path)!r}{line}: {place + ': ' if place else ''}{fault['msg']}{given}")
    if len(faults) > SHOWN_ERRORS:
        lines.append(f"and {len(faults) - SHOWN_ERRORS} more")
    return "\n  ".join(lines)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} is written twice")
    return value


def _line_of(node: yaml.Node | None, location: Location) -> int:
    """The line of a key in a YAML document, or of its nearest parent that is written there."""
    line = node.start_mark.line + 1 if node else 1
    for part in location:
        child = _child(node, part)
        if child is None:
            break
        line, node = child
    return line


def _child(node: yaml.Node | None, part: int | str) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return key.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        item = node.value[part]
        return item.start_mark.line + 1, item
    return None

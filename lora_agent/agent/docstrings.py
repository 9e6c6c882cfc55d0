"""A function's docstring → its first paragraph and the descriptions of its parameters.

Reads the three styles in common use: Google (`Args:`), NumPy (`Parameters` underlined) and Sphinx
(`:param x:`). Knows nothing of tools or types; a docstring in no known style simply has no parameters.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field

_GOOGLE_HEAD = re.compile(r"^(Args|Arguments|Parameters|Params):\s*$")
_GOOGLE_ITEM = re.compile(r"^\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")
_NUMPY_ITEM = re.compile(r"^\*{0,2}(\w+(?:\s*,\s*\w+)*)\s*(?::.*)?$")
_SPHINX_ITEM = re.compile(r"^[:@]param\s+(?:[^:]*\s)?\*{0,2}(\w+)\s*:\s*(.*)$")
_SPHINX_FIELD = re.compile(r"^[:@]\w+")


@dataclass(frozen=True)
class Docstring:
    summary: str = ""
    """The first paragraph on one line."""
    parameters: dict[str, str] = field(default_factory=dict)


def read_docstring(function: Callable[..., object]) -> Docstring:
    text = inspect.getdoc(function)
    if not text:
        return Docstring()
    lines = text.splitlines()
    parameters = _google(lines) or _numpy(lines) or _sphinx(lines)
    return Docstring(_summary(lines), {name: text for name, text in parameters.items() if text})


def _summary(lines: list[str]) -> str:
    taken: list[str] = []
    for line in lines:
        if not line.strip() or _GOOGLE_HEAD.match(line) or _SPHINX_FIELD.match(line):
            break
        taken.append(line.strip())
    return " ".join(taken)


def _google(lines: list[str]) -> dict[str, str]:
    start = next((i + 1 for i, line in enumerate(lines) if _GOOGLE_HEAD.match(line)), None)
    if start is None:
        return {}
    found: dict[str, str] = {}
    name, indent = "", 0
    for line in lines[start:]:
        if not line.strip():
            continue
        depth = len(line) - len(line.lstrip())
        if depth == 0:  # the next section
            break
        indent = indent or depth
        item = _GOOGLE_ITEM.match(line.strip()) if depth <= indent else None
        if item:
            name = item[1]
            found[name] = item[2].strip()
        elif name:
            found[name] = f"{found[name]} {line.strip()}".strip()
    return found


def _numpy(lines: list[str]) -> dict[str, str]:
    heads = [i for i, line in enumerate(lines[:-1]) if line.strip() == "Parameters" and _underline(lines[i + 1])]
    if not heads:
        return {}
    found: dict[str, str] = {}
    names: list[str] = []
    body = lines[heads[0] + 2 :]
    for i, line in enumerate(body):
        if i + 1 < len(body) and line.strip() and _underline(body[i + 1]):  # the next section
            break
        if not line.strip():
            continue
        item = None if line[0].isspace() else _NUMPY_ITEM.match(line)
        if item:
            names = [name.strip() for name in item[1].split(",")]
            found.update(dict.fromkeys(names, ""))
        else:
            found.update({name: f"{found[name]} {line.strip()}".strip() for name in names})
    return found


def _underline(line: str) -> bool:
    return len(line.strip()) >= 3 and set(line.strip()) == {"-"}


def _sphinx(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    name = ""
    for line in lines:
        item = _SPHINX_ITEM.match(line.strip())
        if item:
            name = item[1]
            found[name] = item[2].strip()
        elif not line.strip() or _SPHINX_FIELD.match(line.strip()):
            name = ""
        elif name:
            found[name] = f"{found[name]} {line.strip()}".strip()
    return found

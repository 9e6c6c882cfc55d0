"""Files → plain text with Markdown headings. Knows formats, nothing of passages or search.

A file that cannot be read is an error that names it; a file of an unknown kind is listed with the reason.
"""

from __future__ import annotations

import csv
import io
import json
import os
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from lora_agent.errors import DocumentError

SUFFIXES = (".md", ".txt", ".rst", ".html", ".htm", ".json", ".csv")


@dataclass(frozen=True)
class SourceText:
    name: str
    """Path relative to the folder, with `/`."""
    text: str


def read_folder(path: str | Path) -> tuple[list[SourceText], list[tuple[str, str]]]:
    """All readable files below `path` (or the one file), and what was left out with the reason.

    Hidden files and folders are not looked at.
    """
    root = Path(path).expanduser()
    if root.is_file():
        if root.suffix.lower() not in SUFFIXES:
            raise DocumentError(f"{str(path)!r} is no kind of document that can be read", hint=_KINDS)
        texts = [SourceText(root.name, read_file(root))]
        left_out: list[tuple[str, str]] = []
    elif root.is_dir():
        texts, left_out = _walk(root)
    else:
        raise DocumentError(
            f"there is no folder {str(path)!r}",
            hint="Give the path of a folder, or pass texts as a list: documents=[...].",
        )
    left_out += [(source.name, "is empty") for source in texts if not source.text.strip()]
    texts = [source for source in texts if source.text.strip()]
    if not texts:
        listed = "".join(f"\n  {name}: {reason}" for name, reason in left_out[:5])
        raise DocumentError(f"{str(path)!r} holds no document{listed}", hint=_KINDS)
    return texts, left_out


_KINDS = f"Readable kinds: {', '.join(SUFFIXES)}."


def _walk(root: Path) -> tuple[list[SourceText], list[tuple[str, str]]]:
    texts: list[SourceText] = []
    left_out: list[tuple[str, str]] = []

    def unreadable(error: OSError) -> None:
        raise DocumentError(f"{error.filename}: {error.strerror}", hint="Check the folder's permissions.") from error

    for folder, folders, names in os.walk(root, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in names if not name.startswith(".")):
            file = Path(folder, name)
            relative = file.relative_to(root).as_posix()
            if file.suffix.lower() in SUFFIXES:
                texts.append(SourceText(relative, read_file(file)))
            else:
                left_out.append((relative, f"is of no readable kind ({file.suffix or 'no suffix'})"))
    return texts, left_out


def read_file(file: Path) -> str:
    """One file as text. Raises DocumentError, which names the file."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DocumentError(f"{file}: {error.strerror}", hint="Check that the file can be read.") from error
    if b"\0" in data:
        raise DocumentError(
            f"{file} is not text: it holds a zero byte", hint="Convert it to UTF-8 text, or move it away."
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError(
            f"{file} is not UTF-8: byte {data[error.start]:#04x} at offset {error.start}",
            hint=f"Convert it: iconv -f WINDOWS-1252 -t UTF-8 {file} -o NEW.txt",
        ) from error
    try:
        return _to_text(text, file.suffix.lower())
    except (ValueError, csv.Error, RecursionError) as error:
        raise DocumentError(
            f"{file} is not valid {file.suffix[1:].upper()}: {error}", hint="Repair it, or rename it to .txt."
        ) from error


def _to_text(text: str, suffix: str) -> str:
    if suffix in (".html", ".htm"):
        reader = _HtmlText()
        reader.feed(text)
        reader.close()
        return reader.text()
    if suffix == ".csv":
        return _csv_text(text)
    if suffix == ".json":
        return _json_text(json.loads(text)) if text.strip() else ""
    return text.replace("\r\n", "\n")


def _csv_text(text: str) -> str:
    """One paragraph per row, each value with its column's name: a row must make sense by itself."""
    rows = [row for row in csv.reader(io.StringIO(text), strict=True) if any(cell.strip() for cell in row)]
    if len(rows) < 2:
        return ", ".join(rows[0]) if rows else ""
    head = rows[0]
    names = [head[i] if i < len(head) and head[i].strip() else f"column {i + 1}" for i in range(max(map(len, rows)))]
    lines = ["; ".join(f"{n}: {cell}" for n, cell in zip(names, row, strict=False) if cell.strip()) for row in rows[1:]]
    return "\n\n".join(lines)


def _json_text(value: Any, path: str = "") -> str:
    """`key.key: value` lines; each element of a list of objects is a paragraph."""
    if isinstance(value, dict):
        return "\n".join(_json_text(sub, f"{path}.{key}" if path else str(key)) for key, sub in value.items())
    if isinstance(value, list):
        if any(isinstance(item, (dict, list)) for item in value):
            return "\n\n".join(_json_text(item, path) for item in value)
        value = ", ".join(map(_scalar, value))
    return f"{path}: {_scalar(value)}" if path else _scalar(value)


def _scalar(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


class _HtmlText(HTMLParser):
    """Visible text; headings become Markdown headings, block elements paragraphs."""

    _HIDDEN = frozenset({"script", "style", "template", "noscript", "title", "svg"})
    _BLOCKS = frozenset("p div section article header footer main aside nav ul ol li dl dt dd table tr pre br".split())

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._parts: list[str] = []
        self._hidden: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self._HIDDEN:
            self._hidden.append(tag)
        elif _is_heading(tag):
            self._parts.append("\n\n" + "#" * int(tag[1]) + " ")
        elif tag in self._BLOCKS:
            self._parts.append("\n\n")
        elif tag in ("td", "th"):
            self._parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._hidden:
            while self._hidden.pop() != tag:
                pass
        elif _is_heading(tag) or tag in self._BLOCKS:
            self._parts.append("\n\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._parts.append(" ".join(data.split()).join((" " * data[:1].isspace(), " " * data[-1:].isspace())))

    def text(self) -> str:
        paragraphs = (" ".join(part.split()) for part in "".join(self._parts).split("\n\n"))
        return "\n\n".join(part for part in paragraphs if part.strip("# "))


def _is_heading(tag: str) -> bool:
    return len(tag) == 2 and tag[0] == "h" and tag[1] in "123456"

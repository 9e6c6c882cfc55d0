"""Opening the packed files of the data folder, with an error that names the folder to set."""

from __future__ import annotations

import gzip
import json
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from lora_agent.errors import ConfigError


def open_packed(path: Path) -> IO[str]:
    if not path.is_file():
        raise ConfigError(f"no data file at {str(path)!r}", hint="export LORA_AGENT_DATA=<folder with the data sets>")
    return lzma.open(path, "rt", encoding="utf-8") if path.suffix == ".xz" else gzip.open(path, "rt", encoding="utf-8")


def json_lines(path: Path) -> Iterator[dict[str, Any]]:
    with open_packed(path) as lines:
        for line in lines:
            yield json.loads(line)


def json_file(path: Path) -> Any:
    with open_packed(path) as file:
        return json.load(file)

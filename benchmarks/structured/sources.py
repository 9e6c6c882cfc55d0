"""The public collections as one kind of row: a schema and instances that are said to be valid or not.

JSONSchemaBench with MaskBench's instances (arXiv 2501.10868, `maskbench_dev.jsonl.xz`) and the JSON-Schema-Test-Suite
(`suite.tar.xz`, required tests of the three drafts that the library reads). Neither is part of this repository.
"""

from __future__ import annotations

import json
import lzma
import tarfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

BENCH = Path("jsonschemabench", "maskbench_dev.jsonl.xz")
SUITE = Path("json-schema-test-suite", "suite.tar.xz")
DRAFTS = {
    "draft7": "http://json-schema.org/draft-07/schema#",
    "draft2019-09": "https://json-schema.org/draft/2019-09/schema",
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
}
OUT_OF_SUITE = {
    "format.json": "formats are checked here; the suite expects them to be annotations",
    "vocabulary.json": "a metaschema of one's own is read as the plain draft",
}


@dataclass(frozen=True)
class Row:
    id: str
    split: str
    schema: Any
    tests: list[dict[str, Any]]
    """`{"data", "valid"}`; `valid` is what the collection says."""

    def text(self) -> str:
        return json.dumps(asdict(self))


def rows(data: Path, suite: bool) -> list[Row]:
    """Raises SystemExit where the file is missing."""
    path = data / (SUITE if suite else BENCH)
    if not path.is_file():
        raise SystemExit(f"error: {path} is not there\n  Give the folder that holds {path.parent.name}/ with --data.")
    return list(_suite(path) if suite else _bench(path))


def _bench(path: Path) -> Iterator[Row]:
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            split = row["file"].split("---")[0] if "---" in row["file"] else row["file"].split("_")[0]
            yield Row(row["file"], split, row["schema"], row["tests"])


def _suite(path: Path) -> Iterator[Row]:
    with tarfile.open(path) as archive:
        for member in archive:
            parts = Path(member.name).parts
            draft = next((part for part in parts if part in DRAFTS), None)
            if draft is None or "tests" not in parts or "optional" in parts or not member.isfile():
                continue
            content = archive.extractfile(member)
            if content is None or parts[-1] in OUT_OF_SUITE:
                continue
            for number, group in enumerate(json.load(content)):
                schema = group["schema"]
                if isinstance(schema, dict):
                    schema = {"$schema": DRAFTS[draft], **schema}
                yield Row(f"{draft}/{parts[-1]}#{number} {group['description']}", draft, schema, group["tests"])

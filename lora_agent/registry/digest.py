"""SHA-256 of files, texts and whole packages.

Input: bytes on disk or values already parsed. Output: 64 lower-case hex digits. Knows nothing of what the
files mean, and nothing of tokenizers: whoever holds one passes its text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def sha256_bytes(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def sha256_text(text: str) -> str:
    """Digest of the UTF-8 bytes as given: a chat template with one more space is another template."""
    return sha256_bytes(text.encode("utf-8"))


def sha256_file(path: Path) -> str:
    """Read as a stream, so that the weights of a large adapter are never whole in memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def package_digest(manifest: Mapping[str, Any]) -> str:
    """Content hash of a package: of its manifest as parsed from JSON, less the time of its creation.

    The manifest holds the digest of every other file, so this one value stands for the whole folder. It is
    taken over the JSON that was read, not over our classes: a default that a later version adds changes no
    digest.
    """
    content = {key: value for key, value in manifest.items() if key != "created"}
    return sha256_text(json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":")))

"""Semantic versions (semver.org 2.0.0): which texts are one, and which of two is newer."""

from __future__ import annotations

import re

# The expression that https://semver.org/ suggests.
SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?"
    r"(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?",
    re.ASCII,
)

VersionKey = tuple[int, int, int, bool, tuple[tuple[bool, int, str], ...], str]


def version_key(version: str) -> VersionKey:
    """A key that sorts versions by semver precedence, oldest first; build metadata only breaks ties.

    Raises ValueError for a text that is not a semantic version.
    """
    match = SEMVER.fullmatch(version)
    if match is None:
        raise ValueError(f"{version!r} is not a semantic version such as '1.0.0'")
    major, minor, patch, pre, build = match.groups()
    # A pre-release is older than its release; its numeric parts are older than its textual ones.
    parts = tuple((not p.isdigit(), int(p) if p.isdigit() else 0, p) for p in pre.split(".")) if pre else ()
    return int(major), int(minor), int(patch), not pre, parts, build or ""

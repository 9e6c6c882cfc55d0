"""The environment of processes that peers run in."""

from __future__ import annotations

import os

_SET_BY_US = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
"""Opening an engine sets them for torch (decision 002); a peer is measured as its user would start it."""


def as_started() -> dict[str, str]:
    """The environment without what an engine changed in it."""
    return {name: value for name, value in os.environ.items() if name not in _SET_BY_US}

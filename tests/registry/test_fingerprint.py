"""The fingerprint tells the adapter that was built from none and from another; Platt scaling."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import ValidationError

from lora_agent.errors import FingerprintError
from lora_agent.registry import Fingerprint, Platt, check_fingerprint

from .conftest import make_manifest

PRINT = make_manifest().fingerprint  # base [-3, -4], adapted [-0.5, -0.25], tolerance 0.1


def test_the_right_adapter_within_the_tolerance() -> None:
    check_fingerprint(PRINT, PRINT.base, PRINT.adapted)
    check_fingerprint(PRINT, [-3.1, -4.1], [-0.55, -0.35])


@pytest.mark.parametrize(
    ("base", "adapted", "match"),
    [
        ([-3.0, -4.0], [-3.0, -4.0], "no effect.*3.125.*observed 0"),
        ([-3.0, -4.0], [-0.5, -0.75], "difference 0.25 nats, tolerated 0.1 .*base alone differs by 0"),
        ([-3.0, -4.0], [-0.5, math.nan], "nan"),
        ([-3.0, -4.0], [-0.5, -math.inf], "inf"),
        ([-3.0, -4.0], [-0.5], "has 2 log-probabilities"),
        ([-3.0], [-0.5, -0.25], "has 2 log-probabilities"),
    ],
)
def test_a_mismatch_fails_closed(base: list[float], adapted: list[float], match: str) -> None:
    with pytest.raises(FingerprintError, match=match):
        check_fingerprint(PRINT, base, adapted)


def test_a_fingerprint_that_cannot_tell() -> None:
    weak = PRINT.model_copy(update={"tolerance": 5.0})
    with pytest.raises(FingerprintError, match="proves nothing"):
        check_fingerprint(weak, weak.base, weak.adapted)


@pytest.mark.parametrize(
    "changes",
    [
        {"targets": [4]},
        {"positions": [2, 4]},
        {"adapted": [-1.0, math.nan]},
        {"tolerance": 0},
        {"canary": []},
    ],
)
def test_malformed_fingerprints(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Fingerprint(**(PRINT.model_dump() | changes))


def test_platt_scaling() -> None:
    assert Platt(a=2.0, b=-1.0)(0.5) == pytest.approx(0.5)
    assert Platt(a=2.0, b=-1.0)(1.5) == pytest.approx(1 / (1 + math.exp(-2.0)))
    assert Platt(a=1.0, b=0.0)(-1e6) == 0.0  # no overflow

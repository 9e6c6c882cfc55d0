"""Thresholds from risk targets."""

from __future__ import annotations

import math

import numpy as np
import pytest

from training.evaluate.calibrate import risk_threshold


@pytest.mark.parametrize("share", [0.01, 0.08, 0.5])
@pytest.mark.parametrize("n", [30, 119])
def test_new_negatives_reach_it_as_seldom_as_wanted(share: float, n: int) -> None:
    rng = np.random.default_rng(0)
    found = [risk_threshold(rng.normal(size=n), share) for _ in range(400)]
    reached = np.mean([np.mean(rng.normal(size=200) >= t) for t in found])
    assert reached <= share + 0.005
    if (n + 1) * share >= 1:
        assert reached > share / 3  # and it is no stricter than that
    else:
        assert all(t == math.inf for t in found)  # too few to promise anything


def test_equal_scores_do_not_reach_it_either() -> None:
    t = risk_threshold(np.array([0.0] * 10 + [1.0] * 10), 0.3)
    assert t > 1.0
    assert 0.0 < risk_threshold(np.array([0.0] * 10 + [1.0] * 10), 0.6) <= 1.0

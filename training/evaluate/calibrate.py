"""Turn scores into probabilities that mean something, and measure whether they do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def wilson(successes: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson 1927), (0, 1) for n = 0."""
    if n == 0:
        return 0.0, 1.0
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def ece(confidence: Floats, correct: NDArray[np.bool_], bins: int = 15) -> float:
    """Expected calibration error over equal-width bins (arXiv 1706.04599)."""
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    total = 0.0
    for b in range(bins):
        inside = index == b
        if inside.any():
            total += inside.mean() * abs(confidence[inside].mean() - correct[inside].mean())
    return float(total)


def softmax(logits: Floats) -> Floats:
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(shifted / shifted.sum(1, keepdims=True))


def temperature(logits: Floats, labels: NDArray[np.int64]) -> float:
    """The divisor of the logits with the least negative log-likelihood, by a fine grid."""
    grid = np.exp(np.linspace(math.log(0.25), math.log(8), 120))
    rows = np.arange(len(labels))
    losses = [-np.log(softmax(logits / t)[rows, labels] + 1e-12).mean() for t in grid]
    return float(grid[int(np.argmin(losses))])


def threshold(confidence: Floats, correct: NDArray[np.bool_], target: float) -> float:
    """The lowest confidence from which on the accepted decisions reach accuracy `target`; covers as many as it can."""
    order = np.argsort(-confidence)
    accuracy = np.cumsum(correct[order]) / np.arange(1, len(order) + 1)
    reached = np.nonzero(accuracy >= target)[0]
    return float(confidence[order[reached[-1]]]) if len(reached) else 1.0


def risk_threshold(negative: Floats, share: float) -> float:
    """The score at or above which at most `share` of what is not positive will lie, from some that is not. The bound
    holds on average over draws of them (split conformal prediction, arXiv 1604.04173); infinite if they are too few."""
    ordered = np.sort(negative)
    kept = math.ceil((len(ordered) + 1) * (1 - share))
    return float(np.nextafter(ordered[kept - 1], np.inf)) if kept <= len(ordered) else math.inf


def auroc(positive: Floats, negative: Floats) -> float:
    """Probability that a positive scores above a negative."""
    ranks = np.concatenate([positive, negative]).argsort().argsort() + 1.0
    n, m = len(positive), len(negative)
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m)) if n and m else float("nan")


def platt(scores: Sequence[float], labels: Sequence[bool]) -> tuple[float, float]:
    """(a, b) of sigmoid(a*x + b), fitted with Platt's smoothed targets (Platt 1999) by logistic regression."""
    from sklearn.linear_model import LogisticRegression

    x = np.asarray(scores, dtype=np.float64)[:, None]
    y = np.asarray(labels)
    if y.all() or not y.any():
        share = (y.sum() + 1) / (len(y) + 2)
        return 0.0, math.log(share / (1 - share))
    model: Any = LogisticRegression(C=10.0).fit(x, y)
    return float(model.coef_[0, 0]), float(model.intercept_[0])

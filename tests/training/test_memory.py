"""The memory forecast against the measured peak, each configuration in a process of its own on the embedded base."""

from __future__ import annotations

import pytest

from benchmarks.training_memory import in_process
from training.fit.memory import peak, reset_peak, resident


@pytest.mark.slow
@pytest.mark.parametrize("name", ["aLoRA, 16 short rows", "LoRA, 3 rows of 260"])
def test_the_forecast_is_within_15_per_cent_of_the_peak(name: str) -> None:
    found = in_process(name)
    if not found["step_only"]:
        pytest.skip("no /proc: the peak is not of the step alone")
    assert 0.85 < found["ratio"] < 1.15, found


def test_the_peak_can_be_counted_anew() -> None:
    held = bytearray(200 * 2**20)
    before = peak()
    assert before >= len(held)
    del held
    if reset_peak():
        assert peak() < before
    assert resident() <= peak() + 2**22

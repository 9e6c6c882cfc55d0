"""Rounds, their table and their plot, on systems whose times are given."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import plot
from benchmarks.rounds import Measure, Timed, print_results, run


def taking(*seconds: float) -> Timed:
    """A system that takes these seconds, the first of which is not measured."""
    left = iter(seconds)
    return lambda: next(left)


def measure(**bounds: float) -> Measure:
    systems = {"ours": taking(9, 1, 2, 3), "theirs <4-bit>": taking(9, 4, 4, 7), "other": taking(9, 8, 8, 8)}
    named = {name.replace("theirs", "theirs <4-bit>"): ratio for name, ratio in bounds.items()}
    return Measure("work", systems, named, [("other", "theirs <4-bit>")])


def test_medians_spread_and_ratios() -> None:
    result = run(measure(), 3)
    ours, theirs, _ = result["rows"]
    assert (ours["median_ms"], ours["min_ms"], ours["max_ms"]) == (2000, 1000, 3000)
    assert theirs["ratio"] == 2.0
    assert theirs["times_ms"] == [4000, 4000, 7000]
    assert result["pairs"] == [{"of": "other", "to": "theirs <4-bit>", "ratio": 2.0}]
    assert result["holds"] is None


@pytest.mark.parametrize(("ratio", "holds"), [(0.5, True), (0.4, False)])
def test_bounds(ratio: float, holds: bool) -> None:
    assert run(measure(theirs=ratio), 3)["holds"] is holds


def test_a_check_leaves_out_what_no_bound_needs() -> None:
    assert list(measure(theirs=0.5).only_bounds().systems) == ["ours", "theirs <4-bit>"]


def test_what_is_missing_is_printed_with_its_command(capsys: pytest.CaptureFixture[str]) -> None:
    print_results([run(measure(theirs=0.4), 3)], {"vLLM": "not installed; run: make bench-peers"})
    told = capsys.readouterr().out
    assert "BROKEN" in told
    assert "other : theirs <4-bit> = 2.00" in told
    assert "missing: vLLM (not installed; run: make bench-peers)" in told


def test_the_plot_is_one_file_with_a_bar_and_a_spread_per_system(tmp_path: Path) -> None:
    plot.write(tmp_path / "bench.html", "Speed", [run(measure(theirs=0.5), 3)], {"threads": 2})
    text = (tmp_path / "bench.html").read_text()
    assert not re.search(r"<script|src=|href=", text)
    (drawn,) = re.findall(r"<svg.*?</svg>", text)
    svg = ElementTree.fromstring(drawn)
    widths = [float(bar.get("width", "")) for bar in svg.iter("rect")]
    assert widths[1] == pytest.approx(2 * widths[0], abs=0.2)
    assert len(list(svg.iter("line"))) == 3
    assert "theirs &lt;4-bit&gt;: 4000.0 ms (4000.0 to 7000.0)" in text

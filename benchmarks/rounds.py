"""Systems that take turns at the same work: medians, spread, ratios, and the ratios that must hold."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

Timed = Callable[[], float | None]
"""Does the work once; returns the seconds of the part that counts, or None where all of it does."""


@dataclass(frozen=True)
class Measure:
    name: str
    systems: Mapping[str, Timed]
    """The first one is what the others' ratios are taken to."""
    bounds: Mapping[str, float] = field(default_factory=dict)
    """Ratio by system: `--check` fails when the first system takes more than this times that system's time."""
    pairs: Sequence[tuple[str, str]] = ()
    """Other ratios worth a line: the first one's time to the second one's."""

    def only_bounds(self) -> Measure:
        """Without the systems that no bound needs."""
        first, *_ = self.systems
        needed = {name: work for name, work in self.systems.items() if name == first or name in self.bounds}
        return replace(self, systems=needed, pairs=())


def timed(work: Callable[[], object]) -> Timed:
    def once() -> None:
        work()

    return once


def run(measure: Measure, runs: int) -> dict[str, Any]:
    """Systems take turns, so that what else the machine does meets all of them."""
    times: dict[str, list[float]] = {name: [] for name in measure.systems}
    for number in range(runs + 1):
        print(f"{measure.name}: {number}/{runs}", file=sys.stderr, flush=True)
        for name, work in measure.systems.items():
            started = time.perf_counter()
            own = work()
            seconds = time.perf_counter() - started if own is None else own
            if number:  # the first round compiles grammars and touches memory
                times[name].append(seconds * 1000)
    first, *_ = times
    median = {name: statistics.median(values) for name, values in times.items()}
    rows = [
        {
            "system": name,
            "median_ms": round(median[name], 2),
            "min_ms": round(min(values), 2),
            "max_ms": round(max(values), 2),
            "ratio": round(median[name] / median[first], 2),
            "times_ms": [round(value, 2) for value in values],
        }
        for name, values in times.items()
    ]
    here = {name: ratio for name, ratio in measure.bounds.items() if name in median}
    holds = all(median[first] <= ratio * median[name] for name, ratio in here.items()) if here else None
    bound = ", ".join(f"at most {ratio:.2f} × {name}" for name, ratio in here.items())
    pairs = [
        {"of": of, "to": to, "ratio": round(median[of] / median[to], 2)}
        for of, to in measure.pairs
        if of in median and to in median
    ]
    return {"name": measure.name, "n": runs, "rows": rows, "pairs": pairs, "bound": bound, "holds": holds}


def print_results(results: list[dict[str, Any]], missing: Mapping[str, str]) -> None:
    for result in results:
        verdict = {None: "", True: f"   [{result['bound']}: holds]", False: f"   [{result['bound']}: BROKEN]"}
        print(f"\n{result['name']}, n = {result['n']}{verdict[result['holds']]}")
        for row in result["rows"]:
            spread = f"{row['min_ms']:.1f} to {row['max_ms']:.1f}"
            print(f"  {row['system']:<40} {row['median_ms']:>10.1f} ms   ({spread})   × {row['ratio']:.2f}")
        for pair in result["pairs"]:
            print(f"  {pair['of']} : {pair['to']} = {pair['ratio']:.2f}")
    for name, reason in missing.items():
        print(f"\nmissing: {name} ({reason})")

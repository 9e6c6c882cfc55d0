"""The figures of a run, and the cases behind them that are worth opening."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

SLOW_MS = 2000
LARGE_MB = 500


def summarise(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Counts and quantiles. "Invalid" and "valid" are the verdicts of the validator with formats; where the collection
    says otherwise the case is counted as well. A value is returned only after that validator has passed it."""
    honoured = [r for r in records if r["status"] == "honoured"]
    exact = [r for r in honoured if r["exact"]]
    cases = [case for r in records for case in r["cases"]]
    return {
        "schemas": len(records),
        "status": dict(Counter(r["status"] for r in records)),
        "honoured_share": _share(len(honoured), len(records)),
        "exact_share": _share(len(exact), len(records)),
        "refused_by_keyword": dict(Counter(r["keyword"] for r in records if r["status"] == "refused").most_common()),
        "checked_after_by_keyword": dict(Counter(k for r in honoured for k in r["checked"]).most_common()),
        "instances": len(cases),
        "said_valid_but_not_by_the_validator": sum(said and not fits for said, fits, _ in cases),
        "said_invalid_but_not_by_the_validator": sum(fits and not said for said, fits, _ in cases),
        "valid": _outcome(honoured, valid=True),
        "valid_exact_tier": _outcome(exact, valid=True),
        "invalid_exact_tier": _outcome(exact, valid=False),
        "invalid": _outcome(honoured, valid=False),
        "compile_and_first_mask_ms": {
            name: _quantiles([r[name] for r in honoured])
            for name in ("exact_ms", "exact_cpu_ms", "bounded_ms", "bounded_cpu_ms")
        },
        "cached_us": _quantiles([r["cached_us"] for r in honoured]),
        "peak_mb": _quantiles([r["peak_mb"] for r in honoured]),
        "over_2_s": [r["id"] for r in honoured if max(r["exact_cpu_ms"], r["bounded_cpu_ms"]) > SLOW_MS],
        "over_500_mb": [r["id"] for r in honoured if r["peak_mb"] > LARGE_MB],
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _outcome(records: Sequence[dict[str, Any]], *, valid: bool) -> dict[str, Any]:
    """Instances of this verdict, how many the grammar refused (valid) or accepted (invalid), and of which schemas."""
    wrong = [(r["id"], c) for r in records for c in r["cases"] if c[1] == valid and c[2] != valid]
    count = sum(c[1] == valid for r in records for c in r["cases"])
    name = "refused" if valid else "accepted"
    return {
        "instances": count,
        name: len(wrong),
        "share": _share(len(wrong), count),
        "schemas": sorted({i for i, _ in wrong}),
    }


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    if not ordered:
        return {}
    at = {f"p{q}": ordered[min(len(ordered) - 1, int(len(ordered) * q / 100))] for q in (50, 90, 99)}
    return {"n": len(ordered), **at, "max": ordered[-1]}


def print_summary(figures: dict[str, Any], shown: int = 10) -> None:
    for name, value in figures.items():
        if isinstance(value, dict):
            print(f"{name}:")
            for key, inner in value.items():
                if isinstance(inner, list) and len(inner) > shown:
                    inner = [*inner[:shown], f"and {len(inner) - shown} more"]
                print(f"  {key:<28} {inner}")
        else:
            print(f"{name:<30} {value}")

"""One row's output against its target: right or wrong, per adapter family. Pure functions on JSON values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

Correct = Callable[[Any, Any], bool]


def exact(output: Any, target: Any) -> bool:
    return bool(_normal(output) == _normal(target))


def call(output: Any, target: Any) -> bool:
    """The same calls in any order; strings without case and outer punctuation, numbers by value."""
    if not isinstance(output, dict) or not isinstance(output.get("calls"), list):
        return False
    return Counter(map(_key, output["calls"])) == Counter(map(_key, target["calls"]))


def answer(output: Any, target: Any) -> bool:
    """Answerability right; for an answerable question also half of the words and one cited passage."""
    if not isinstance(output, dict) or output.get("answerable") != target["answerable"]:
        return False
    if not target["answerable"]:
        return True
    cited = bool(set(output["citations"]) & set(target["citations"]))
    return cited and word_f1(output["answer"], target["answer"]) >= 0.5


def rewrite(output: Any, target: Any) -> bool:
    """Four fifths of the words of the human rewrite."""
    return isinstance(output, dict) and word_f1(str(output.get("query", "")), target["query"]) >= 0.8


def verdict(output: Any, target: Any) -> bool:
    return isinstance(output, dict) and output.get("verdict") == target["verdict"]


METRICS: dict[str, Correct] = {
    "exact": exact,
    "call": call,
    "answer": answer,
    "rewrite": rewrite,
    "verdict": verdict,
}


def word_f1(first: str, second: str) -> float:
    """Harmonic mean of word precision and recall, as SQuAD counts it (arXiv 1606.05250)."""
    a, b = _words(first), _words(second)
    if not a or not b:
        return float(a == b)
    common = sum((Counter(a) & Counter(b)).values())
    return 2 * common / (len(a) + len(b))


def _words(text: str) -> list[str]:
    return [w for w in re.findall(r"\w+", text.lower()) if w not in ("a", "an", "the")]


def _normal(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _normal(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_normal(v) for v in value]
    if isinstance(value, str):
        return value.strip().strip(".!?").casefold()
    if isinstance(value, bool) or value is None:
        return value
    return float(value)


def _key(call: Any) -> str:
    if not isinstance(call, dict):
        return repr(call)
    arguments = sorted((call.get("arguments") or {}).items())
    return repr((call.get("name"), [(k, repr(_normal(v))) for k, v in arguments]))

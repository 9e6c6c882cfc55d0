"""Run an adapter and the prompted base over development rows: the numbers that the gate and the card show."""

from __future__ import annotations

import math
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lora_agent.engine.local.engine import LocalEngine
from lora_agent.errors import InputError
from lora_agent.registry import AdapterPackage, Platt
from lora_agent.types import Result, Usage, compact_json

from ..data.rows import Row
from ..selection import pick
from .calibrate import ece, platt, risk_threshold, wilson
from .compare import mcnemar
from .metrics import METRICS, word_f1
from .suite import Answers


@dataclass
class Scored:
    """One system on all rows."""

    results: list[Result]
    correct: list[bool]
    seconds: float
    run: int
    """Rows that took these seconds; the others were kept from an earlier run."""
    by_source: dict[str, list[bool]] = field(default_factory=lambda: defaultdict(list))


def run_system(
    engine: LocalEngine,
    name: str,
    rows: Sequence[Row],
    metric: str,
    *,
    prompted: bool = False,
    free: bool = False,
    block: int = 16,
    kept: Answers | None = None,
) -> Scored:
    """Every row through adapter `name`, or through the base told what the adapter is for, in batches; `free`: without
    the grammar. A row that cannot be run (too long a context) counts as wrong and says why. What `kept` holds is not
    run again, and what is run goes into it."""
    targets = [engine.base.renderer.size(compact_json(row.output)) for row in rows]
    # Rows of like length share a block. The base seldom stops by itself, so what counts is how long it may go on: twice
    # the longest right answer of the block is room enough for a right one.
    order = sorted(range(len(rows)), key=lambda i: targets[i] if prompted else len(str(rows[i].input)))
    results = {i: found for i in order if kept is not None and (found := kept.get(rows[i])) is not None}
    order, already = [i for i in order if i not in results], len(results)
    started = time.monotonic()
    for start in range(0, len(order), block):
        chosen = order[start : start + block]
        calls = [(name, rows[i].input) for i in chosen]
        budget = 2 * max(targets[i] for i in chosen) if prompted or free else None
        done = _answers(engine, calls, prompted=prompted, free=free, max_tokens=budget)
        results |= dict(zip(chosen, done, strict=True))
        for i, result in zip(chosen, done, strict=True) if kept is not None else ():
            kept.put(rows[i], result)
        rate = (len(results) - already) / (time.monotonic() - started)
        left = (len(rows) - len(results)) / rate
        who = "prompted base" if prompted else f"{name}, no grammar" if free else name
        print(f"{who}: {len(results)}/{len(rows)} rows, {rate:.2f} rows/s, {left:.0f} s left", file=sys.stderr)
    ordered = [results[i] for i in range(len(rows))]
    right = [METRICS[metric](r.output, row.output) for r, row in zip(ordered, rows, strict=True)]
    scored = Scored(ordered, right, time.monotonic() - started, len(order))
    for row, flag in zip(rows, right, strict=True):
        scored.by_source[row.source].append(flag)
    return scored


def _answers(engine: LocalEngine, calls: Sequence[tuple[str, dict[str, Any]]], **how: Any) -> list[Result]:
    try:
        return engine.call_batch(calls, **how)
    except InputError as error:
        if len(calls) > 1:
            return [_answers(engine, [call], **how)[0] for call in calls]
        return [Result(calls[0][0], None, "", "invalid", "length", Usage(), 0.0, error=error.message)]


def latency(engine: LocalEngine, name: str, rows: Sequence[Row], count: int = 12) -> dict[str, Any]:
    """Milliseconds of one call at a time, context and all, on at most `count` rows: mean with its 95 % interval (normal
    approximation) and the slowest."""
    took = []
    prefixes = getattr(engine, "prefixes", None)  # what is evaluated through PEFT has none
    for row in pick(rows, count):
        if prefixes is not None:
            prefixes.clear()
        started = time.perf_counter()
        _answers(engine, [(name, row.input)])
        took.append(1000 * (time.perf_counter() - started))
    half = 1.96 * float(np.std(took, ddof=1)) / len(took) ** 0.5 if len(took) > 1 else float("nan")
    mean = float(np.mean(took))
    return {
        "n": len(took),
        "mean": round(mean),
        "mean_95": [round(mean - half), round(mean + half)],
        "most": round(max(took)),
    }


def report(adapter: Scored, base: Scored, rows: Sequence[Row], shared: Sequence[int], metric: str) -> dict[str, Any]:
    """The table of the gate: each figure with n and a 95 % interval. The base ran on the rows `shared` alone (it
    seldom stops by itself, so a row costs it the whole budget); gain and test compare the two on these."""
    n = len(rows)
    paired = [adapter.correct[i] for i in shared]
    return {
        "metric": metric,
        "n": n,
        "adapter": summary(adapter),
        "prompted_base": summary(base),
        "paired_n": len(paired),
        "gain": round((sum(paired) - sum(base.correct)) / len(paired), 4),
        "mcnemar_p": mcnemar(paired, base.correct),
        "by_source": {
            s: {"n": len(f), "correct": round(sum(f) / len(f), 3)} for s, f in sorted(adapter.by_source.items())
        },
        "failures": _failures(adapter, rows),
    } | metric_detail(adapter, rows, metric)


def compare(first: Scored, second: Scored) -> dict[str, Any]:
    """Two systems on the same rows."""
    return {"mcnemar_p": mcnemar(first.correct, second.correct)}


def summary(scored: Scored) -> dict[str, Any]:
    """Share of right answers with n and its 95 % interval, validity, stop rate, time."""
    n = len(scored.correct)
    valid = sum(r.verdict == "valid" for r in scored.results)
    stopped = sum(r.finish_reason == "stop" for r in scored.results)
    return {
        "n": n,
        "correct": round(sum(scored.correct) / n, 4),
        "correct_95": [round(v, 4) for v in wilson(sum(scored.correct), n)],
        "valid": round(valid / n, 4),
        "valid_95": [round(v, 4) for v in wilson(valid, n)],
        "stopped": round(stopped / n, 4),
        "stopped_95": [round(v, 4) for v in wilson(stopped, n)],
        "ms_per_row_in_batches": round(1000 * scored.seconds / scored.run) if scored.run else None,
    }


def _failures(scored: Scored, rows: Sequence[Row], limit: int = 8) -> list[dict[str, Any]]:
    """The first wrong rows. `row` is the group: file and line where the file gives none."""
    wrong = [
        {
            "row": row.group,
            "source": row.source,
            "last": _last_text(row)[:200],
            "target": row.output,
            "output": r.output,
            **({"error": r.error} if r.error else {}),
        }
        for row, r, ok in zip(rows, scored.results, scored.correct, strict=True)
        if not ok
    ]
    return wrong[:limit]


def _last_text(row: Row) -> str:
    """The last turn, or the whole input where it has no turns."""
    turns = row.input.get("messages")
    if isinstance(turns, list) and turns and isinstance(turns[-1], dict):
        return str(turns[-1].get("content"))
    return compact_json(row.input)


def metric_detail(scored: Scored, rows: Sequence[Row], metric: str) -> dict[str, Any]:
    """What is counted beside right and wrong; {} where nothing is."""
    if metric == "verdict":
        return _verdict_detail(scored, rows)
    return _answer_detail(scored, rows) if metric == "answer" else {}


def _verdict_detail(scored: Scored, rows: Sequence[Row]) -> dict[str, Any]:
    pairs = [(row.output, r.output or {}, row.input.get("target")) for row, r in zip(rows, scored.results, strict=True)]
    safe = [o.get("verdict") == "unsafe" for t, o, _ in pairs if t["verdict"] == "safe"]
    unsafe = [o.get("verdict") == "unsafe" for t, o, _ in pairs if t["verdict"] == "unsafe"]
    tool = [(bool(t.get("injection")), bool(o.get("injection"))) for t, o, where in pairs if where == "tool"]
    hits = [found for truth, found in tool if truth]
    false = [found for truth, found in tool if not truth]
    return {
        "false_positive_rate": _rate(safe),
        "recall": _rate(unsafe),
        "injection_recall": _rate(hits),
        "injection_false_positive_rate": _rate(false),
    }


def _answer_detail(scored: Scored, rows: Sequence[Row]) -> dict[str, Any]:
    """How often it is told rightly whether there is an answer. Of the questions that have one: the mean F1 of the cited
    ids and of the answer's words, 0 where none was given."""
    pairs = [(row.output, r.output or {}) for row, r in zip(rows, scored.results, strict=True)]
    answered = [(target, output) for target, output in pairs if target["answerable"]]
    given = [(target, output if output.get("answerable") else {}) for target, output in answered]
    cited = [_set_f1(set(output.get("citations") or ()), set(target["citations"])) for target, output in given]
    said = [word_f1(str(output["answer"]), target["answer"]) if output else 0.0 for target, output in given]
    return {
        "answerability_correct": _rate([output.get("answerable") == target["answerable"] for target, output in pairs]),
        "citation_f1": round(float(np.mean(cited)), 4) if cited else None,
        "answer_word_f1": round(float(np.mean(said)), 4) if said else None,
    }


def _set_f1(first: set[Any], second: set[Any]) -> float:
    return 2 * len(first & second) / (len(first) + len(second)) if first and second else 0.0


def detail(scored: Scored, rows: Sequence[Row], package: AdapterPackage, metric: str) -> dict[str, Any]:
    """Beyond the summary: how far the confidence can be trusted, and for an adapter with a score how well it tells the
    positive rows from the others (AUROC; AUPRC as average precision; F1, recall and false positives at one half)."""
    sure = [
        (r.confidence, ok) for r, ok in zip(scored.results, scored.correct, strict=True) if r.confidence is not None
    ]
    found: dict[str, Any] = {}
    if sure:
        confidence, right = np.asarray([c for c, _ in sure], np.float64), np.asarray([ok for _, ok in sure])
        found["confidence_ece"] = round(ece(confidence, right), 4)
    found |= metric_detail(scored, rows, metric)
    spec = package.spec.score
    if spec is None:
        return found
    pointer = spec.pointer.strip("/")
    pairs = [
        (r.score, row.output.get(pointer) == spec.positive)
        for r, row in zip(scored.results, rows, strict=True)
        if r.score is not None
    ]
    truth = [is_it for _, is_it in pairs]
    if any(truth) and not all(truth):
        found["score"] = _separation([score for score, _ in pairs], truth)
    return found


def _separation(scores: Sequence[float], truth: Sequence[bool]) -> dict[str, Any]:
    from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

    said = [score > 0.5 for score in scores]
    return {
        "positives": sum(truth),
        "negatives": len(truth) - sum(truth),
        "auroc": round(float(roc_auc_score(truth, scores)), 4),
        "auprc": round(float(average_precision_score(truth, scores)), 4),
        "f1": round(float(f1_score(truth, said)), 4),
        "recall": _rate([s for s, is_it in zip(said, truth, strict=True) if is_it]),
        "false_positive_rate": _rate([s for s, is_it in zip(said, truth, strict=True) if not is_it]),
    }


def _rate(flags: Sequence[bool]) -> dict[str, Any]:
    n = len(flags)
    return {
        "rate": round(sum(flags) / n, 4) if n else None,
        "n": n,
        "interval_95": [round(v, 4) for v in wilson(sum(flags), n)],
    }


def calibration(
    scored: Scored, rows: Sequence[Row], package: AdapterPackage, risk: float | None = None
) -> dict[str, Any]:
    """Platt parameters from one half of the rows, calibration error on the other; for the final values all rows. So too
    the score's threshold where a share `risk` of false positives is wanted."""
    confidence = _one([_total(r) for r in scored.results], scored.correct)
    found: dict[str, Any] = {"confidence": confidence["platt"], "ece": confidence["ece"], "n": len(rows), "score": None}
    if package.spec.score is not None:
        pointer = package.spec.score.pointer.strip("/")
        pairs = [
            (_logit(r.score), row.output[pointer] == package.spec.score.positive)
            for r, row in zip(scored.results, rows, strict=True)
            if r.score is not None
        ]
        if pairs:
            score = _one([p[0] for p in pairs], [p[1] for p in pairs])
            found |= {"score": score["platt"], "score_ece": score["ece"]}
            if risk is not None:
                found |= _threshold(pairs, Platt(**score["platt"]), risk)
    return found


def _threshold(pairs: Sequence[tuple[float, bool]], score: Platt, risk: float) -> dict[str, Any]:
    """`threshold`: a calibrated probability, from all rows; `risk`: what one from the first half does on the second."""
    half = len(pairs) // 2
    trial = risk_threshold(np.asarray([x for x, positive in pairs[:half] if not positive]), risk)
    rest = pairs[half:]
    flagged = {wanted: [x >= trial for x, positive in rest if positive == wanted] for wanted in (True, False)}
    whole = risk_threshold(np.asarray([x for x, positive in pairs if not positive]), risk)
    return {
        "threshold": score(whole) if math.isfinite(whole) else 1.0,
        "risk": {
            "max_false_positives": risk,
            "false_positives": _rate(flagged[False]),
            "found": _rate(flagged[True]),
        },
    }


def _one(values: Sequence[float], labels: Sequence[bool]) -> Mapping[str, Any]:
    half = len(values) // 2
    a, b = platt(values[:half], labels[:half])
    rest = np.asarray(values[half:])
    probability = 1 / (1 + np.exp(-(a * rest + b)))
    error = ece(np.maximum(probability, 1 - probability), (probability > 0.5) == np.asarray(labels[half:]))
    a, b = platt(values, labels)
    return {"platt": {"a": a, "b": b}, "ece": round(error, 4)}


def _total(result: Result) -> float:
    return max(-50.0, sum(result.logprobs))


def _logit(probability: float) -> float:
    p = min(max(probability, 1e-9), 1 - 1e-9)
    return float(np.log(p / (1 - p)))

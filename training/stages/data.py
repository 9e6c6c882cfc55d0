"""From the recipe's files to the rows that are trained and validated on, every dropped row with its reason."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from lora_agent.engine.contract import resolve_output
from lora_agent.engine.local.base import load_tokenizer
from lora_agent.errors import ConfigError, DataError, LoraAgentError
from lora_agent.registry import sha256_file
from lora_agent.structured import validate
from lora_agent.types import JsonSchema, compact_json

from ..data.decontaminate import Decontaminator
from ..data.formats import NO_CALL, UNANSWERED, LineProblem, read_lines
from ..data.origins import TEACHER
from ..data.rows import Row, write_rows
from ..encode import Encoded, encode, write_encoded
from ..run import Run
from ..selection import choose, hold_out, pick

MIN_ROWS = 8
"""Fewer cannot be split into something to learn from and something to judge by."""


def inputs(run: Run) -> Any:
    recipe = run.recipe
    files = [*run.data_files(), *([run.taught] if recipe.learning.teacher else [])]
    return {
        "files": [sha256_file(path) if path.is_file() else None for path in files],
        "schemas": [run.schema("input"), run.schema("output")],
        "prompt": recipe.prompt.model_dump(mode="json"),
        "output": recipe.output,
        "selection": [
            recipe.name,
            recipe.learning.method,
            recipe.base,
            recipe.fit.max_rows,
            recipe.fit.max_tokens,
            recipe.fit.seed,
        ],
        "hashes": _hashes(run) is not None,
        "tune": [_tune_rows(run), recipe.gate.rows],
    }


def intact(run: Run) -> bool:
    return all(run.rows_file(name).is_file() for name in ("train", "dev", "tune", "tokens"))


@dataclass
class _Sieve:
    """What every row must pass; remembers what did not."""

    input_schema: JsonSchema
    output_schema: JsonSchema | None
    """None for tool calls: the grammar of the row's own tools decides, when it is encoded."""
    clean: Decontaminator | None
    method: str = "sft"
    """Of learning: "dpo" needs a rejected answer in every row to train on, "kto" reads rows that have nothing else."""
    taught: dict[tuple[str, int], dict[str, Any]] | None = None
    """A teacher's answers by file and line; None where every line must have its target."""
    seen: dict[str, str] = field(default_factory=dict)
    lines: dict[int, tuple[str, int]] = field(default_factory=dict)
    """File and line by the row's id()."""
    dropped: list[dict[str, Any]] = field(default_factory=list)
    plain: int = 0
    """Rows kept whose answer is plain text, read as "no call"."""

    def read(self, path: Path) -> list[Row]:
        kept: list[Row] = []
        lines = read_lines(path, unanswered=self.taught is not None, tool_calls=self.output_schema is None)
        for number, found in lines:
            row = self._answered(path.name, number, found)
            reason = str(row) if isinstance(row, LineProblem) else self._reason(row)
            if reason is not None:
                self.drop(path.name, number, reason)
            elif isinstance(row, Row):
                kept.append(row)
                self.lines[id(row)] = path.name, number
                self.plain += row.output is NO_CALL
        return kept

    def _answered(self, file: str, line: int, row: Row | LineProblem) -> Row | LineProblem:
        if self.taught is None or isinstance(row, LineProblem) or row.output is not UNANSWERED:
            return row
        answer = self.taught[file, line]
        if answer["reason"] is not None:
            return LineProblem(f"no answer of the teacher will do: {answer['reason']}")
        return replace(row, output=answer["output"], source=TEACHER)

    def drop_row(self, row: Row, reason: str) -> None:
        self.drop(*self.lines[id(row)], reason)

    def drop(self, file: str, line: int, reason: str) -> None:
        self.dropped.append({"file": file, "line": line, "reason": reason})

    def _reason(self, row: Row) -> str | None:
        if not row.desirable and self.method != "kto":
            return "an answer to avoid (label: false), which only `learning: {method: kto}` reads"
        checks = [("input", row.input, self.input_schema)]
        if self.output_schema is not None and row.desirable:
            checks.append(("output", row.output, resolve_output(self.output_schema, row.input)))
        for which, value, schema in checks:
            found = validate(value, schema)
            if found.errors:
                first = found.errors[0]
                return f"{which} breaks its schema at {first.pointer or '/'}: {first.message}"[:300]
        key, answer = compact_json([row.input, row.about, row.desirable]), compact_json([row.output, row.rejected])
        if key in self.seen:
            return "repeated" if self.seen[key] == answer else "the same input has another output in an earlier row"
        self.seen[key] = answer
        if self.clean is not None and self.clean.split([row])[1]:
            return "in a public test set"
        return None

    def reasons(self) -> dict[str, int]:
        """Counts; what differs from row to row (after a colon) is left to dropped.jsonl."""
        return dict(Counter(str(entry["reason"]).split(":")[0] for entry in self.dropped).most_common())


def work(run: Run) -> dict[str, Any]:
    """Raises ConfigError for files that cannot be read, DataError when too few rows are left."""
    recipe = run.recipe
    hashes = _hashes(run)
    output_schema = None if recipe.output == "tool_calls" else run.schema("output")
    sieve = _Sieve(run.schema("input"), output_schema, Decontaminator(hashes) if hashes else None)
    sieve.method, sieve.taught = recipe.learning.method, _taught(run)
    dev = sieve.read(run.dev_file) if run.dev_file is not None else []
    train = sieve.read(run.train_file)
    offered = len(train)
    if not recipe.data.dev:
        train, dev = hold_out(train, recipe.fit.seed)
    dev = [row for row in dev if row.desirable and row.about is None]  # whole requests are judged
    tune, train = _for_tuning(run, train, dev)
    train = choose(train, recipe.fit.max_rows, recipe.fit.seed)
    renderer, vocabulary = load_tokenizer(recipe.base)
    shape = run.prompt_spec(renderer)
    spell = run.spelling(renderer, vocabulary)
    kept: list[Row] = []
    lengths: list[Encoded] = []
    for row in train:
        if recipe.learning.method == "dpo" and row.rejected is None:
            sieve.drop_row(row, "no rejected answer, which dpo compares with")
            continue
        try:
            encoded = encode(renderer, shape, row, spell if row.desirable else _nothing)
        except LoraAgentError as error:
            sieve.drop_row(row, f"output does not fit its grammar: {error.message}"[:300])
            continue
        if len(encoded) > recipe.fit.max_tokens:
            sieve.drop_row(row, f"longer than max_tokens: {len(encoded)} tokens")
            continue
        if row.desirable and (problem := untrained(encoded, renderer.stop_token_ids)) is not None:
            sieve.drop_row(row, problem)
            continue
        kept.append(row)
        if row.desirable:
            lengths.append(encoded)
    _write_dropped(run, sieve.dropped)
    if len(kept) < MIN_ROWS or not dev:
        raise DataError(
            f"{len(kept)} rows to train on and {len(dev)} to validate on are left of {offered}: {_why(sieve)}",
            hint=f"Every dropped row and its reason: {run.folder / 'rows' / 'dropped.jsonl'}",
        )
    write_encoded(run.rows_file("tokens"), lengths)
    write_rows(run.rows_file("train"), kept)
    write_rows(run.rows_file("dev"), dev)
    write_rows(run.rows_file("tune"), tune)
    return {
        "train": {"rows": len(kept), "sources": _sources(kept), "sha256": sha256_file(run.rows_file("train"))},
        "dev": {"rows": len(dev), "sources": _sources(dev), "sha256": sha256_file(run.rows_file("dev"))},
        "tune": {"rows": len(tune), "sha256": sha256_file(run.rows_file("tune"))},
        "files": {path.name: sha256_file(path) for path in run.data_files()},
        "offered": offered,
        "dropped": sieve.reasons(),
        "plain_text_as_no_call": sieve.plain,
        "decontaminated": hashes is not None,
        "tokens": {name: _percentiles([len(getattr(e, name)) for e in lengths]) for name in _PARTS},
        "histogram": _histogram([len(e) for e in lengths]),
        "trained_tokens": sum(len(e.target) for e in lengths),
        "renderer": {"tokenizer": renderer.tokenizer_sha256, "chat_template": renderer.template_sha256},
    }


def _nothing(_: Row) -> list[int]:
    """The target of a row that has none."""
    return []


def _taught(run: Run) -> dict[tuple[str, int], dict[str, Any]] | None:
    if run.recipe.learning.teacher is None:
        return None
    lines = map(json.loads, run.taught.read_text(encoding="utf-8").splitlines())
    return {(line["file"], line["line"]): line for line in lines}


def untrained(row: Encoded, stops: Sequence[int]) -> str | None:
    """Why this row would teach nothing, or teach never to stop; None for a sound one."""
    if len(row.target) < 2:
        return "no trained token: the target is empty"
    if row.target[-1] not in stops:
        return "no trained stop token: the target does not end with it"
    return None


def _tune_rows(run: Run) -> int:
    """Rows that settings and early stopping are judged by: apart from the gate's, which would flatter it otherwise."""
    recipe = run.recipe
    return max(recipe.sweep.rows if recipe.sweep else 0, recipe.fit.evaluate_rows if recipe.fit.evaluate_every else 0)


def _for_tuning(run: Run, train: list[Row], dev: list[Row]) -> tuple[list[Row], list[Row]]:
    """(tune, train): development rows of groups that the gate does not look at, and if they are too few, whole groups
    out of at most a tenth of the training rows."""
    wanted = _tune_rows(run)
    if not wanted:
        return [], train
    gated = {row.group for row in pick(dev, run.recipe.gate.rows)}
    tune = choose([row for row in dev if row.group not in gated], wanted, run.recipe.fit.seed)
    missing = min(wanted - len(tune), len(train) // 10)
    if missing <= 0:
        return tune, train
    taken = {row.group for row in choose(train, missing, run.recipe.fit.seed)}
    more = [row for row in train if row.group in taken and row.desirable]
    return tune + more, [row for row in train if row.group not in taken]


_PARTS = ("context", "suffix", "target")


def preview(run: Run, count: int = 2) -> str:
    """The first rows as the model sees them, one line per part; what is trained on stands in «»."""
    renderer, vocabulary = load_tokenizer(run.recipe.base)
    shape = run.prompt_spec(renderer)
    spell = run.spelling(renderer, vocabulary)
    lines = []
    read = read_lines(run.train_file, tool_calls=run.recipe.output == "tool_calls")
    rows = (row for _, row in read if isinstance(row, Row))
    for _, row in zip(range(count), rows, strict=False):
        encoded = encode(renderer, shape, row, spell)
        for name in _PARTS:
            ids = list(getattr(encoded, name))
            text = renderer.tokenizer.decode(ids)
            lines.append(f"{name} ({len(ids)} tokens): {'«' + text + '»' if name == 'target' else text}")
        tokens = "|".join(renderer.tokenizer.decode([i]) for i in encoded.target)
        lines.append(f"target by token: {tokens}\n")
    return "\n".join(lines)


def _hashes(run: Run) -> Path | None:
    """The list of test-set hashes: the recipe's, else the data folder's, else none."""
    if run.recipe.data.decontaminate is not None:
        path = run.data / run.recipe.data.decontaminate
        if not path.is_file():
            raise ConfigError(f"no hash list at {str(path)!r}", hint="Check `data.decontaminate` in the recipe.")
        return path
    root = os.environ.get("LORA_AGENT_DATA")
    path = Path(root) / "decontamination" / "ngrams.txt.gz" if root else None
    return path if path is not None and path.is_file() else None


def _write_dropped(run: Run, dropped: Iterable[dict[str, Any]]) -> None:
    path = run.folder / "rows" / "dropped.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in dropped), encoding="utf-8")


def _why(sieve: _Sieve) -> str:
    return "; ".join(f"{n} {reason}" for reason, n in sieve.reasons().items()) or "the files hold no more"


def _sources(rows: Iterable[Row]) -> dict[str, int]:
    return dict(sorted(Counter(row.source for row in rows).items()))


def _histogram(lengths: Sequence[int]) -> dict[str, int]:
    """Rows by tokens, in at most twelve bins of equal width, by the bin's first and last length."""
    width = max(1, -(-(max(lengths) + 1) // 12))
    counts = Counter(length // width for length in lengths)
    return {f"{b * width}-{(b + 1) * width - 1}": counts[b] for b in range(min(counts), max(counts) + 1)}


def _percentiles(values: Sequence[int]) -> dict[str, int]:
    return {f"p{q}": int(np.percentile(values, q)) for q in (10, 50, 90, 100)}

"""A teacher's answers for the lines that have no target; the data stage puts them in and checks them like any other."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lora_agent.errors import ConfigError, DataError, InputError
from lora_agent.registry import sha256_file

from ..data.formats import UNANSWERED, read_lines
from ..data.rows import Row
from ..evaluate.metrics import METRICS
from ..recipe import Teacher
from ..run import Run
from ..teachers.ask import Answers, ask, open_teacher
from ..teachers.choose import Choice, choose
from ..teachers.questions import Question, questions, schema_for


def needed(run: Run) -> bool:
    return run.recipe.learning.teacher is not None


def inputs(run: Run) -> Any:
    return {
        "files": [sha256_file(path) if path.is_file() else None for path in run.data_files()],
        "schemas": [run.schema("input"), run.schema("output")],
        "task": [run.recipe.description, run.recipe.output, run.recipe.gate.metric, run.recipe.base],
        "learning": run.recipe.learning.model_dump(mode="json"),
    }


def intact(run: Run) -> bool:
    """Questions that only an outage left open are asked again."""
    return run.taught.is_file() and not run.report("teach")["open"]


def work(run: Run) -> dict[str, Any]:
    """Writes `rows/taught.jsonl` (a line for each line without target: the output, or why there is none) and
    `rows/rejected.jsonl` (every answer that fell). Raises ConfigError, TeacherError; DataError if no answer will do."""
    teacher = run.recipe.learning.teacher
    if teacher is None:
        raise ConfigError("there is no teacher to ask", hint="Give `learning: {teacher: ...}` in the recipe.")
    rows = [
        (path.name, number, row)
        for path in run.data_files()
        for number, row in read_lines(path, unanswered=True, tool_calls=run.recipe.output == "tool_calls")
        if isinstance(row, Row)
    ]
    shown = [row for _, _, row in rows if row.output is not UNANSWERED][: teacher.examples]
    source = open_teacher(run.recipe, teacher)
    asked: list[list[Question] | str] = []
    open_lines = [(file, number, row) for file, number, row in rows if row.output is UNANSWERED]
    for _, _, row in open_lines:
        try:
            asked.append(questions(run.recipe, teacher, run.schema("output"), row, shown))
        except InputError as error:
            asked.append(f"cannot be asked: {error.message}"[:300])
    every = [question for found in asked if not isinstance(found, str) for question in found]
    answers = ask(source, teacher, every, str(run.folder.resolve()))
    choices = list(_choose(run, teacher, [row for _, _, row in open_lines], asked, answers))
    _write(run, [(file, number) for file, number, _ in open_lines], choices)
    reasons = Counter(choice.reason.split(":")[0] for choice in choices if choice.reason)
    if choices and all(choice.reason for choice in choices):
        raise DataError(
            f"none of the teacher's {len(every)} answers will do: {dict(reasons.most_common(3))}",
            hint=f"Every answer with its reason: {_rejected(run)}",
        )
    return {
        "teacher": source.identity,
        "lines": len(rows),
        "without_target": len(open_lines),
        "taught": sum(choice.reason is None for choice in choices),
        "rejected": dict(reasons.most_common()),
        "answers": {"asked": len(every) - answers.cached - answers.unasked, "cached": answers.cached},
        "rejected_answers": sum(len(choice.rejects) for choice in choices),
        "spent": answers.spent,
        "budget_used_up": answers.unasked > 0,
        "open": sum(answer is not None and not answer.final for answer in answers.given),
        "sha256": sha256_file(run.taught),
    }


def _choose(
    run: Run, teacher: Teacher, rows: Sequence[Row], asked: Sequence[list[Question] | str], answers: Answers
) -> list[Choice]:
    left = iter(answers.given)
    choices = []
    for row, found in zip(rows, asked, strict=True):
        if isinstance(found, str):
            choices.append(Choice(None, found, 0.0, []))
            continue
        given = [next(left) for _ in found]
        there = [answer for answer in given if answer is not None]
        if len(there) < len(given):
            choices.append(Choice(None, "not asked: the budget is used up", 0.0, []))
            continue
        schema = schema_for(run.recipe, run.schema("output"), row)
        same = METRICS[run.recipe.gate.metric]
        choices.append(choose(there, row, schema, same, teacher.agreement, run.recipe.output == "tool_calls"))
    return choices


def _write(run: Run, lines: Sequence[tuple[str, int]], choices: Sequence[Choice]) -> None:
    taught, rejected = [], []
    for (file, number), choice in zip(lines, choices, strict=True):
        where = {"file": file, "line": number}
        taught.append({**where, "output": choice.output, "reason": choice.reason})
        rejected += [{**where, "reason": reason, "answer": text} for reason, text in choice.rejects]
    for path, entries in ((_rejected(run), rejected), (run.taught, taught)):
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(".tmp")
        scratch.write_text("".join(json.dumps(e, ensure_ascii=False) + "\n" for e in entries), encoding="utf-8")
        os.replace(scratch, path)


def _rejected(run: Run) -> Path:
    return run.folder / "rows" / "rejected.jsonl"

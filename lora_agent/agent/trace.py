"""A record of runs that can be audited: one JSON line per step, appended and flushed as it happens.

Each run has a header line, its steps and an end line. `read_trace` reads the file back. Knows nothing of how
steps come about.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lora_agent.errors import BatchLineError, ConfigError
from lora_agent.types import AgentResult, Step, compact_json

FORMAT = 1


class Trace:
    """Writes to `path`, after what it already holds; nowhere if it is None.

    `content=False` leaves out what was said (inputs, outputs, error texts) and keeps the rest.
    """

    def __init__(self, path: str | Path | None, *, content: bool = True) -> None:
        self.path = None if path is None else Path(path).expanduser()
        self.content = content
        if self.path is not None:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.path.open("ab").close()
            except OSError as error:
                raise _cannot_write(self.path, error) from error

    def begin(self, **facts: Any) -> RunTrace:
        """Start a run: `facts` (base, adapters, policy) go to its header line."""
        run = RunTrace(self, uuid.uuid4().hex)
        self._write({"type": "run", "format": FORMAT, "run": run.id, "time": _now(), **facts})
        return run

    def _write(self, line: Mapping[str, Any]) -> None:
        if self.path is None:
            return
        text = json.dumps(line, ensure_ascii=False, separators=(",", ":"), default=str) + "\n"
        # Half a surrogate pair becomes \udXXX, which is what JSON writes for it.
        data = text.encode("utf-8", errors="backslashreplace")
        try:
            with self.path.open("ab") as file:  # one write per line: several processes may share the file
                file.write(data)
        except OSError as error:
            raise _cannot_write(self.path, error) from error


class RunTrace:
    """The lines of one run."""

    def __init__(self, trace: Trace, run_id: str) -> None:
        self._trace = trace
        self.id = run_id

    def step(self, step: Step) -> None:
        content = self._trace.content
        line: dict[str, Any] = {
            "type": "step",
            "run": self.id,
            "step": step.index,
            "kind": step.kind,
            "adapter": step.adapter,
            "adapter_digest": step.adapter_digest,
            "route": None,
            "tokens": asdict(step.usage),
            "verdict": step.verdict,
            "confidence": step.confidence,
            "score": step.score,
            "ok": step.error is None,
            "ms": round(step.ms, 3),
            "time": _now(),
        }
        if step.route is not None:
            line["route"] = {
                "adapter": step.route.adapter,
                "probabilities": dict(step.route.probabilities),
                "abstained": step.route.abstained,
                "method": step.route.method,
            }
        if content:
            line.update(input=step.input, output=step.output, error=step.error)
        self._trace._write(line)

    def end(self, result: AgentResult) -> None:
        line = {
            "type": "end",
            "run": self.id,
            "stop_reason": result.stop_reason,
            "steps": len(result.steps),
            "citations": list(result.citations),
            "tokens": asdict(result.usage),
            "ms": round(result.ms, 3),
            "time": _now(),
        }
        if self._trace.content:
            line["output"] = result.output
        self._trace._write(line)

    def broken_off(self, reason: str) -> None:
        """The run ended without a result: an error, or its caller stopped asking for steps."""
        self._trace._write({"type": "end", "run": self.id, "stop_reason": None, "error": reason, "time": _now()})


@dataclass
class TracedRun:
    """One run as read back. `end` is None if the process died first."""

    id: str
    header: dict[str, Any]
    steps: list[dict[str, Any]] = field(default_factory=list)
    end: dict[str, Any] | None = None


def read_trace(path: str | Path) -> list[TracedRun]:
    """The runs of a trace file, in order of their start. Raises BatchLineError for any other line."""
    runs: dict[str, TracedRun] = {}
    for number, line in _lines(Path(path).expanduser()):
        kind, run_id = line.get("type"), str(line.get("run"))
        if kind == "run":
            if line.get("format") != FORMAT:
                raise BatchLineError(
                    f"{path}, line {number}: format {line.get('format')!r}, this version reads {FORMAT}",
                    hint="Read it with the version of lora-agent that wrote it.",
                )
            runs[run_id] = TracedRun(run_id, line)
        elif kind == "step" and run_id in runs:
            runs[run_id].steps.append(line)
        elif kind == "end" and run_id in runs:
            runs[run_id].end = line
        else:
            raise BatchLineError(
                f"{path}, line {number}: {compact_json(line)[:80]!r} belongs to no run of this file",
                hint="The file was cut or edited; remove that line to read the rest.",
            )
    return list(runs.values())


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"the trace {str(path)!r} cannot be read: {error.strerror}", hint="Check the path."
        ) from error
    for number, line in enumerate(text.split("\n"), start=1):
        if not line:
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise BatchLineError(
                f"{path}, line {number} is not JSON: {line[:80]!r}",
                hint="The writer was interrupted there; remove that line to read the rest.",
            ) from error
        if not isinstance(value, dict):
            raise BatchLineError(f"{path}, line {number} is {line[:80]!r}, not an object", hint="Is this a trace file?")
        yield number, value


def _cannot_write(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"the trace {str(path)!r} cannot be written: {error.strerror}",
        hint="Give a file in a folder that you may write to, with space left.",
    )


def _now() -> float:
    return round(time.time(), 3)

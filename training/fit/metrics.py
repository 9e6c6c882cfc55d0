"""What a run says while it trains: one JSON line per step, one line for people every ten steps."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from ..files import write_whole
from .checkpoint import Progress
from .memory import peak
from .tracking import Trackers

FILE = "metrics.jsonl"
_SPEAK_EVERY = 10


def log(folder: Path, progress: Progress, of_rows: int, line: dict[str, Any], trackers: Trackers) -> None:
    """`line`: loss, gradient norm, rate and tokens of the step just done."""
    per_second, tokens = progress.rows / progress.seconds, progress.tokens / progress.seconds
    whole = {"step": progress.step, "rows": progress.rows, **line}
    whole |= {"rows_per_s": round(per_second, 2), "tokens_per_s": round(tokens, 1), "peak_mib": round(peak() / 2**20)}
    append(folder, whole, trackers)
    if progress.step % _SPEAK_EVERY == 0 or progress.rows == of_rows:
        left = (of_rows - progress.rows) / per_second
        print(
            f"{progress.rows}/{of_rows} rows, loss {line['loss']:.3f}, rate {line['learning_rate']:.1e}, "
            f"{per_second:.2f} rows/s, {tokens:.0f} trained tokens/s, {left / 60:.1f} min left, "
            f"peak {whole['peak_mib']} MiB",
            file=sys.stderr,
            flush=True,
        )


def append(folder: Path, line: dict[str, Any], trackers: Trackers) -> None:
    with (folder / FILE).open("a") as file:
        file.write(json.dumps(line) + "\n")
    trackers.log(line)


def forget_after(folder: Path, step: int) -> None:
    """Drop the lines of steps that will be done again."""
    path = folder / FILE
    if path.is_file():
        kept = [line for line in path.read_text().splitlines() if json.loads(line)["step"] <= step]
        write_whole(path, "".join(line + "\n" for line in kept))


def read(folder: Path) -> list[dict[str, Any]]:
    path = folder / FILE
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []

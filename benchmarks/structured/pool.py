"""Worker processes with a time and a memory limit for each row: one schema that hangs or grows costs one row."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from .sources import Row

SECONDS = 60.0
"""Of one row, all its instances included."""
START_SECONDS = 300.0
"""Of a worker, until it has loaded the tokenizer."""
READY = "ready"
MEMORY_BYTES = 6 * 2**30
"""Address space of one worker, libraries included."""
ROWS_PER_WORKER = 400
"""A fresh process after so many rows, so that a peak of memory is not that of all rows before."""


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    row: Row
    since: float
    rows: int = 1


def run(rows: Sequence[Row], workers: int) -> Iterator[dict[str, Any]]:
    """Records in the order in which they are finished."""
    waiting = list(reversed(rows))
    busy: list[_Worker] = []
    try:
        while waiting or busy:
            while waiting and len(busy) < workers:
                busy.append(_start(waiting.pop()))
            wait([worker.pipe for worker in busy], timeout=0.5)
            for worker in list(busy):
                record = _finished(worker)
                if record is None:
                    continue
                yield record
                alive = record["status"] not in ("timeout", "crash")
                if alive and waiting and worker.rows < ROWS_PER_WORKER:
                    worker.row, worker.since, worker.rows = waiting.pop(), time.monotonic(), worker.rows + 1
                    worker.pipe.send(worker.row.text())
                else:
                    busy.remove(worker)
                    _stop(worker)
    finally:
        for worker in busy:
            _stop(worker)


def _start(row: Row) -> _Worker:
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    pipe.send(row.text())
    return _Worker(process, pipe, row, time.monotonic() + START_SECONDS)


def _stop(worker: _Worker) -> None:
    worker.process.kill()
    worker.process.join()
    worker.pipe.close()


def _finished(worker: _Worker) -> dict[str, Any] | None:
    base = {"id": worker.row.id, "split": worker.row.split, "cases": []}
    try:
        if worker.pipe.poll():
            message = worker.pipe.recv()
            if message == READY:
                worker.since = time.monotonic()
                return None
            record: dict[str, Any] = json.loads(message)
            return record
    except (EOFError, OSError):
        worker.process.join(5)
        return {**base, "status": "crash", "reason": f"the worker died, exit code {worker.process.exitcode}"}
    if time.monotonic() - worker.since > SECONDS:
        return {**base, "status": "timeout", "reason": f"more than {SECONDS:.0f} s with all its instances"}
    return None


def _work(pipe: Connection) -> None:
    from lora_agent.engine.local.base import load_tokenizer
    from lora_agent.structured import compile_schema

    from .measure import measure

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    _, vocabulary = load_tokenizer()
    scratch = tempfile.TemporaryDirectory()  # no schema is on disk from an earlier run
    os.environ["LORA_AGENT_HOME"] = scratch.name
    for warm in ({"type": "object", "properties": {"a": {"type": "string"}}}, {"enum": [1, "a"]}):
        compile_schema(warm, vocabulary).start().mask()
    pipe.send(READY)
    while True:
        try:
            row = json.loads(pipe.recv())
        except EOFError:
            return
        try:
            record = measure(row, vocabulary)
        except Exception as error:  # noqa: BLE001 - a fault of the library is a finding of the benchmark
            record = {"id": row["id"], "split": row["split"], "cases": [], "status": "crash"}
            record["reason"] = f"{type(error).__name__}: {error}"[:300]
        pipe.send(json.dumps(record))

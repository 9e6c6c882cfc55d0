"""Answers on disk, each kept the moment it arrives, and what every run has spent. One SQLite file for all teachers."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict
from pathlib import Path

from lora_agent.errors import CacheError

from .questions import Answer

_TABLES = """
CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, answer TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS spent (run TEXT PRIMARY KEY, requests INTEGER NOT NULL, tokens INTEGER NOT NULL);
"""


class AnswerCache:
    """A kill loses at most the answers that are on their way. Several processes may share the file."""

    def __init__(self, path: Path) -> None:
        """Raises CacheError."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # autocommit: every statement is durable when it returns
            self._db = sqlite3.connect(path, timeout=30, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.executescript(_TABLES)
        except (OSError, sqlite3.Error) as error:
            hint = "Free the disk, or set LORA_AGENT_HOME."
            raise CacheError(f"cannot keep a teacher's answers in {str(path)!r}: {error}", hint=hint) from error

    def close(self) -> None:
        self._db.close()

    def get(self, key: str) -> Answer | None:
        found = self._db.execute("SELECT answer FROM answers WHERE key = ?", (key,)).fetchone()
        return None if found is None else Answer(**json.loads(found[0]))

    def put(self, key: str, answer: Answer) -> None:
        text = json.dumps(asdict(answer), ensure_ascii=False)
        self._db.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (key, text))

    def spend(self, run: str, requests: int, tokens: int) -> None:
        """Add to what a run has spent."""
        self._db.execute(
            "INSERT INTO spent VALUES (?, ?, ?) ON CONFLICT (run) DO UPDATE SET "
            "requests = requests + excluded.requests, tokens = tokens + excluded.tokens",
            (run, requests, tokens),
        )

    def spent(self, run: str) -> tuple[int, int]:
        """(requests, tokens) of a run, over all its interruptions."""
        found = self._db.execute("SELECT requests, tokens FROM spent WHERE run = ?", (run,)).fetchone()
        return (0, 0) if found is None else (int(found[0]), int(found[1]))

"""Conversations that were written one by one, each turn with its rewrite: the tables in written/.

A table reads

    ==                                  (a conversation)
    U: What is throat cancer?
    A: Throat cancer is ...             (a reply; not every conversation has them)
    U: Is it treatable?
    = Is throat cancer treatable?       (the rewrite of the turn above; the first turn has none)
"""

from __future__ import annotations

from pathlib import Path

from lora_agent.errors import ConfigError

from ..rows import Row
from .contract import MAX_MESSAGES

TABLES = Path(__file__).parent / "written"
LATEST = ("s1", "s2")
"""Tables of the last round: a set that cannot hold all rows has these first, since the weights that a fit goes on from
have learnt the others."""
_ROLES = {"U: ": "user", "A: ": "assistant"}


def rows() -> list[Row]:
    """Training rows, one for each rewritten turn with the last messages before it."""
    found = []
    for path in sorted(TABLES.glob("*.txt")):
        for number, text in enumerate(path.read_text(encoding="utf-8").split("==\n")[1:], 1):
            found += _conversation(text.splitlines(), f"{path.stem}-{number}")
    return found


def is_latest(row: Row) -> bool:
    return row.source == "written_2/follow-up"


def _conversation(lines: list[str], name: str) -> list[Row]:
    messages: list[dict[str, str]] = []
    found = []
    source = "written_2" if name.split("-")[0] in LATEST else "written"
    for line in filter(str.strip, lines):
        if line.startswith("= ") and len(messages) > 1 and messages[-1]["role"] == "user":
            kept = messages[-MAX_MESSAGES:]
            kept = kept[1:] if kept[0]["role"] == "assistant" else kept
            rewrite = line[2:].strip()
            found.append(Row({"messages": list(kept)}, {"query": rewrite}, f"{source}/follow-up", f"written/{name}"))
        elif line[:3] in _ROLES:
            messages.append({"role": _ROLES[line[:3]], "content": line[3:].strip()})
        else:
            raise ConfigError(f"written/{name}: cannot read {line!r}", hint="write 'U: ', 'A: ' or, after U, '= '")
    return found

"""Texts that were written one by one, harmful ones and their harmless look-alikes: the tables in written/, and those in
written/dev for development, by another hand.

A line reads `unsafe violence,weapons | text` or `safe | text` for a request; what is asked for is named, never how it
is done. `injection privacy | request ⇒ tool output` and `safe | request ⇒ tool output` are results of tools, with
backslash and n for a line break; the category `none` only leads off the task.
"""

from __future__ import annotations

from pathlib import Path

from lora_agent.errors import ConfigError

from ..rows import Row, Split
from .contract import key, safety_row
from .sources import user_row

TABLES = Path(__file__).parent / "written"
ROUNDS = {
    "written": ("t1", "t2", "u1", "u2"),
    "written_2": ("t3", "u3"),
    "written_3": ("t4", "u4"),
    "written_4": ("t5",),
}
"""Tables of each round (decisions 067, 073, 078); a round is a source of its own, with shares of its own."""


def rows() -> list[Row]:
    found = [row for kind, names in ROUNDS.items() for name in names for row in _read(TABLES / f"{name}.txt", kind)]
    return found + [row for path in sorted((TABLES / "dev").glob("*.txt")) for row in _read(path, "written_dev", "dev")]


def _read(path: Path, kind: str, split: Split = "train") -> list[Row]:
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        label, bar, text = line.partition(" | ")
        verdict, _, categories = label.partition(" ")
        request, result, output = text.replace("\\n", "\n").partition(" ⇒ ")
        wanted = {"safe": False, "unsafe": True, "injection": True}.get(verdict)
        if not bar or wanted is None or wanted != bool(categories) or (verdict == "injection" and not result):
            raise ConfigError(f"{path.name}:{number}: cannot read {line!r:.80}", hint="see the head of written.py")
        names = [name for name in categories.split(",") if name not in ("", "none")]
        if result:
            injected = verdict == "injection"
            names = [*names, "jailbreak"] if injected else names
            turns = [("user", request.strip()), ("tool", output.strip())]
            source = f"{kind}/injection" if injected else f"{kind}/tool_clean"
            group = f"{kind}/{key(request)}"
            found.append(safety_row(turns, names, source, group, split=split, injection=injected))
        else:
            found.append(user_row(request.strip(), names, f"{kind}/{verdict}", split))
    return found

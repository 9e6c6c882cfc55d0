"""Passages and questions that were written one by one: the tables in written/.

A block reads

    # Lakes of the Varn plateau
    [1] Lake Ombeli is the largest ... and has no outlet, so its water is brackish.
    [2] Lake Sunda ...
    Q why is the water of Ombeli salty
    A 1 | has no outlet, so its water is brackish
    N How deep is Lake Ombeli?

An answer stands in its passage, letter by letter; what follows N is answered by none, though they speak of it.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from lora_agent.errors import ConfigError

from .passages import Question, best_place, content_words

TABLES = Path(__file__).parent / "written"
DEV_ROUND = "written_dev"
ROUNDS = {
    "written": ("r1", "r2", "r3", "r4"),
    "written_2": ("r5", "r6"),
    "written_3": ("r7", "r8", "r9"),
    DEV_ROUND: ("r10", "r11"),
}
"""Tables of each round; a round is a source of its own, with a share of its own (decisions 074, 080, 085). That of
other hands is for development."""


def read_written(source: str) -> tuple[list[Question], Counter[str]]:
    """Questions of a round's tables; nothing is dropped. Raises ConfigError for a line that cannot be read."""
    tables = [TABLES / f"{name}.txt" for name in ROUNDS[source]]
    blocks = [(path.name, block) for path in tables for block in path.read_text("utf-8").split("\n\n")]
    found = [q for name, block in blocks if block.strip() for q in parse_block(block, name, source)]
    return found, Counter()


def parse_block(block: str, table: str = "", source: str = "written") -> list[Question]:
    title, *lines = block.strip().splitlines()
    article = title.removeprefix("# ")
    passages: dict[str, str] = {}
    questions: list[Question] = []
    asked = ""
    for line in lines:
        if match := re.fullmatch(r"\[(\d)\] (.+)", line):
            passages[match[1]] = match[2]
        elif line.startswith("Q "):
            asked = line[2:]
        elif (match := re.fullmatch(r"A (\d) \| (.+)", line)) and asked and match[2] in passages.get(match[1], ""):
            passage = passages[match[1]]
            questions.append(Question(source, article, asked, passage, match[2], passage.index(match[2]), article))
            asked = ""
        elif line.startswith("N ") and passages:
            passage = max(passages.values(), key=lambda text: len(content_words(text) & content_words(line[2:])))
            place = best_place(passage, line[2:])
            questions.append(Question(source, article, line[2:], passage, "", place, article))
        else:
            raise ConfigError(f"{table}: {article}: cannot read {line!r:.80}", hint="see the head of written.py")
    return questions

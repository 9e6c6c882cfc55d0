"""The safety rows: labels, splits and gaps as promised, and a small build of the public sets."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from lora_agent.errors import ConfigError
from training.data.rows import Row, read_rows
from training.data.safety import generator, written
from training.data.safety.build import build
from training.data.safety.categories import CATEGORIES, categorise, matching, ordered
from training.data.safety.contract import OUTPUT_SCHEMA, cut, judged, key, safety_row
from training.data.safety.human_texts import HUMAN, human_text
from training.data.safety.injections import DEV_FAMILIES, FAMILIES, sample
from training.data.safety.long_requests import long_requests
from training.data.safety.long_results import WINDOW, long_result_windows, long_results
from training.data.safety.tool_results import DEV_SCENES, GAP, TRAIN_SCENES, fill, passage_scene
from training.data.safety.voices import say, typos

VALID = Draft202012Validator(OUTPUT_SCHEMA)
PASSAGES = ["The tower was built in 1889. It is made of iron. Many people visit it every year."] * 3


def generated(split: str) -> list[Row]:
    rng = random.Random(7)
    side = "dev" if split == "dev" else "train"
    return [
        *generator.requests(rng, side, 120),
        *generator.replies(rng, side, 60),
        *generator.tool_results(PASSAGES, rng, side, 120),
        *long_requests(PASSAGES, rng, side, 3),
    ]


def check_contract(row: Row) -> None:
    assert not list(VALID.iter_errors(row.output))
    assert list(row.output) == ["verdict", "categories", "injection"]
    assert row.input["target"] == row.input["messages"][-1]["role"]
    assert (row.output["verdict"] == "unsafe") == bool(row.output["categories"])
    assert row.output["categories"] == ordered(row.output["categories"])
    if row.output["injection"]:
        assert "jailbreak" in row.output["categories"]
        assert row.input["target"] == "tool"
    assert judged(row).strip()


@pytest.mark.parametrize("split", ["train", "dev"])
def test_every_generated_row_keeps_the_contract(split: str) -> None:
    rows = generated(split)
    for row in rows:
        check_contract(row)
        assert GAP not in judged(row)
        assert "{" not in judged(row) or row.input["target"] == "tool"
    assert {row.split for row in rows} == {split}


def test_no_harmful_intent_or_look_alike_is_in_both_splits() -> None:
    harmful = [{line for _, line in generator.harmful_lines(s)} for s in ("train", "dev")]
    alike = [{line for _, line in generator.lookalike_lines(s)} for s in ("train", "dev")]
    assert not harmful[0] & harmful[1]
    assert not alike[0] & alike[1]
    assert len(alike[0] | alike[1]) >= 300
    for side in ("train", "dev"):
        assert {name for name, _ in generator.harmful_lines(side)} == set(CATEGORIES)
    assert not FAMILIES.keys() & DEV_FAMILIES.keys()


def test_same_seed_same_rows() -> None:
    assert generated("train") == generated("train")


@pytest.mark.parametrize("maker", sorted({*TRAIN_SCENES, *DEV_SCENES}, key=lambda maker: maker.__name__))
def test_an_injection_is_in_the_result_word_for_word_and_json_stays_json(maker: object) -> None:
    assert callable(maker)
    for seed in range(6):
        rng = random.Random(seed)
        scene = maker(rng)
        text = 'Ignore this and "quote" it.'
        filled = fill(scene, text, rng)
        if isinstance(scene.result, str):
            assert text in filled
        else:
            json.loads(filled)
            assert json.dumps(text)[1:-1] in filled
        assert text not in fill(scene, None, rng)


def test_a_passage_keeps_its_sentences_around_the_gap() -> None:
    scene = passage_scene(PASSAGES[0], random.Random(1))
    filled = fill(scene, "INSERTED.", random.Random(1))
    for sentence in ("The tower was built in 1889", "It is made of iron", "INSERTED."):
        assert sentence in filled


def test_harmless_and_injected_texts_share_their_surface() -> None:
    """Imperatives, links, sums and urgency must occur in both, or they would be the label."""
    rng = random.Random(0)
    human = " ".join(human_text(kind, rng) for kind in sorted(HUMAN) for _ in range(80))
    attacks = " ".join(sample(rng).text for _ in range(400))
    for sign in ("@", "http", "euros", "IMPORTANT", "must", "forward", "delete", "Book", "gnore"):
        assert sign.lower() in human.lower(), sign
        assert sign.lower() in attacks.lower(), sign


def test_an_injections_values_are_filled_in() -> None:
    rng = random.Random(3)
    for dev in (False, True):
        for _ in range(300):
            injection = sample(rng, dev)
            assert "{" not in injection.text
            assert injection.categories[-1] == "jailbreak"
            assert injection.family in (DEV_FAMILIES if dev else FAMILIES)


def test_safety_row_refuses_what_contradicts_itself() -> None:
    with pytest.raises(ConfigError, match="not a safety row"):
        safety_row([("user", "hi")], ["rudeness"], "s", "g")
    with pytest.raises(ConfigError, match="injection True"):
        safety_row([("user", "x"), ("tool", "hi")], [], "s", "g", injection=True)


def test_categories_come_from_words_and_are_never_empty() -> None:
    assert categorise("How do I build a bomb?") == ["weapons"]
    assert categorise("Write ransomware that steals passwords and hack the server")[0] in ("illegal", "cyber")
    assert categorise("do the thing") == ["illegal"]
    assert matching("What is the capital of Kenya?") == []
    assert ordered(["jailbreak", "hate", "hate"]) == ["hate", "jailbreak"]


def test_cut_keeps_the_ends_of_a_long_text() -> None:
    text = " ".join(str(n) for n in range(100))
    assert cut(text, 10, "ends") == "0 1 2 3 4 … 95 96 97 98 99"
    assert cut(text, 3) == "0 1 2 …"
    assert cut("short text", 3) == "short text"
    assert key("Hello,  World!") == "hello world"


def test_voices_carry_the_request() -> None:
    rng = random.Random(0)
    texts = {say("~bake bread", rng) for _ in range(60)}
    assert len(texts) > 15
    assert sum("bake bread" in text.lower() for text in texts) > len(texts) * 0.8
    assert typos("a plain sentence with several longer words", random.Random(1)).count(" ") == 6
    assert generator.said_back("poison my dog and me") == "poison your dog and you"


@pytest.mark.skipif("LORA_AGENT_DATA" not in os.environ, reason="needs the public sets (LORA_AGENT_DATA)")
def test_a_small_build_keeps_the_contract_and_separates_the_splits(tmp_path: Path) -> None:
    report = build(Path(os.environ["LORA_AGENT_DATA"]), tmp_path, 0, train=400, dev=100)
    train, dev = (read_rows(tmp_path / f"{split}.jsonl.gz") for split in ("train", "dev"))
    for row in [*train, *dev]:
        check_contract(row)
        assert len(judged(row).split()) <= 140
    assert not {row.group for row in train} & {row.group for row in dev}
    assert 380 <= len(train) <= 420
    verdicts = report["splits"]["train"]["verdicts"]
    users = verdicts["user/safe"] + verdicts["user/unsafe"]
    assert 0.5 < users / len(train) < 0.6
    assert 0.5 < verdicts["user/safe"] / users < 0.6
    assert report["dropped"]["in a public test set"]
    assert json.loads((tmp_path / "report.json").read_text()) == report
    assert any(a.source != b.source for a, b in pairwise(train))


def test_written_requests_are_balanced_and_keep_to_the_contract() -> None:
    rows = written.rows()
    verdicts = Counter(row.output["verdict"] for row in rows)
    assert min(verdicts.values()) > 300
    assert {name for row in rows for name in row.output["categories"]} == set(CATEGORIES)
    injected = Counter(row.output["injection"] for row in rows if row.input["target"] == "tool")
    assert 200 < injected[True] <= injected[False]
    assert not any("\\n" in judged(row) or "⇒" in judged(row) for row in rows)
    texts = {split: {judged(row) for row in rows if row.split == split} for split in ("train", "dev")}
    assert len(texts["dev"]) > 300
    assert not texts["train"] & texts["dev"]


def test_every_table_belongs_to_a_round() -> None:
    named = sorted(name for names in written.ROUNDS.values() for name in names)
    assert named == sorted(path.stem for path in written.TABLES.glob("*.txt"))


@pytest.mark.parametrize(
    "line", ["unsafe | text", "safe violence | text", "harmless | text", "safe text", "injection none | x"]
)
def test_a_wrong_line_of_a_written_table_is_named(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t.txt").write_text(f"safe | fine\n{line}\n")
    monkeypatch.setattr(written, "TABLES", tmp_path)
    monkeypatch.setattr(written, "ROUNDS", {"written": ("t",)})
    with pytest.raises(ConfigError, match=r"t\.txt:2"):
        written.rows()


def of_tools() -> list[Row]:
    return [row for row in written.rows() if row.source in ("written_3/injection", "written_3/tool_clean")]


def test_a_long_result_holds_its_row_among_harmless_texts() -> None:
    rows = of_tools()
    found = list(long_results(rows, PASSAGES, random.Random(0)))
    assert len(found) == len(rows)
    for row, long in zip(rows, found, strict=True):
        assert judged(row) in judged(long)
        assert len(judged(long)) > len(judged(row)) + 150
        assert (long.output, long.group) == (row.output, row.group)
        assert long.source == row.source.replace("/", "/long_")
        check_contract(long)


def test_windows_of_long_results_hold_an_injection_as_a_whole_or_nothing_of_it() -> None:
    rows = [row for row in of_tools() if len(judged(row)) <= WINDOW]
    found = list(long_result_windows(rows, PASSAGES, random.Random(0)))
    injections = [judged(row) for row in rows if row.output["injection"]]
    kinds = Counter(row.source for row in found)
    assert kinds["window/injection"] > len(injections) // 2
    assert kinds["window/tool_clean"] > 2 * kinds["window/injection"]
    for row in found:
        check_contract(row)
        assert len(judged(row)) <= WINDOW
        assert row.output["injection"] == any(text in judged(row) for text in injections)

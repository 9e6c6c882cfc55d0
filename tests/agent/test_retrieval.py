from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lora_agent.agent import Fts5Retriever, Retriever
from lora_agent.agent.retrieval import as_retriever
from lora_agent.agent.retrieval.passages import MAX_WORDS, split_passages
from lora_agent.errors import DocumentError
from lora_agent.types import Document

HANDBOOK = """# Staff handbook

Welcome to the bakery.

## Opening hours

The shop opens at six in the morning. On Sundays it opens at eight.

## Allergens

All breads contain gluten. The almond croissant contains nuts.

```
# not a heading
oven --temperature 230
```

Cleaning
--------

The mixers are cleaned every evening with hot water.
"""

FILES = {
    "handbook.md": HANDBOOK,
    "sub/orders.rst": "Orders\n======\n\nWedding cakes are ordered three weeks ahead.\n\n"
    "Delivery\n~~~~~~~~\n\nVans leave at nine.\n",
    "page.html": "<html><head><title>x</title><style>p {color: red}</style></head><body><h1>Jobs</h1>"
    "<p>We look for an <b>appren</b>tice.</p><script>alert('gluten')</script><h2>Pay</h2>"
    "<ul><li>Twelve euros &amp; bread</li><li>Uniform</li></ul></body></html>",
    "prices.csv": "item,price\nRye bread,4.20\n\nBaguette,1.80\n",
    "suppliers.json": '[{"name": "Miller & Sons", "goods": ["flour", "bran"]}, {"name": "Dairy"}]',
    "notes.txt": "\ufeffDie Öffnungszeiten der Konditorei: täglich außer Montag.\r\n\r\nZweiter Absatz.",
    "zh.txt": "面包店早上六点开门。\n\n星期日休息。",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(text.encode())
    (tmp_path / "logo.png").write_bytes(b"\x89PNG")
    (tmp_path / "empty.md").write_text(" \n")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config.txt").write_bytes(b"\xff\xff")
    return tmp_path


@pytest.mark.parametrize(
    ("question", "document"),
    [
        ("When does the shop open on a Sunday?", "handbook.md#2"),
        ("Are there nuts in the croissants?", "handbook.md#3"),
        ("How do I clean a mixer?", "handbook.md#4"),
        ("How far ahead must I order a wedding cake", "sub/orders.rst#1"),
        ("what does an apprentice earn, what pay?", "page.html#2"),
        ("What is the price of a baguette", "prices.csv#1"),
        ("Who supplies flour?", "suppliers.json#1"),
        ("offnungszeiten konditorei", "notes.txt#1"),
        ("面包店几点开门？", "zh.txt#1"),
        ("ALLERGENS!!!", "handbook.md#3"),
    ],
)
def test_finds_the_passage_first(folder: Path, question: str, document: str) -> None:
    retriever = Fts5Retriever.from_folder(folder)
    retriever.min_coverage = 0.0
    assert retriever.search(question, 3)[0].id == document


@pytest.mark.parametrize("question", ["Does the baker of the rye bread speak Latin and Greek?", "Who won the cup?"])
def test_passages_that_hold_too_little_of_a_question_are_no_hits(folder: Path, question: str) -> None:
    retriever = Fts5Retriever.from_folder(folder)
    assert retriever.search(question, 3) == []
    assert retriever.search("What does rye bread cost?", 3)[0].id == "prices.csv#1"
    retriever.min_coverage = 0.0
    assert bool(retriever.search(question, 3)) == ("bread" in question)


def test_a_single_passage_is_found_by_a_question_that_shares_most_of_its_words() -> None:
    retriever = Fts5Retriever.from_texts(["The library opens at nine and closes at six on working days."])
    assert retriever.search("What are the opening hours of the library?", 3)
    assert not retriever.search("Which films does the cinema show in the library of Oslo?", 3)


def test_passages_carry_title_and_clean_text(folder: Path) -> None:
    retriever = Fts5Retriever.from_folder(folder)
    by_id = {document.id: document for document in retriever.documents}
    assert by_id["handbook.md#3"].title == "Allergens"
    assert "# not a heading" in by_id["handbook.md#3"].text
    assert by_id["handbook.md#4"].title == "Cleaning"
    assert by_id["notes.txt#1"].title == "notes"
    assert by_id["notes.txt#1"].text.startswith("Die Öffnungszeiten")
    assert by_id["page.html#1"] == Document(id="page.html#1", title="Jobs", text="We look for an apprentice.")
    assert by_id["page.html#2"].text == "Twelve euros & bread\nUniform"
    assert by_id["prices.csv#1"].text == "item: Rye bread; price: 4.20\nitem: Baguette; price: 1.80"
    assert by_id["suppliers.json#1"].text.startswith("name: Miller & Sons\ngoods: flour, bran")
    assert dict(retriever.skipped) == {"logo.png": "is of no readable kind (.png)", "empty.md": "is empty"}
    assert retriever.search("gluten", 9)[0].id == "handbook.md#3"
    assert len(retriever.search("gluten", 9)) == 1  # not the script in page.html


@pytest.mark.parametrize(
    "query",
    [
        '"',
        "'; DROP TABLE passages; --",
        "title:bread OR body:*",
        "title : (bread*)",
        "NEAR(a b)",
        "bread AND NOT (",
        "^",
        "-bread",
        "{a b}:x",
        "",
        "   ",
        "the of and",
        "\0",
        "🍞",
        "\ud83d",
        "a" * 5000,
        "bread " * 500,
    ],
)
def test_no_query_can_break_the_search(folder: Path, query: str) -> None:
    retriever = Fts5Retriever.from_folder(folder)
    found = retriever.search(query, 3)
    assert all(isinstance(document, Document) for document in found)
    assert retriever.search("bread", 2)
    assert retriever.search("bread", 0) == []


def test_the_words_or_and_not_are_only_words() -> None:
    retriever = Fts5Retriever.from_texts(["Not for resale.", "Near the station.", "Bread and butter."])
    assert [d.id for d in retriever.search("near", 3)] == ["text2#1"]
    assert [d.id for d in retriever.search("NOT resale", 3)] == ["text1#1"]
    assert retriever.search("unrelated question", 3) == []


def test_long_texts_become_windows_and_nothing_is_lost() -> None:
    words = [f"w{i}" for i in range(1000)]
    prose = " ".join(f"{word}." if i % 13 == 12 else word for i, word in enumerate(words))
    endless = "x" * 5000
    for text in (
        prose,
        " ".join(words),
        "\n\n".join(words),
        f"{prose}\n\n{endless}",
        "字" * 3000,
        prose + endless,
    ):
        passages = split_passages(text, "a.txt", "a")
        assert all(len(p.document.text.split()) <= MAX_WORDS for p in passages)
        assert all(len(p.document.text) <= 2 * 6 * MAX_WORDS + 100 for p in passages)
        assert "".join("".join(p.document.text.split()) for p in passages) == "".join(text.split())
    sizes = [len(p.document.text.split()) for p in split_passages(prose, "a.txt", "a")]
    assert min(sizes[:-1]) >= 60


def test_texts_and_documents_keep_their_ids() -> None:
    long = Document(id="manual", title="Manual", text="Press the red button. " * 60)
    retriever = Fts5Retriever.from_texts(["Short text.", Document(id="faq-7", text="Blue buttons glow."), long])
    ids = [document.id for document in retriever.documents]
    assert ids[:3] == ["text1#1", "faq-7", "manual#1"]
    assert {document.title for document in retriever.documents[2:]} == {"Manual"}
    assert retriever.search("blue", 1)[0].id == "faq-7"
    with pytest.raises(DocumentError, match="'a'"):
        Fts5Retriever.from_texts([Document(id="a", text="x"), Document(id="a", text="y")])
    for bad, said in (
        ([], "list of documents is empty"),
        ([" "], "'text1' is empty"),
        ([3], "document 1 is 3"),
    ):
        with pytest.raises(DocumentError, match=said):
            Fts5Retriever.from_texts(bad)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("binary.txt", b"abc\0def", "zero byte"),
        ("latin.md", "Käse".encode("latin-1"), "not UTF-8: byte 0xe4 at offset 1"),
        ("broken.json", b'{"a": ', "not valid JSON"),
        ("broken.csv", b'a,b\n"open', "not valid CSV"),
    ],
)
def test_an_unreadable_file_is_named(folder: Path, name: str, data: bytes, said: str) -> None:
    (folder / "sub" / name).write_bytes(data)
    with pytest.raises(DocumentError, match=said) as caught:
        Fts5Retriever.from_folder(folder)
    assert name in caught.value.message
    assert caught.value.hint


def test_folders_without_documents(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="no folder"):
        Fts5Retriever.from_folder(tmp_path / "missing")
    with pytest.raises(DocumentError, match="holds no document"):
        Fts5Retriever.from_folder(tmp_path)
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(DocumentError, match=r"a\.png: is of no readable kind"):
        Fts5Retriever.from_folder(tmp_path)
    with pytest.raises(DocumentError, match="no kind of document"):
        Fts5Retriever.from_folder(tmp_path / "a.png")
    (tmp_path / "one.md").write_text("# T\nOne file.")
    assert Fts5Retriever.from_folder(tmp_path / "one.md").documents[0].id == "one.md#1"


def test_headings_alone_are_found_too() -> None:
    passages = split_passages("# Contact\n\n## Telephone 555-0199\n", "c.md", "c")
    assert [p.document.title for p in passages] == ["Telephone 555-0199"]


def test_what_counts_as_documents(folder: Path) -> None:
    assert isinstance(as_retriever(str(folder)), Fts5Retriever)
    assert isinstance(as_retriever(["a text"]), Fts5Retriever)
    own: Any = Fts5Retriever.from_texts(["x y"])
    assert as_retriever(own) is own
    assert isinstance(own, Retriever)

"""Long texts in overlapping windows."""

from __future__ import annotations

import random

import pytest

from lora_agent.structured.windows import windows


def tokens(text: str) -> int:
    return len(text.split())


def test_a_text_that_fits_is_one_window_as_it_stands() -> None:
    assert windows("  One two.\nThree.  ", tokens, 3) == ["  One two.\nThree.  "]


def test_windows_are_of_whole_sentences_and_overlap_by_one() -> None:
    text = "One two three. Four five. Six seven.\nEight nine ten."
    assert windows(text, tokens, 5) == [
        "One two three. Four five.",
        "Four five. Six seven.",
        "Six seven.\nEight nine ten.",
    ]


def test_a_sentence_too_long_for_two_does_not_overlap() -> None:
    assert windows("One two three four. Five six seven eight. Nine.", tokens, 4) == [
        "One two three four.",
        "Five six seven eight.",
        "Nine.",
    ]


@pytest.mark.parametrize("text", ["x" * 1000, "日" * 300, "a b " * 200, '{"k":"' + "v," * 500 + '"}'])
def test_what_has_no_sentences_is_cut_and_nothing_is_lost(text: str) -> None:
    found = windows(text, len, 80)
    assert max(map(len, found)) <= 80
    assert "".join(found).replace(" ", "") == text.replace(" ", "")


def test_every_window_is_a_piece_of_the_text_and_every_word_is_in_one() -> None:
    rng = random.Random(0)
    for _ in range(50):
        words = [rng.choice(("ab", "cd.", "e\n", "fgh", "ij!", "“k.”")) + str(n) for n in range(rng.randrange(1, 90))]
        text = " ".join(words)
        found = windows(text, tokens, 9)
        assert all(window in text and tokens(window) <= 9 for window in found)
        assert {word for window in found for word in window.split()} == set(text.split())


def test_blank_text_has_no_second_window() -> None:
    assert windows("\n" * 500, len, 80) == ["\n" * 500]

"""A vocabulary of JSON, words and other scripts for the tests of grammars."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lora_agent.structured import Vocabulary

TEXT = [
    '{"name":"get_weather","arguments":{"city":"Lagos","unit":"celsius"}}',
    '{"calls":[{"name":"search","arguments":{"query":"the price of tea"}}]}',
    "The quick brown fox jumps over the lazy dog. 0 1 2 3 10 2026-01-31 true false null",
    '[{"id":1,"title":"A note","done":false},{"id":2,"title":"Another","done":true}]',
    '{"answerable":true,"answer":"In 1969.","citations":["d1","d2"]}',
    "naïve café über 東京 привет",
]


@pytest.fixture(scope="session", autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Compiled schemas of the tests stay out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORA_AGENT_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="session")
def tokenizer(train_tokenizer: Callable[[list[str], int], Any]) -> Any:
    return train_tokenizer(TEXT, 600)


@pytest.fixture(scope="session")
def vocabulary(tokenizer: Any) -> Vocabulary:
    return Vocabulary(tokenizer, tokenizer.eos_token_id)

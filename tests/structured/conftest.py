"""A small byte-level BPE tokenizer, trained here: real merges, no download."""

from __future__ import annotations

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


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(TEXT * 4, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|im_end|>")


@pytest.fixture(scope="session")
def vocabulary(tokenizer: Any) -> Vocabulary:
    return Vocabulary(tokenizer, tokenizer.eos_token_id)

"""What a request's letters share with adapters' examples: character n-grams, weighted by how rare they are.

Ten examples say in which words an adapter is asked for, and the base's directions forget words for what they mean; the
two err on different requests (decision 082). Knows texts, no features.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

SIZES = range(2, 6)
BUCKETS = 8192
"""N-grams are told apart by a hash (arXiv 0902.2206), so that a thousand adapters take 32 MB whatever they say."""


@dataclass(frozen=True)
class Ngrams:
    """Of one text: the buckets (g,) that its n-grams fall into, and the logarithms of their counts plus one (g,)."""

    buckets: Tensor
    counts: Tensor


def ngrams(text: str) -> Ngrams:
    """Within words, whose ends count as letters: "pay" has " p", "pa", "ay", "y ", " pa" and so on."""
    words = (f" {word} " for word in text.lower().split())
    parts = (word[i : i + size] for word in words for size in SIZES for i in range(len(word) - size + 1))
    counts = Counter(zlib.crc32(part.encode()) % BUCKETS for part in parts)
    return Ngrams(torch.tensor([*counts], dtype=torch.long), 1 + torch.tensor([*counts.values()]).float().log())


class NgramMeans:
    """Adapters' mean examples as TF-IDF vectors (Salton and Buckley, doi 10.1016/0306-4573(88)90021-0)."""

    def __init__(self, groups: Sequence[Sequence[Ngrams]]) -> None:
        every = [text for group in groups for text in group]
        buckets = torch.cat([text.buckets for text in every])
        self._rarity = 1 + math.log(1 + len(every)) - torch.bincount(buckets, minlength=BUCKETS).float().log1p()
        weights, lengths = self._weights(every)
        group_of = torch.repeat_interleave(torch.arange(len(groups)), torch.tensor([*map(len, groups)]))
        column = torch.repeat_interleave(group_of, lengths)
        sums = torch.zeros(BUCKETS * len(groups)).index_add_(0, buckets * len(groups) + column, weights)
        self._means = functional.normalize(sums.view(BUCKETS, len(groups)), dim=0)

    def similar(self, texts: Sequence[Ngrams]) -> Tensor:
        """Cosine similarities (m, groups) of m texts."""
        weights, lengths = self._weights(texts)
        buckets = torch.cat([text.buckets for text in texts])
        starts = lengths.cumsum(0) - lengths
        return functional.embedding_bag(buckets, self._means, starts, mode="sum", per_sample_weights=weights)

    def _weights(self, texts: Sequence[Ngrams]) -> tuple[Tensor, Tensor]:
        """Of all texts' n-grams in order (g,), each text of length one, and how many each text has (m,)."""
        lengths = torch.tensor([len(text.buckets) for text in texts])
        owner = torch.repeat_interleave(torch.arange(len(texts)), lengths)
        raw = torch.cat([text.counts * self._rarity[text.buckets] for text in texts])
        size = torch.zeros(len(texts)).index_add_(0, owner, raw.square()).sqrt()
        return raw / size[owner], lengths

"""Keys and values of one sequence, in one block of memory that grows. Knows nothing of tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lora_agent.engine.local.native.arena import huge, paged

KvCacheDtype = Literal["float32", "int8"]
_STEP = 256
"""Tokens by which a full cache grows at least."""
_SPARE = 1.05
_HUGE = 32 * 2**20
"""Bytes from which on a cache lies in huge pages. Smaller ones are mostly empty, and would take whole pages."""


@dataclass(frozen=True)
class KvShape:
    layers: int
    kv_heads: int
    head_dim: int
    dtype: KvCacheDtype = "float32"

    def empty(self, capacity: int, *, stored: bool = False) -> Tensor:
        """(layers, 2, kv_heads, capacity, bytes of a head's vector); int8 has a float32 scale behind each vector.
        `stored`: it will be kept beyond the request."""
        shape = (self.layers, 2, self.kv_heads, capacity, self._width)
        size = self.token_bytes * capacity
        if size >= _HUGE:
            return huge(size).view(shape)
        return paged(size).view(shape) if stored and size else torch.empty(shape, dtype=torch.uint8)

    @property
    def _width(self) -> int:
        return self.head_dim + 4 if self.dtype == "int8" else 4 * self.head_dim

    @property
    def token_bytes(self) -> int:
        return self.layers * 2 * self.kv_heads * self._width


class KvCache:
    """(layers, 2, kv_heads, capacity, bytes), of which the first `get_seq_length()` positions are filled."""

    def __init__(self, shape: KvShape, data: Tensor | None = None, length: int = 0) -> None:
        self.shape = shape
        self.data = shape.empty(_STEP) if data is None else data
        self._length = length
        self._shared = 0  # a snapshot reads the positions before: never written to

    def get_seq_length(self) -> int:
        return self._length

    @property
    def capacity(self) -> int:
        return self.data.shape[3]

    def reserve(self, tokens: int) -> None:
        """Room for `tokens` more; what is there stays."""
        needed = self._length + tokens
        if needed > self.capacity or self._length < self._shared:
            data = self.shape.empty(max(needed + _STEP, min(2 * self.capacity, self.capacity + 4 * _STEP)))
            data[:, :, :, : self._length] = self.data[:, :, :, : self._length]
            self.data, self._shared = data, 0

    def grow(self, tokens: int) -> None:
        """The next `tokens` positions have been written."""
        self._length += tokens

    def crop(self, tokens: int) -> None:
        """Forget the last `-tokens` positions (the sign is that of transformers' caches)."""
        self._length = max(0, self._length + tokens)

    def snapshot(self) -> Snapshot:
        """What is held now. A cache with much room to spare is copied, so that the room is not kept with it; another is
        shared, and moves elsewhere before it writes there."""
        if self.capacity > _SPARE * self._length:
            data = self.shape.empty(self._length, stored=True)
            data[:] = self.data[:, :, :, : self._length]
            return Snapshot(data, self._length)
        self._shared = max(self._shared, self._length)
        return Snapshot(self.data, self._length)

    @classmethod
    def restore(cls, shape: KvShape, snapshot: Snapshot, length: int) -> KvCache:
        """A cache that starts with a copy of the first `length` positions of a snapshot."""
        data = shape.empty(length + _STEP)
        data[:, :, :, :length] = snapshot.data[:, :, :, :length]
        return cls(shape, data, length)


@dataclass(frozen=True)
class Snapshot:
    data: Tensor
    length: int

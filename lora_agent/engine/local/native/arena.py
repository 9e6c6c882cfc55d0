"""Memory for what every pass reads whole: in pages of 2 MiB, so that reading is not held up by looking up addresses."""

from __future__ import annotations

import contextlib
import math
import mmap
from collections.abc import Sequence

import torch
from torch import Tensor

_BLOCK = 64 * 2**20
_LINE = 64
"""Bytes of a cache line: no tensor shares one."""


class Arena:
    """Tensors one behind the other in anonymous mappings that ask for huge pages; where the system has none to give,
    ordinary ones. What is put stays until all of it is dropped."""

    def __init__(self) -> None:
        self._block: Tensor = torch.empty(0, dtype=torch.uint8)
        self._used = 0
        self.memory_bytes = 0
        """Of the tensors put so far."""

    def put(self, tensor: Tensor) -> Tensor:
        """A contiguous copy."""
        return self.zeros(tensor.shape, tensor.dtype).copy_(tensor)

    def zeros(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        size = math.prod(shape) * dtype.itemsize
        self.memory_bytes += size
        if not size:
            return torch.zeros(tuple(shape), dtype=dtype)
        if self._used + size > self._block.numel():
            self._block, self._used = huge(max(size, _BLOCK)), 0
        place = self._block[self._used : self._used + size]
        self._used += size + -size % _LINE
        return place.view(dtype).view(tuple(shape))


def huge(size: int) -> Tensor:
    """uint8 zeros, in huge pages where the system has them."""
    return _mapped(size, mmap.MADV_HUGEPAGE)


def paged(size: int) -> Tensor:
    """uint8 zeros in ordinary pages of their own. All of them go back to the system when the tensor is dropped: blocks
    of every size that stay for long and go in any order would leave the heap of the C library in pieces."""
    return _mapped(size, mmap.MADV_NOHUGEPAGE)


def _mapped(size: int, advice: int) -> Tensor:
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a kernel without huge pages
        memory.madvise(advice)
    return torch.frombuffer(memory, dtype=torch.uint8)

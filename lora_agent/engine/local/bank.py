"""Which adapters are in memory, and in which slot. Least recently used ones give way. Knows nothing of how they are
applied: that is the business of the bank of each kind of forward pass.

Slot 0 is the bare base.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence

from lora_agent.errors import EngineError
from lora_agent.registry import LoraTensors

BASE_SLOT = 0


class NoFreeSlotError(Exception):
    """Every slot holds an adapter that a running decode uses: wait for one to end."""


class AdapterBank(ABC):
    def __init__(self, slots: int) -> None:
        self.slots = slots + 1
        self._resident: OrderedDict[str, int] = OrderedDict()
        self._users: Counter[str] = Counter()

    @property
    @abstractmethod
    def shapes(self) -> dict[str, tuple[int, int]]:
        """(out, in) of every adaptable layer by its path."""

    @property
    @abstractmethod
    def memory_bytes(self) -> int:
        """Of the adapters' weights."""

    @abstractmethod
    def _write(self, slot: int, tensors: Mapping[str, LoraTensors] | None) -> None:
        """Fill a slot; None clears it."""

    @property
    def resident(self) -> tuple[str, ...]:
        """Digests in the slots, least recently used first."""
        return tuple(self._resident)

    def find(self, digest: str) -> int | None:
        """The slot of a resident adapter, marked as just used."""
        if digest in self._resident:
            self._resident.move_to_end(digest)
            return self._resident[digest]
        return None

    def put(self, digest: str, tensors: Mapping[str, LoraTensors], keep: Sequence[str] = ()) -> int:
        """Make an adapter resident and return its slot. `keep`: digests that must stay (the running batch). Raises
        NoFreeSlotError, and EngineError where waiting would not help."""
        slot = self._free_slot(keep)
        self._write(slot, tensors)
        self._resident[digest] = slot
        return slot

    def drop(self, digest: str) -> None:
        slot = self._resident.pop(digest, None)
        if slot is not None:
            self._write(slot, None)

    def pin(self, digest: str) -> None:
        """One more decode uses this adapter: it must stay."""
        self._users[digest] += 1

    def unpin(self, digest: str) -> None:
        self._users[digest] -= 1

    def pinned(self, digest: str) -> bool:
        return self._users[digest] > 0

    def _free_slot(self, keep: Sequence[str]) -> int:
        taken = set(self._resident.values())
        for slot in range(1, self.slots):
            if slot not in taken:
                return slot
        for digest in self._resident:
            if digest not in keep and not self.pinned(digest):
                return self._resident.pop(digest)
        if any(self.pinned(digest) and digest not in keep for digest in self._resident):
            raise NoFreeSlotError("every slot is in use")
        raise EngineError(
            f"{len(keep)} different adapters in one batch, but {self.slots - 1} slots",
            hint="Load the engine with more: Engine.load(slots=...).",
        )

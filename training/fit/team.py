"""The processes of one run. Alone, nothing happens here; under `accelerate launch` gradients are averaged by DDP.

A rank works on every size-th row of a batch. Each rank's loss is weighted so that DDP's mean over ranks is the mean
over the batch's target tokens: two processes take the same steps as one, up to the order of the sums.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from lora_agent.errors import ConfigError

from ..encode import Encoded


class Team:
    """One process of `size`; rank 0 writes and speaks."""

    def __init__(self) -> None:
        self.rank, self.size = 0, 1

    def wrap(self, objective: Any) -> Any:
        return objective

    def share(self, rows: Sequence[Encoded]) -> tuple[list[Encoded], float]:
        """This rank's rows of a batch, and the weight of their loss."""
        return list(rows), 1.0

    def agree(self, value: Any) -> Any:
        """Rank 0's value, for everybody."""
        return value

    def total(self, value: float) -> float:
        """The mean over ranks."""
        return value


class Launched(Team):
    """Under `accelerate launch`. Raises ConfigError if the world is not of the size asked for: a launcher that was
    misconfigured starts the same training N times over, each process alone (axolotl issue 3839)."""

    def __init__(self, expected: int) -> None:
        import torch
        from accelerate import Accelerator

        self._accelerator = Accelerator(cpu=not torch.cuda.is_available())
        self.rank, self.size = self._accelerator.process_index, self._accelerator.num_processes
        world = int(os.environ.get("WORLD_SIZE", "1"))
        if self.size != expected or world != expected:
            raise ConfigError(
                f"{expected} processes asked for, but the launcher made a world of {self.size} (WORLD_SIZE {world})",
                hint="Start with `lora-agent train --processes N`, or give the same N to `accelerate launch`.",
            )

    @property
    def device(self) -> str:
        """This rank's own device: every rank loads the whole (frozen, quantized) base there."""
        device = self._accelerator.device
        return "cpu" if device.type == "cpu" else str(device)

    def wrap(self, objective: Any) -> Any:
        return self._accelerator.prepare_model(objective)

    def share(self, rows: Sequence[Encoded]) -> tuple[list[Encoded], float]:
        own = list(rows[self.rank :: self.size])
        if not own:  # every rank must take part in the exchange of gradients
            return list(rows[:1]), 0.0
        tokens = sum(len(row.target) for row in rows)
        return own, self.size * sum(len(row.target) for row in own) / tokens

    def agree(self, value: Any) -> Any:
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([value])[0]

    def total(self, value: float) -> float:
        import torch

        given = torch.tensor(value, device=self._accelerator.device)
        return float(self._accelerator.reduce(given, reduction="mean"))

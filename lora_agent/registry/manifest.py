"""`manifest.json`: what a program recorded when the package was built, so that a loader can check it.

Programs write this file. Format numbers only grow; a package of a newer format is refused, never half read.
"""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, FiniteFloat, model_validator

from lora_agent.errors import PackageVersionError
from lora_agent.registry.reading import check, read_json
from lora_agent.types import Boundary

MANIFEST_FILE = "manifest.json"
FORMAT = 1

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class BaseRecord(Boundary):
    """The base model that the adapter was trained on."""

    id: str
    source_sha256: Sha256
    """Digest of the base's weights before any quantization."""
    quantization: str
    tokenizer_sha256: Sha256
    chat_template_sha256: Sha256


class DataRecord(Boundary):
    """One data set that went into the training."""

    name: str
    sha256: Sha256
    licence: str
    rows: int = Field(ge=0)


class GateRecord(Boundary):
    """Whether the build passed its gate, and the numbers behind it."""

    passed: bool
    report: dict[str, Any] = Field(default_factory=dict)


class Platt(Boundary):
    """Platt scaling: the calibrated probability of a raw score x is sigmoid(a·x + b)."""

    a: FiniteFloat
    b: FiniteFloat

    def __call__(self, x: float) -> float:
        # tanh never overflows, where exp would
        return 0.5 * (1.0 + math.tanh(0.5 * (self.a * x + self.b)))


class Calibration(Boundary):
    """Fitted on held-out rows; None where it was not."""

    confidence: Platt | None = None
    """From the mean natural-log probability of the sampled tokens to the probability of a right output."""
    score: Platt | None = None
    """From the log odds of the positive value to its probability; see `ScoreSpec`."""
    threshold: FiniteFloat | None = None
    """The calibrated score at or above which it counts as positive, set from a risk target; None: one half."""
    ece: FiniteFloat | None = None
    """Expected calibration error, 0 to 1."""
    n: int = Field(default=0, ge=0)
    """Rows that it was fitted on."""


class Fingerprint(Boundary):
    """A prompt and what base and adapter made of it, to see later that the right adapter is active."""

    canary: list[int]
    """Token ids of the whole sequence, the adapter's invocation included."""
    positions: list[int]
    """Where it is read: the model's distribution after `canary[:position + 1]`."""
    targets: list[int]
    """The token whose probability is taken at each position."""
    base: list[FiniteFloat]
    """Natural-log probabilities under the base model."""
    adapted: list[FiniteFloat]
    """Natural-log probabilities with the adapter active."""
    tolerance: float = Field(gt=0, allow_inf_nan=False)
    """The largest mean |difference| (nats) that counts as the same adapter."""

    @model_validator(mode="after")
    def _aligned(self) -> Fingerprint:
        lengths = {len(v) for v in (self.positions, self.targets, self.base, self.adapted)}
        if len(lengths) != 1 or not self.positions:
            raise ValueError("positions, targets, base and adapted must be of one length, at least 1")
        if not all(0 <= position < len(self.canary) for position in self.positions):
            raise ValueError(f"a position lies outside the canary of {len(self.canary)} tokens")
        return self


class VariantRecord(Boundary):
    """The same adapter trained for another way of serving; its PEFT files lie in `variants/NAME/`. Contract and prompt
    are the package's, what was measured is its own."""

    gate: GateRecord
    calibration: Calibration = Field(default_factory=Calibration)
    fingerprint: Fingerprint


class Manifest(Boundary):
    """Everything that a loader checks before it trusts a package."""

    format: int = FORMAT
    base: BaseRecord
    files: dict[str, Sha256] = Field(default_factory=dict)
    """Every file of the package but the manifest itself, by relative name."""
    data: list[DataRecord] = Field(default_factory=list)
    recipe_sha256: Sha256 | None = None
    libraries: dict[str, str] = Field(default_factory=dict)
    gate: GateRecord
    calibration: Calibration = Field(default_factory=Calibration)
    fingerprint: Fingerprint
    variants: dict[Literal["lora"], VariantRecord] = Field(default_factory=dict)
    """"lora": a plain LoRA of an activated one, for servers that apply an adapter to the whole prompt."""
    created: datetime
    """The only field that is not part of the package's digest."""


def read_manifest(folder: Path) -> tuple[Manifest, dict[str, Any]]:
    """The manifest, and the JSON that it was read from (its digest is taken over that).

    Raises PackageVersionError, PackageFormatError.
    """
    path = folder / MANIFEST_FILE
    data = read_json(path)
    number = data.get("format")
    # Looked at first: a newer format may have any other key.
    if isinstance(number, int) and number > FORMAT:
        raise PackageVersionError(
            f"{str(path)!r} is of format {number}; this version of lora-agent reads up to {FORMAT}",
            hint="Upgrade with `pip install --upgrade lora-agent`, or use an older version of the package.",
        )
    return check(data, Manifest, path), data

"""Whether a verified package fits what is at hand: this base, this gate policy, these observed probabilities.

Each check raises its own error. Knows nothing of how a base is loaded or a probability is computed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from lora_agent.errors import FingerprintError, GateError, WrongBaseError, WrongTemplateError
from lora_agent.registry.manifest import Fingerprint
from lora_agent.registry.package import AdapterPackage, BaseIdentity

# Nats. Two runs that gave the same numbers: above float32 rounding, far below any adapter's effect.
SAME_NATS = 1e-6


def check_base(package: AdapterPackage, base: BaseIdentity) -> str | None:
    """Raises WrongBaseError or WrongTemplateError. Another quantization is allowed; then a note about it is
    returned, and the fingerprint has the last word."""
    built = package.manifest.base
    if built.source_sha256 != base.source_sha256:
        raise WrongBaseError(
            f"the adapter {package.name!r} was built for the base {built.id!r} (weights sha256 "
            f"{built.source_sha256!r}); loaded is {base.id!r} (sha256 {base.source_sha256!r})",
            hint=f"Load the base {built.id!r}, or train the adapter for this one with `lora-agent train`.",
        )
    for part, expected, found in (
        ("tokenizer", built.tokenizer_sha256, base.tokenizer_sha256),
        ("chat template", built.chat_template_sha256, base.chat_template_sha256),
    ):
        if expected != found:
            raise WrongTemplateError(
                f"the adapter {package.name!r} was built with another {part} (sha256 {expected!r}) than "
                f"that of the loaded base {base.id!r} (sha256 {found!r})",
                hint=f"Use the {part} that {built.id!r} was published with: the adapter has seen no other.",
            )
    if built.quantization != base.quantization:
        return f"built on quantization {built.quantization!r}, loaded on {base.quantization!r}"
    return None


def check_gate(package: AdapterPackage, *, allow_ungated: bool = False) -> None:
    """Raises GateError for a package that has not passed its gate."""
    if package.manifest.gate.passed or allow_ungated:
        return
    raise GateError(
        f"the adapter {package.name!r} {package.version} has not passed its gate: it is not shown to be "
        "better than the base with a prompt",
        hint=f"See why with `lora-agent adapters show {package.name}`, then train it further.",
    )


def check_fingerprint(
    fingerprint: Fingerprint, observed_base: Sequence[float], observed_adapted: Sequence[float]
) -> None:
    """Compare natural-log probabilities of `fingerprint.targets` with the recorded ones, in nats.

    Raises FingerprintError if the adapter had no effect here, or another than it had when it was built, or if
    the recorded effect is too small to tell.
    """
    expected = len(fingerprint.targets)
    if len(observed_base) != expected or len(observed_adapted) != expected:
        raise FingerprintError(
            f"the fingerprint has {expected} log-probabilities; observed were {len(observed_base)} with the "
            f"base and {len(observed_adapted)} with the adapter"
        )
    recorded_effect = _distance(fingerprint.base, fingerprint.adapted)
    if recorded_effect <= fingerprint.tolerance:
        raise FingerprintError(
            f"the fingerprint proves nothing: the adapter moved it by {recorded_effect:.4g} nats, no more "
            f"than its tolerance of {fingerprint.tolerance:.4g}",
            hint="Build the package again with a canary on which the adapter acts.",
        )
    effect = _distance(observed_base, observed_adapted)
    if effect <= SAME_NATS:
        raise FingerprintError(
            f"the adapter has no effect: base and adapter give the same probabilities (expected a mean "
            f"difference of {recorded_effect:.4g} nats, observed {effect:.4g})",
            hint="The engine did not activate it. On a remote server, check the name that it is served by.",
        )
    difference = _distance(fingerprint.adapted, observed_adapted)
    if not difference <= fingerprint.tolerance:  # written so that NaN fails
        base_difference = _distance(fingerprint.base, observed_base)
        raise FingerprintError(
            f"the adapter does not act as it did when it was built: mean difference {difference:.4g} nats, "
            f"tolerated {fingerprint.tolerance:.4g} (the base alone differs by {base_difference:.4g})",
            hint="If the base alone differs too, it is another base, template or precision; otherwise "
            "another adapter is active under this name.",
        )


def _distance(first: Sequence[float], second: Sequence[float]) -> float:
    """Mean absolute difference; infinite where a value is -inf on one side only, NaN spreads."""
    return math.fsum(abs(a - b) for a, b in zip(first, second, strict=True)) / len(first)

"""`adapter.yaml`: what an adapter is for, how it is prompted and what it takes and gives.

People write and read this file; what a program records about the build is in the manifest. Knows nothing of
weights, tokenizers or engines.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, model_validator

from lora_agent.registry.reading import read_yaml
from lora_agent.registry.version import version_key
from lora_agent.types import Boundary

SPEC_FILE = "adapter.yaml"
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
RESERVED_NAMES = frozenset({"base", "auto", "agent", "abstain"})  # words of the router and the CLI


def check_name(name: str) -> str:
    if NAME.fullmatch(name) is None:
        raise ValueError(f"{name!r} is not an adapter name: a-z, 0-9 and _, a letter first, at most 64")
    if name in RESERVED_NAMES:
        raise ValueError(f"{name!r} is reserved; choose another name")
    return name


def check_version(version: str) -> str:
    version_key(version)
    return version


class PromptSpec(Boundary):
    """What is appended to the context when the adapter takes over."""

    invocation: str
    """Text whose tokens activate the adapter (aLoRA); for a plain LoRA it may be empty."""
    reread: Literal["none", "last_user", "last"] = "none"
    """A message repeated after the invocation: under aLoRA the adapter itself reads only what follows it."""
    reread_tokens: int = Field(default=256, ge=1)
    """The most tokens of that message that are repeated."""
    evidence_tokens: int = Field(default=0, ge=0)
    """About so many tokens of the documents' sentences, the nearest to the question, are repeated after it; 0: none."""
    windows: list[Literal["user", "assistant", "tool"]] = Field(default_factory=list)
    """Roles whose turn, where it is the last one and longer than `reread_tokens`, is put to the adapter window by
    window, each in its place; the answer is that of the highest score. Needs a `score` and `reread: last`."""
    fields: list[str] = Field(default_factory=list)
    """Input fields that are echoed after the invocation, in this order."""
    max_new_tokens: int = Field(default=256, ge=1)
    quotes: bool = False
    """Of `output: tool_calls`: each of several calls may begin with the words of the request that it serves. Results
    are without them; only `raw` shows them."""
    parts: Literal["turn", "reread"] = "turn"
    """How one part of a request is put to an adapter that calls tools: in place of the last turn, or after the whole
    request as what is repeated of it. The latter needs `kind: alora`, `reread` and training on such rows."""


class ScoreSpec(Boundary):
    """The field of the output that a calibrated score is given for."""

    pointer: str = Field(pattern=r"^(/[^/]+)+$")
    """JSON Pointer (RFC 6901) into the output, such as "/verdict"."""
    positive: Any
    """The value of that field that the score is the probability of."""


class AdapterSpec(Boundary):
    """The card of an adapter and its contract files."""

    name: Annotated[str, AfterValidator(check_name)]
    version: Annotated[str, AfterValidator(check_version)]
    description: str = Field(min_length=1)
    """When to use it. The router reads this."""
    examples: list[str] = Field(default_factory=list)
    """Utterances that it should take, for the router."""
    kind: Literal["alora", "lora"]
    prompt: PromptSpec
    input_schema: str = "input.schema.json"
    output_schema: str = "output.schema.json"
    """Both are file names relative to the package."""
    recipe: str | None = None
    """The recipe that it was built from; its digest is in the manifest."""
    output: Literal["schema", "tool_calls"] = "schema"
    """Where the grammar comes from: the output schema, or the tools offered in the call."""
    score: ScoreSpec | None = None
    licence: str = Field(min_length=1)
    """SPDX identifier of the weights."""

    @model_validator(mode="after")
    def _alora_is_invoked(self) -> AdapterSpec:
        if self.kind == "alora" and not self.prompt.invocation:
            raise ValueError("prompt.invocation is empty: an aLoRA adapter is activated by its tokens")
        return self

    @model_validator(mode="after")
    def _windows_are_scored(self) -> AdapterSpec:
        if self.prompt.windows and (self.score is None or self.prompt.reread != "last"):
            raise ValueError("prompt.windows needs a `score`, which chooses among them, and `reread: last`")
        return self


def read_spec(folder: Path) -> AdapterSpec:
    """Raises PackageFormatError with the line of the fault."""
    return read_yaml(folder / SPEC_FILE, AdapterSpec)


def spec_text(spec: AdapterSpec) -> str:
    """The YAML of a spec, in field order, without what is left at None. `evidence_tokens` and `windows` are left out
    where they are 0 and empty, so that installs that do not know of them read the adapters that do not use them."""
    data = spec.model_dump(mode="json", exclude_none=True)
    for name in ("evidence_tokens", "windows"):
        if not data["prompt"][name]:
            del data["prompt"][name]
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)

"""`data`: the rows to train and to validate on, here or elsewhere."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from .strict import Strict


class HubData(Strict):
    """A data set on the Hugging Face Hub: a JSON Lines `file` of it, or a `split` that the library datasets reads."""

    id: str = Field(pattern=r"^[\w.-]+(/[\w.-]+)?$")
    revision: str = Field(min_length=1)
    """A commit, or a tag. Not optional: a branch moves, and the rows with it."""
    file: str | None = None
    split: str | None = None
    config: str | None = None

    @model_validator(mode="after")
    def _one(self) -> HubData:
        if (self.file is None) == (self.split is None):
            raise ValueError("give one of `file` and `split`")
        return self


class GitFile(Strict):
    url: str = Field(pattern=r"^(https?://|ssh://|git://|file:///|git@)")
    commit: str = Field(pattern=r"^[0-9a-f]{40}$")
    path: str = Field(min_length=1)


class Generator(Strict):
    """A function of the user's own: (seed, rows) → objects as lines of a data file. It runs in this process."""

    file: str
    function: str = "rows"
    seed: int = 0
    rows: int = Field(1000, ge=1)


class Source(Strict):
    """Rows from elsewhere: one of the three. They are fetched once and kept in the cache."""

    hub: HubData | None = None
    git: GitFile | None = None
    python: Generator | None = None

    @model_validator(mode="after")
    def _one(self) -> Source:
        if sum(part is not None for part in (self.hub, self.git, self.python)) != 1:
            raise ValueError("give one of `hub`, `git` and `python`")
        return self


class DataFiles(Strict):
    """JSON Lines files, relative to the recipe or to --data, or sources that such files are fetched from."""

    train: str | Source
    dev: str | Source | None = None
    """Without it a tenth of the train groups is held out."""
    licence: str = "unstated"
    """Of the rows that do not name a public set as their source; it is written on the card."""
    decontaminate: str | None = None
    """List of hashed test-set n-grams (training/data/decontaminate.py). Default: the one in LORA_AGENT_DATA."""

    @property
    def origin(self) -> dict[str, Any]:
        """Where the train rows were fetched from; empty for a file here."""
        return {} if isinstance(self.train, str) else self.train.model_dump(mode="json", exclude_none=True)

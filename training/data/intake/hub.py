"""A data set on the Hugging Face Hub, at a revision."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lora_agent.errors import ConfigError

from ...recipe import HubData
from .cached import cached


def fetch_hub(source: HubData) -> Path:
    """A JSON Lines file as it lies there, or a split that `datasets` reads (Parquet and so on) as JSON Lines. Raises
    ConfigError, also for a file that is not in the cache where the Hub cannot be reached."""
    return _file(source) if source.file is not None else _split(source)


def _file(source: HubData) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        found = hf_hub_download(source.id, str(source.file), repo_type="dataset", revision=source.revision)
    except Exception as error:  # the Hub client has some twenty kinds, of three libraries
        raise _failed(source, error) from error
    return Path(found)


def _split(source: HubData) -> Path:
    def make(scratch: Path) -> None:
        try:
            from datasets import load_dataset
        except ImportError as error:
            hint = "Install it with `pip install lora-agent[train]`, or name a JSON Lines `file`."
            raise ConfigError(f"a `split` needs the library datasets: {error}", hint=hint) from error
        try:
            rows = load_dataset(source.id, source.config, split=source.split, revision=source.revision)
        except Exception as error:
            raise _failed(source, error) from error
        with scratch.open("w", encoding="utf-8") as out:
            for row in rows:
                out.write(json.dumps(without_nulls(row), ensure_ascii=False, default=str) + "\n")

    key = [source.id, source.revision, source.config, source.split]
    return cached("hub", key, f"{source.id.replace('/', '--')}-{source.split}.jsonl", make)


def without_nulls(value: Any) -> Any:
    """Columnar files give every row the keys of all others, as nulls: a call would get its neighbours' parameters."""
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    return [without_nulls(v) for v in value] if isinstance(value, list) else value


def _failed(source: HubData, error: Exception) -> ConfigError:
    what = f"{source.id!r} at {source.revision!r} ({source.file or source.split})"
    offline = type(error).__name__ in (
        "LocalEntryNotFoundError",
        "OfflineModeIsEnabled",
        "ConnectError",
        "ConnectionError",
    )
    if offline:
        hint = "Go online once (and unset HF_HUB_OFFLINE): it stays in the cache. Or give a file of your own."
        return ConfigError(f"{what} is not in the cache and the Hub cannot be reached", hint=hint)
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    hint = "Check id, revision and file; a private one needs HF_TOKEN."
    return ConfigError(f"cannot get {what} from the Hub: {first}", hint=hint)

"""From any base (embedded, Hugging Face id, local folder) to a checkpoint folder that transformers loads as it is.

The embedded base and every quantized base are converted once and kept in the user's cache under a name that
holds the digest of the source weights. A folder appears there complete or not at all. Knows nothing of
adapters or sessions.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lora_agent.engine.local.fetch import GGUF_SHA256, fetch_gguf, file_sha256
from lora_agent.errors import BaseDigestError, BaseOfflineError, CacheError, ConfigError, UnknownBaseError
from lora_agent.folders import cache_dir

Quantization = Literal["nf4", "int8", "none"]
DEFAULT_BASE = "SmolLM2-135M-Instruct"
RECORD = "lora_agent.json"
_CONVERSION = 1
"""Raised when the conversion changes, so that an old cached checkpoint is not mistaken for a new one."""


@dataclass(frozen=True)
class Checkpoint:
    """A folder on disk that `AutoModelForCausalLM.from_pretrained` loads without further arguments."""

    id: str
    path: Path
    quantization: Quantization
    source_sha256: str
    """Digest of the weights before quantization: the same on every machine, unlike the quantized bytes."""


def ensure_checkpoint(base: str | Path | None, quantization: Quantization) -> Checkpoint:
    """Find or make the checkpoint of `base` (None: the embedded one).

    Raises UnknownBaseError, BaseOfflineError, BaseDigestError, CacheError, ConfigError.
    """
    if quantization not in ("nf4", "int8", "none"):
        raise ConfigError(f"unknown quantization {quantization!r}", hint="Use 'nf4', 'int8' or 'none'.")
    if base is None or str(base) == DEFAULT_BASE:
        return _embedded(quantization)
    source = _source_folder(str(base))
    digest = weights_digest(source)
    own = _own_quantization(source)
    if own is not None:
        if quantization not in (own, "none") and quantization != "nf4":
            raise ConfigError(
                f"{str(base)!r} is already quantized ({own}), so quantization={quantization!r} cannot be applied",
                hint=f"Use quantization={own!r}.",
            )
        return Checkpoint(str(base), source, own, _recorded_source(source) or digest)
    if quantization == "none":
        return Checkpoint(str(base), source, "none", digest)
    return _cached(str(base), quantization, digest, lambda into: _quantize(source, into, quantization))


def _embedded(quantization: Quantization) -> Checkpoint:
    def convert(into: Path) -> None:
        with tempfile.TemporaryDirectory(dir=into.parent) as scratch:
            gguf = fetch_gguf(Path(scratch))
            plain = into if quantization == "none" else Path(scratch) / "plain"
            _dequantize_gguf(gguf, plain)
            if quantization != "none":
                _quantize(plain, into, quantization)

    return _cached(DEFAULT_BASE, quantization, GGUF_SHA256, convert)


def embedded_is_cached(quantization: Quantization = "nf4") -> bool:
    """Whether the embedded base can be loaded without a network."""
    return (_folder(DEFAULT_BASE, quantization, GGUF_SHA256) / RECORD).is_file()


def _folder(base: str, quantization: Quantization, digest: str) -> Path:
    name = base.rstrip("/").split("/")[-1].lower()
    return cache_dir() / "bases" / f"{name}-{quantization}-{digest[:16]}-v{_CONVERSION}"


def _cached(base: str, quantization: Quantization, digest: str, convert: Callable[[Path], None]) -> Checkpoint:
    folder = _folder(base, quantization, digest)
    if not (folder / RECORD).is_file():
        _make(folder, digest, convert)
    _check_record(folder)
    return Checkpoint(base, folder, quantization, digest)


def _make(folder: Path, digest: str, convert: Callable[[Path], None]) -> None:
    """Convert into a scratch folder beside the final one and rename it: complete or absent, also after a crash."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
    except OSError as error:
        raise CacheError(f"cannot write to the cache {str(folder.parent)!r}: {error}", hint=_CACHE_HINT) from error
    try:
        work = scratch / "checkpoint"
        work.mkdir()
        convert(work)
        files = {p.name: file_sha256(p) for p in sorted(work.iterdir()) if p.is_file()}
        record = {"source_sha256": digest, "conversion": _CONVERSION, "files": files}
        (work / RECORD).write_text(json.dumps(record, indent=1))
        try:
            os.rename(work, folder)
        except OSError:
            if not (folder / RECORD).is_file():  # otherwise another process was faster: use its folder
                raise
    except OSError as error:
        raise CacheError(f"cannot write the base to {str(folder)!r}: {error}", hint=_CACHE_HINT) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


_CACHE_HINT = "Free some space (about 700 MB while converting) or set LORA_AGENT_HOME to a folder with room."


def _check_record(folder: Path) -> None:
    record = json.loads((folder / RECORD).read_text())
    for name, expected in record["files"].items():
        path = folder / name
        if not path.is_file() or file_sha256(path) != expected:
            raise BaseDigestError(
                f"cached base file {str(path)!r} is missing or changed",
                hint=f"Delete the folder {str(folder)!r} and start again; it is rebuilt.",
            )


def _dequantize_gguf(gguf: Path, into: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    source = str(gguf.parent)
    model = AutoModelForCausalLM.from_pretrained(
        source, gguf_file=gguf.name, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
    )
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.config._name_or_path = DEFAULT_BASE
    # float32, not bfloat16: de-quantized Q4_1 values (d*q + m) do not fit bfloat16 exactly.
    model.save_pretrained(into)
    AutoTokenizer.from_pretrained(source, gguf_file=gguf.name).save_pretrained(into)


def _quantize(source: Path, into: Path, quantization: Quantization) -> None:
    """bitsandbytes NF4 with double quantization (QLoRA, arXiv 2305.14314) or LLM.int8 (arXiv 2208.07339)."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

    if quantization == "nf4":
        config = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
    else:
        config = BitsAndBytesConfig(load_in_8bit=True)
    model = AutoModelForCausalLM.from_pretrained(source, quantization_config=config, dtype=torch.bfloat16)
    model.save_pretrained(into)
    AutoTokenizer.from_pretrained(source).save_pretrained(into)


def _source_folder(base: str) -> Path:
    folder = Path(base).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UnknownBaseError(
                f"{base!r} is a folder without config.json", hint="Give a folder saved by `save_pretrained`."
            )
        return folder
    if base.startswith((".", "/", "~")) or base.count("/") != 1:
        raise UnknownBaseError(
            f"no base {base!r}: neither a folder nor a Hugging Face id (owner/name)",
            hint=f"Leave it out for the embedded base {DEFAULT_BASE!r}, or check the path.",
        )
    return _download(base)


def _download(base: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    patterns = ["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model"]
    try:
        return Path(snapshot_download(base, allow_patterns=patterns))
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        raise BaseOfflineError(
            f"base {base!r} is not in the Hugging Face cache and the hub cannot be reached",
            hint=f"With a network, run `hf download {base}` once (and unset HF_HUB_OFFLINE).",
        ) from error
    except HfHubHTTPError as error:
        raise UnknownBaseError(
            f"the Hugging Face hub has no base {base!r} for you: {error}",
            hint="Check the id; for a gated model run `hf auth login`.",
        ) from error


def weights_digest(folder: Path) -> str:
    """sha256 over the digests of the weight files, in name order. Raises UnknownBaseError when there are none."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise UnknownBaseError(
            f"{str(folder)!r} holds no .safetensors weights", hint="Convert the model: save_pretrained(folder)."
        )
    digest = hashlib.sha256()
    for file in files:
        digest.update(file_sha256(file.resolve()).encode())
    return digest.hexdigest()


def _own_quantization(folder: Path) -> Quantization | None:
    config: dict[str, Any] = json.loads((folder / "config.json").read_text()).get("quantization_config") or {}
    if config.get("load_in_4bit"):
        return "nf4"
    return "int8" if config.get("load_in_8bit") else None


def _recorded_source(folder: Path) -> str | None:
    record = folder / RECORD
    return json.loads(record.read_text())["source_sha256"] if record.is_file() else None

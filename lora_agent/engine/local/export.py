"""A base as a plain checkpoint that other servers load: the quantized values, written out in bfloat16.

Adapters were trained on exactly these values, so a server that loads them passes the fingerprints; the weights as
they were before quantization would be another base to an adapter. Knows nothing of servers.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from lora_agent.engine.local.base import load_base
from lora_agent.engine.local.checkpoint import RECORD, Checkpoint, ensure_checkpoint
from lora_agent.errors import ConfigError
from lora_agent.registry.staging import staged


def export_base(base: str | Path | None, folder: Path) -> Path:
    """Write config, tokenizer and bfloat16 weights to `folder`, complete or not at all; a folder that holds this very
    base is left as it is.

    Raises ConfigError for a folder that holds anything else, CacheError if the disk refuses, and the BaseModelError
    family.
    """
    checkpoint = ensure_checkpoint(base, "nf4")
    record = {"source_sha256": checkpoint.source_sha256, "id": checkpoint.id, "quantization": checkpoint.quantization}
    if folder.exists():
        if _record(folder) == record:
            return folder
        raise ConfigError(
            f"{str(folder)!r} exists and is not an export of {checkpoint.id!r}",
            hint="Give a folder that does not exist yet.",
        )
    with staged(folder) as scratch:
        _write_weights(checkpoint, scratch)
        for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
            if (checkpoint.path / name).is_file():
                shutil.copyfile(checkpoint.path / name, scratch / name)
        (scratch / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return folder


def _record(folder: Path) -> object:
    path = folder / RECORD
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _write_weights(checkpoint: Checkpoint, folder: Path) -> None:
    """The checkpoint's values as ordinary bfloat16 tensors under the names that transformers gives them."""
    import torch
    from safetensors.torch import save_file

    model = load_base(checkpoint.path, kernels="unpacked", device="cpu", dtype=torch.bfloat16).model
    tied = model.config.tie_word_embeddings
    weights = {
        name: tensor.to(torch.bfloat16).contiguous()
        for name, tensor in model.state_dict().items()
        if not (tied and name == "lm_head.weight")
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = {k: v for k, v in model.config.to_dict().items() if k not in ("quantization_config", "_name_or_path")}
    (folder / "config.json").write_text(json.dumps({**config, "dtype": "bfloat16"}, indent=1) + "\n", encoding="utf-8")

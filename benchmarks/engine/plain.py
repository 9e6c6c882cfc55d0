"""The shipped adapters as plain LoRAs, for what knows no activated ones: vLLM, and PEFT's mixed batches."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from lora_agent.errors import UnsupportedAdapterError
from lora_agent.registry import AdapterPackage, plain_lora
from lora_agent.registry.peft_config import CONFIG_FILE

WEIGHTS_FILE = "adapter_model.safetensors"


def write_plain(package: AdapterPackage, folder: Path) -> Path:
    """PEFT's two files in `folder`: the package's plain variant if it has one, otherwise its activated weights without
    the invocation. Those were not trained to be applied to a whole prompt: good for times, not for answers."""
    try:
        source = plain_lora(package).weights_folder
    except UnsupportedAdapterError:
        source = package.weights_folder
    folder.mkdir(parents=True)
    shutil.copyfile(source / WEIGHTS_FILE, folder / WEIGHTS_FILE)
    config = json.loads((source / CONFIG_FILE).read_text(encoding="utf-8"))
    (folder / CONFIG_FILE).write_text(json.dumps({**config, "alora_invocation_tokens": None}), encoding="utf-8")
    return folder

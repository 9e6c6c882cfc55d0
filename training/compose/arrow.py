"""A composition that chooses token by token: PEFT's Arrow layers over the parts' own files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from peft import ArrowConfig, create_arrow_model

from lora_agent.engine.local.base import BaseModel
from lora_agent.registry import AdapterPackage
from lora_agent.registry.staging import copy_file

FILE = "arrow.json"


def write_arrow(folder: Path, parts: list[AdapterPackage], top_k: int, seed: int) -> Path:
    """The parts' PEFT files under `experts/` and, last, the file that names them; returns that one."""
    names = []
    for number, part in enumerate(parts):
        name = f"experts/{number}-{part.name}"
        (folder / name).mkdir(parents=True, exist_ok=True)
        for file in ("adapter_config.json", "adapter_model.safetensors"):
            copy_file(part.weights_folder / file, folder / name / file)
        names.append({"folder": name, "package": part.digest})
    path = folder / FILE
    path.write_text(json.dumps({"top_k": top_k, "seed": seed, "experts": names}, indent=1) + "\n", encoding="utf-8")
    return path


def load_arrow(base: BaseModel, folder: Path) -> Any:
    """A PEFT model that routes between the experts of a folder written by `write_arrow`."""
    settings = json.loads((folder / FILE).read_text(encoding="utf-8"))
    paths = [str(folder / expert["folder"]) for expert in settings["experts"]]
    config = ArrowConfig(top_k=settings["top_k"], rng_seed=settings["seed"])
    return create_arrow_model(base.model, task_specific_adapter_paths=paths, arrow_config=config).eval()

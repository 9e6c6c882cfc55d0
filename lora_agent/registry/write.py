"""Write an adapter package: every file, their digests, the manifest last, the whole folder at once.

For training. Input: what was built; output: the package as a loader reads it. Verifies before anything
becomes visible. Knows nothing of how the adapter was trained.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lora_agent.errors import PackageFormatError
from lora_agent.registry.digest import sha256_file
from lora_agent.registry.manifest import MANIFEST_FILE, Manifest
from lora_agent.registry.package import VARIANTS_FOLDER, WEIGHTS_FILE, AdapterPackage, read_package
from lora_agent.registry.paths import package_files, safe_path
from lora_agent.registry.peft_config import CONFIG_FILE
from lora_agent.registry.reading import read_json
from lora_agent.registry.spec import SPEC_FILE, AdapterSpec, spec_text
from lora_agent.registry.staging import copy_file, staged
from lora_agent.types import JsonSchema


def write_package(
    folder: str | Path,
    spec: AdapterSpec,
    manifest: Manifest,
    *,
    weights: str | Path,
    input_schema: JsonSchema,
    output_schema: JsonSchema,
    readme: str,
    sources: str,
    plots: Mapping[str, str] | None = None,
    variants: Mapping[str, str | Path] | None = None,
    overwrite: bool = False,
) -> AdapterPackage:
    """`weights`: the folder that PEFT's `save_pretrained` wrote; `variants`: such folders by the variant's name, each
    with its record in `manifest.variants`; `plots`: SVG texts by file name, for the card. `manifest.files` is
    filled in here.

    Raises ConfigError if `folder` exists (unless `overwrite`), the AdapterError family for a package that
    would not load, CacheError if the disk refuses.
    """
    target = Path(folder)
    sources_of = {"": Path(weights)} | {f"{VARIANTS_FOLDER}/{n}/": Path(p) for n, p in (variants or {}).items()}
    for source in sources_of.values():
        if not (source / WEIGHTS_FILE).is_file():
            raise PackageFormatError(
                f"{str(source)!r} has no {WEIGHTS_FILE}",
                hint="Save the adapter there with save_pretrained(..., safe_serialization=True).",
            )
    texts = {
        SPEC_FILE: spec_text(spec),
        spec.input_schema: _pretty(input_schema),
        spec.output_schema: _pretty(output_schema),
        "README.md": readme,
        "sources.yaml": sources,
        **(plots or {}),
    }
    for place, source in sources_of.items():
        texts[place + CONFIG_FILE] = _pretty(_portable_config(source, manifest.base.id))
    with staged(target, overwrite=overwrite) as staging:
        for name, text in texts.items():
            path = safe_path(staging, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")  # the same bytes on every system
        for place, source in sources_of.items():
            copy_file(source / WEIGHTS_FILE, staging / place / WEIGHTS_FILE)
        digests = {name: sha256_file(path) for name, path in package_files(staging).items()}
        complete = manifest.model_copy(update={"files": digests})
        text = _pretty(complete.model_dump(mode="json", exclude=None if complete.variants else {"variants"}))
        (staging / MANIFEST_FILE).write_text(text, encoding="utf-8", newline="\n")
        package = read_package(staging)
    return dataclasses.replace(package, folder=target)


def _portable_config(weights: Path, base_id: str) -> dict[str, Any]:
    """PEFT's config with the base named by its id, where PEFT writes the path that it had on this machine."""
    config = read_json(weights / CONFIG_FILE) | {"base_model_name_or_path": base_id}
    # PEFT keeps sets: sorted, so that the same adapter always has the same bytes.
    for name in ("target_modules", "exclude_modules"):
        if isinstance(config.get(name), list):
            config[name] = sorted(config[name])
    return config


def _pretty(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"

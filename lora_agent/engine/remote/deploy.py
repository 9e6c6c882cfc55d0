"""The server side of a remote engine: files, command line and manifest of a vLLM that serves a base and its adapters.

What it starts is what `Engine.connect` expects: adapters under `name@digest`, prompts of token ids, log-probabilities
under the grammar, our JSON spelling. Knows packages and vLLM's options; starts nothing.
"""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from lora_agent.engine.remote.proof import served_name, server_path
from lora_agent.errors import ConfigError, UnsupportedAdapterError
from lora_agent.registry import AdapterPackage, Registry, plain_lora, read_peft_config
from lora_agent.registry.peft_config import CONFIG_FILE
from lora_agent.registry.staging import copy_file, staged

BASE_FOLDER = "base"
ADAPTERS_FOLDER = "adapters"
_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes as --max-lora-rank."""


@dataclass(frozen=True)
class Plan:
    base: str | Path | None
    packages: Mapping[str, AdapterPackage]
    unserved: Mapping[str, UnsupportedAdapterError]

    @property
    def environment(self) -> dict[str, str]:
        """Lets the client load adapters that were not there at the start; whoever reaches the server can do so, too."""
        return {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"}

    def command(self, root: str | None, *, port: int) -> list[str]:
        """`root`: the exported folder as the server sees it; None names the packages where they lie."""
        model = str(PurePosixPath(root or "EXPORTED") / BASE_FOLDER)
        arguments = ["vllm", "serve", model, "--served-model-name", "base", "--port", str(port)]
        if self.packages:
            adapters = None if root is None else str(PurePosixPath(root) / ADAPTERS_FOLDER)
            ranks = [_rank(package) for package in self.packages.values()]
            arguments += ["--enable-lora", "--max-lora-rank", str(min(r for r in _RANKS if r >= max(ranks)))]
            arguments += ["--max-loras", str(len(self.packages)), "--lora-modules"]
            arguments += [f"{served_name(p)}={server_path(p, adapters)}" for p in self.packages.values()]
        spelling = {"backend": "guidance", "disable_any_whitespace": True}
        arguments += ["--structured-outputs-config", json.dumps(spelling, separators=(",", ":"))]
        return [*arguments, "--logprobs-mode", "processed_logprobs", "--enable-prompt-tokens-details"]

    def shell(self, command: Sequence[str]) -> str:
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        return " ".join([*variables, shlex.join(command)])

    def manifest(self, command: Sequence[str], *, mount: str, replicas: int, image: str, gpus: int, port: int) -> str:
        """A StatefulSet behind a headless service: the client addresses each replica by its own name, since an adapter
        is proven per replica and the choice of the least busy one is the client's."""
        labels = {"app": "lora-agent-vllm"}
        probe = {"httpGet": {"path": "/health", "port": port}}
        container: dict[str, Any] = {
            "name": "vllm",
            "image": image,
            "command": list(command),
            "env": [{"name": name, "value": value} for name, value in self.environment.items()],
            "ports": [{"containerPort": port}],
            "startupProbe": {**probe, "periodSeconds": 5, "failureThreshold": 120},
            "readinessProbe": {**probe, "periodSeconds": 5},
            "livenessProbe": {**probe, "periodSeconds": 10, "failureThreshold": 6},
            "volumeMounts": [{"name": "models", "mountPath": mount, "readOnly": True}],
        }
        if gpus:
            container["resources"] = {"limits": {"nvidia.com/gpu": gpus}}
        volume = {"name": "models", "persistentVolumeClaim": {"claimName": "lora-agent-models", "readOnly": True}}
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "lora-agent-vllm"},
            "spec": {"clusterIP": "None", "selector": labels, "ports": [{"port": port}]},
        }
        pods = {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": "lora-agent-vllm"},
            "spec": {
                "serviceName": "lora-agent-vllm",
                "replicas": replicas,
                "podManagementPolicy": "Parallel",
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [container], "volumes": [volume], "terminationGracePeriodSeconds": 60},
                },
            },
        }
        names = [f"http://lora-agent-vllm-{i}.lora-agent-vllm:{port}" for i in range(replicas)]
        adapters = str(PurePosixPath(mount) / ADAPTERS_FOLDER)
        head = f"# Engine.connect({names[0]!r}, replicas={names[1:]!r}, adapter_root={adapters!r})\n"
        return head + "---\n".join(yaml.safe_dump(part, sort_keys=False, width=200) for part in (service, pods))


def plan(base: str | Path | None, adapters: Iterable[str | Path]) -> Plan:
    """The packages that were built for `base`, as such a server runs them. Raises the BaseModelError and AdapterError
    families, ConfigError where no package is for this base."""
    from lora_agent.engine.remote.reader import load_reader

    own = load_reader(base).source_sha256
    served: dict[str, AdapterPackage] = {}
    unserved: dict[str, UnsupportedAdapterError] = {}
    for name, package in Registry.discover(list(adapters)).packages.items():
        if package.manifest.base.source_sha256 != own:
            continue
        try:
            served[name] = plain_lora(package)
        except UnsupportedAdapterError as error:
            unserved[name] = error
    return Plan(base, served, unserved)


def export(found: Plan, folder: Path) -> None:
    """Write `base/` and `adapters/NAME/` (whole packages). What is there already is replaced, the base only if it is
    another. Raises ConfigError, CacheError."""
    from lora_agent.engine.local.export import export_base

    export_base(found.base, folder / BASE_FOLDER)
    for package in found.packages.values():
        with staged(folder / ADAPTERS_FOLDER / package.name, overwrite=True) as target:
            shutil.copytree(package.folder, target, dirs_exist_ok=True, copy_function=_copy)


def _copy(source: str, target: str) -> None:
    copy_file(Path(source), Path(target))


def _rank(package: AdapterPackage) -> int:
    config = read_peft_config(package.weights_folder)
    rank = max([config.r, *(config.rank_pattern or {}).values()])
    if rank > _RANKS[-1]:
        raise ConfigError(
            f"{package.name!r} has rank {rank}, vLLM takes up to {_RANKS[-1]} ({package.weights_folder / CONFIG_FILE})",
            hint="Train it with a lower rank.",
        )
    return rank

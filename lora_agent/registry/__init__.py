"""What an adapter package is, and which packages there are.

Reads, verifies, writes, finds and installs package folders. Knows nothing of engines, routers or the agent;
needs torch only to read tensors.
"""

from __future__ import annotations

from lora_agent.registry.checks import check_base, check_fingerprint, check_gate
from lora_agent.registry.digest import package_digest, sha256_bytes, sha256_file, sha256_text
from lora_agent.registry.installed import install, installed_versions, remove, rollback, select_version
from lora_agent.registry.loose import LooseLora, write_loose
from lora_agent.registry.manifest import (
    BaseRecord,
    Calibration,
    DataRecord,
    Fingerprint,
    GateRecord,
    Manifest,
    Platt,
    VariantRecord,
)
from lora_agent.registry.package import AdapterPackage, BaseIdentity, plain_lora, read_package
from lora_agent.registry.peft_config import PeftConfig, read_peft_config
from lora_agent.registry.registry import Registry, shipped_folder
from lora_agent.registry.spec import AdapterSpec, PromptSpec, ScoreSpec
from lora_agent.registry.tensors import LoraTensors, read_tensors
from lora_agent.registry.write import write_package

__all__ = [
    "AdapterPackage",
    "AdapterSpec",
    "BaseIdentity",
    "BaseRecord",
    "Calibration",
    "DataRecord",
    "Fingerprint",
    "GateRecord",
    "LooseLora",
    "LoraTensors",
    "Manifest",
    "PeftConfig",
    "Platt",
    "PromptSpec",
    "Registry",
    "ScoreSpec",
    "VariantRecord",
    "check_base",
    "check_fingerprint",
    "check_gate",
    "install",
    "installed_versions",
    "package_digest",
    "plain_lora",
    "read_package",
    "read_peft_config",
    "read_tensors",
    "remove",
    "rollback",
    "select_version",
    "sha256_bytes",
    "sha256_file",
    "sha256_text",
    "shipped_folder",
    "write_loose",
    "write_package",
]

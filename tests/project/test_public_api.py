"""The names that scripts outside this repository rely on."""

from __future__ import annotations

import importlib.metadata
import tomllib
from pathlib import Path

import pytest

import lora_agent

ROOT = Path(__file__).resolve().parents[2]
PUBLIC = {
    "Agent",
    "AgentResult",
    "Document",
    "Engine",
    "LoraAgentError",
    "Message",
    "Policy",
    "Result",
    "Retriever",
    "Route",
    "Step",
    "Tool",
    "ToolCall",
    "Usage",
    "__version__",
    "tool",
}


def test_public_names_are_these() -> None:
    assert set(lora_agent.__all__) == PUBLIC
    assert set(dir(lora_agent)) == PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_name_can_be_had(name: str) -> None:
    assert getattr(lora_agent, name) is not None


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Agnet'"):
        lora_agent.Agnet  # noqa: B018 - the access is what is tested


def test_installed_version_is_that_of_the_code() -> None:
    try:
        installed = importlib.metadata.version("lora-agent")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("lora-agent is not installed here")
    assert installed == lora_agent.__version__


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["train"]]
    wanted += project["optional-dependencies"]["dev"]
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines}
    names = {requirement.split("[")[0].split(">")[0].strip().lower() for requirement in wanted}
    assert names <= pinned, f"not pinned: {names - pinned}"
    assert not [line for line in lines if "+" in line or "/" in line or "@" in line]

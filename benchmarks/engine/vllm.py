"""vLLM's OpenAI server, started here in its own environment (LORA_AGENT_VLLM names its Python)."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from pathlib import Path
from typing import Any, BinaryIO

import httpx

from lora_agent.engine.local.engine import LocalEngine
from lora_agent.engine.local.export import export_base
from lora_agent.engine.remote.wire import structured
from lora_agent.registry import read_peft_config

from .cases import Call
from .environment import as_started
from .peer import Serving
from .plain import write_plain

PYTHON = "LORA_AGENT_VLLM"
BASE = "base"
START_S = 900
READ_S = 900
"""Of one request: a busy machine takes its time."""


def _awake(work: Callable[..., Any]) -> Callable[..., Any]:
    """The server runs while it has its turn: its worker looks for work without a pause, and would keep a core from the
    other systems."""

    @wraps(work)
    def wrapped(self: Vllm, *args: Any) -> Any:
        os.killpg(self._process.pid, signal.SIGCONT)
        try:
            return work(self, *args)
        finally:
            os.killpg(self._process.pid, signal.SIGSTOP)

    return wrapped


class Vllm(Serving):
    """Prefix caching is on, as in our engine, and emptied before what is timed. An adapter is applied to the whole
    prompt, and its blocks of keys and values are its own: nothing of the base's context is found for it. Times include
    HTTP on the loopback, some milliseconds a request."""

    name = "vLLM"

    def __init__(self, engine: LocalEngine, threads: int, python: str) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="vllm-")
        folder = Path(self._scratch.name)
        base = export_base(None, folder / BASE)
        plain = {name: write_plain(engine.package(name), folder / name) for name in engine.adapters}
        self._log = folder / "vllm.log"
        port = _free_port()
        with self._log.open("wb") as log:
            self._process = _start([python, "-m", *_arguments(base, plain, port)], threads, log)
        # The environment's proxies are not for the loopback.
        # A connection a request: those that wait would time out while the server is stopped.
        fresh = httpx.Limits(max_keepalive_connections=0)
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=READ_S, trust_env=False, limits=fresh)
        try:
            self._wait()
            version = self._http.get("/version").raise_for_status().json()["version"]
            os.killpg(self._process.pid, signal.SIGSTOP)
        except BaseException:
            self.close()
            raise
        self.build = f"vLLM {version}, {_dtype()}, adapters as plain LoRAs"

    @_awake
    def prefill(self, ids: list[int]) -> float:
        return self._timed(BASE, ids, max_tokens=1)

    @_awake
    def decode(self, ids: list[int], tokens: int) -> float:
        return self._timed(BASE, ids, max_tokens=tokens, ignore_eos=True)

    @_awake
    def call(self, call: Call) -> str:
        self._forget()
        return self._call(call)

    @_awake
    def first_token(self, first: Call, second: Call) -> float:
        self._timed(first.adapter, [*first.context, *first.tail], max_tokens=1)
        started = time.perf_counter()
        self._complete(second.adapter, [*second.context, *second.tail], max_tokens=1)
        return time.perf_counter() - started

    @_awake
    def rows(self, ids: list[int], adapters: Sequence[str], tokens: int) -> float:
        """A request each, at once."""
        self._forget()
        started = time.perf_counter()
        with ThreadPoolExecutor(len(adapters)) as pool:
            list(pool.map(lambda name: self._complete(name, ids, max_tokens=tokens, ignore_eos=True), adapters))
        return time.perf_counter() - started

    @_awake
    def concurrent(self, calls: Sequence[Call], threads: int) -> float:
        self._forget()
        started = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(self._call, calls))
        return time.perf_counter() - started

    def close(self) -> None:
        """Ends the server with the processes that it started."""
        self._http.close()
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGCONT)
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        self._scratch.cleanup()

    def _wait(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"vLLM ended at its start ({PYTHON}):\n{self._last_lines()}")
            try:
                if self._http.get("/health", timeout=5).status_code == 200:
                    return
            except httpx.HTTPError:
                time.sleep(1)
        raise RuntimeError(f"vLLM did not serve within {START_S} s:\n{self._last_lines()}")

    def _last_lines(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])

    def _forget(self) -> None:
        self._http.post("/reset_prefix_cache").raise_for_status()

    def _timed(self, model: str, ids: Sequence[int], **options: Any) -> float:
        """Seconds of a completion with nothing cached."""
        self._forget()
        started = time.perf_counter()
        self._complete(model, ids, **options)
        return time.perf_counter() - started

    def _call(self, call: Call) -> str:
        ids = [*call.context, *call.tail]
        return self._complete(call.adapter, ids, max_tokens=call.max_tokens, **structured(call.grammar.bounded))

    def _complete(self, model: str, ids: Sequence[int], **options: Any) -> str:
        body = {"model": model, "prompt": list(ids), "temperature": 0, **options}
        answer = self._http.post("/v1/completions", json=body)
        if answer.is_error:
            raise RuntimeError(f"vLLM refused with {answer.status_code}: {answer.text:.500}")
        return str(answer.json()["choices"][0]["text"])


def _arguments(base: Path, adapters: dict[str, Path], port: int) -> list[str]:
    """The module, since the wheel for CPUs has no working `vllm` script, and what follows it."""
    server = ["vllm.entrypoints.openai.api_server", "--host", "127.0.0.1", "--port", str(port)]
    model = ["--model", str(base), "--served-model-name", BASE, "--dtype", _dtype()]
    limits = ["--max-model-len", "4096", "--max-num-seqs", "16"]
    rank = max(read_peft_config(folder).r for folder in adapters.values())
    lora = ["--enable-lora", "--max-lora-rank", str(rank), "--max-loras", str(len(adapters)), "--lora-modules"]
    grammar = ["--structured-outputs-config", '{"backend":"guidance","disable_any_whitespace":true}']
    return [*server, *model, *limits, *lora, *(f"{name}={folder}" for name, folder in adapters.items()), *grammar]


def _start(command: list[str], threads: int, log: BinaryIO) -> subprocess.Popen[bytes]:
    # As many threads as the others, where the system puts them: by itself vLLM leaves a core free.
    cores = {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": str(threads), "VLLM_CPU_KVCACHE_SPACE": "1"}
    # A busy machine: a step may wait for minutes, and vLLM would take itself for dead.
    patience = {"VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS": "1800"}
    # The last one opens /reset_prefix_cache.
    own = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "VLLM_SERVER_DEV_MODE": "1"}
    # Its environment is its own: no modules of ours.
    inherited = {name: value for name, value in as_started().items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    return subprocess.Popen(
        command,
        env={**inherited, **cores, **patience, **own},
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _dtype() -> str:
    """The faster one: where the CPU has no products of bfloat16, vLLM read a prompt of 512 tokens four times as fast in
    float32 and made a tool call in 0.8 times the time; only decoding took 1.2 times as long."""
    info = Path("/proc/cpuinfo")
    return "bfloat16" if info.exists() and "avx512_bf16" in info.read_text() else "float32"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

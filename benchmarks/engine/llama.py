"""llama.cpp through llama-cpp-python: the base's GGUF file, our adapters converted, its own grammars."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from lora_agent.engine.local.engine import LocalEngine
from lora_agent.engine.local.fetch import GGUF_MEMBER, GGUF_SHA256, check_digest, fetch_gguf
from lora_agent.folders import cache_dir

from .cases import Call
from .environment import as_started
from .gguf_lora import convert
from .peer import Peer


class LlamaCpp(Peer):
    """The file is the Q4_1 that our NF4 was made from. In a process of its own (`llama_worker.py`): in this one torch
    has loaded OpenMP with threads that sleep at barriers, and llama.cpp has hundreds of barriers a token."""

    name = "llama.cpp"

    def __init__(self, engine: LocalEngine, threads: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.llama_worker"],
            env=as_started(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            with tempfile.TemporaryDirectory() as scratch:
                adapters = _converted(engine, Path(scratch))
                files = {"model": str(gguf_file()), "adapters": adapters, "threads": threads}
                self.build = str(self._send(files)["value"])
        except BaseException:
            self.close()
            raise

    def prefill(self, ids: list[int]) -> float:
        return self._seconds("prefill", ids)

    def decode(self, ids: list[int], tokens: int) -> float:
        return self._seconds("decode", ids, tokens)

    def call(self, call: Call) -> str:
        request = ["call", call.adapter, call.context, call.tail, call.grammar.bounded, call.max_tokens]
        return str(self._send(request)["value"])

    def first_token(self, first: Call, second: Call) -> float:
        self._send(["keep", first.context])
        self._send(["after", first.adapter, len(first.context), first.tail])
        return self._seconds("after", second.adapter, len(second.context), second.tail)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _seconds(self, method: str, *arguments: Any) -> float:
        return float(self._send([method, *arguments])["seconds"])

    def _send(self, request: Any) -> dict[str, Any]:
        """Raises RuntimeError when the process has ended: what happened is on stderr."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            print(json.dumps(request), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise RuntimeError("llama.cpp's process ended; what happened is above")
        answer: dict[str, Any] = json.loads(line)
        return answer


def _converted(engine: LocalEngine, folder: Path) -> dict[str, str]:
    """The path of each adapter's GGUF file by its name."""
    config = engine.base.config
    paths = {}
    for name in engine.adapters:
        paths[name] = str(folder / f"{name}.gguf")
        convert(
            engine.package(name).weights_folder,
            Path(paths[name]),
            layers=config.num_hidden_layers,
            heads=config.num_attention_heads,
            kv_heads=config.num_key_value_heads,
        )
    return paths


def gguf_file() -> Path:
    """The base's file, fetched once. Raises BaseOfflineError, BaseDigestError."""
    folder = cache_dir() / "benchmarks"
    path = folder / Path(GGUF_MEMBER).name
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            os.replace(fetch_gguf(Path(scratch)), path)
    check_digest(path, GGUF_SHA256, "GGUF file")
    return path

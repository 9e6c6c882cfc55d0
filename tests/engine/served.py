"""A server that speaks vLLM's HTTP API on the tiny base: transformers and PEFT run it, llguidance binds its output, as
in vLLM; none of it is code of ours. It can be killed, slowed down and lied with. The real vLLM is in test_vllm.py.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import llguidance.hf
import numpy as np
import torch
from llguidance import LLMatcher
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask
from transformers import AutoModelForCausalLM, AutoTokenizer

_LOADING = threading.Lock()


class Server:
    """`loras`: names served from the start, with the folders of their weights, right or wrong.
    `hits` lists (model, number of new tokens) of every completion that was asked for."""

    def __init__(
        self, base: Path, loras: dict[str, Path] | None = None, *, port: int = 0, loading: bool = True
    ) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(base)
        self.bare = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
        self.models: dict[str, Any] = {"base": self.bare}
        self.base, self.loading = base, loading
        self.grammar_tokens = llguidance.hf.from_tokenizer(
            self.tokenizer, n_vocab=int(self.bare.config.vocab_size), eos_token=self.tokenizer.eos_token_id
        )
        self.lock = threading.Lock()
        self.hits: list[tuple[str, int]] = []
        self.slow_s = 0.0
        self.hang = threading.Event()
        self.answers: list[tuple[int, dict[str, str]]] = []  # statuses to give before anything is done
        self.ignore_schema = False
        self.lies = 0  # answers to give under another schema than the one asked for
        self.dropped = 0
        self.streaming = 0
        self.met = 0  # prompts scored beside other requests, of which vLLM's CPU build dies
        self.keys: set[str | None] = set()
        self.started = time.time()
        for name, folder in (loras or {}).items():
            self.load(name, folder)
        self.connections: set[socket.socket] = set()
        self.http = _Http(("127.0.0.1", port), self)
        self.port = self.http.server_address[1]
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def load(self, name: str, folder: Path) -> None:
        from peft import PeftModel

        with _LOADING:
            fresh = AutoModelForCausalLM.from_pretrained(self.base, dtype=torch.float32)
            self.models[name] = PeftModel.from_pretrained(fresh, folder).eval()

    def kill(self) -> None:
        """As kill -9 does: every connection ends, the port is closed."""
        self.http.shutdown()
        self.http.socket.close()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):  # closed already
                connection.shutdown(socket.SHUT_RDWR)
        self.thread.join()

    def answered(self, model: str) -> int:
        """Completions with at least one new token by `model`."""
        return sum(1 for name, tokens in self.hits if name == model and tokens)

    @torch.inference_mode()
    def logits(self, model: str, ids: list[int]) -> torch.Tensor:
        with self.lock:
            out: torch.Tensor = self.models[model](input_ids=torch.tensor([ids])).logits[0].float()
        return out

    def decode(self, body: dict[str, Any]) -> Iterator[tuple[int, float, dict[int, float], str | None]]:
        """(token, log-probability, likeliest alternatives, finish reason) per step."""
        ids, stops = list(body["prompt"]), {self.tokenizer.eos_token_id, *body.get("stop_token_ids", ())}
        matcher = self._matcher(body)
        generator = torch.Generator().manual_seed(body.get("seed") or 0)
        for step in range(body["max_tokens"]):
            time.sleep(self.slow_s)
            self.hang.wait(0 if not self.hang.is_set() else 3)
            scores = self.logits(body["model"], ids)[-1]
            if matcher is not None:
                mask = allocate_token_bitmask(1, self.grammar_tokens.vocab_size)
                fill_next_token_bitmask(matcher, mask, 0)
                bits = np.unpackbits(mask[0].view(np.uint8), bitorder="little")[: len(scores)]
                scores = scores.masked_fill(torch.from_numpy(bits == 0), float("-inf"))
            if body.get("allowed_token_ids"):
                keep = torch.full_like(scores, float("-inf"))
                keep[body["allowed_token_ids"]] = scores[body["allowed_token_ids"]]
                scores = keep
            logprobs = torch.log_softmax(scores, 0)
            if body.get("temperature"):
                probabilities = torch.softmax(logprobs / body["temperature"], 0)
                token = int(torch.multinomial(probabilities, 1, generator=generator))
            else:
                token = int(logprobs.argmax())
            wanted = body.get("logprob_token_ids") or logprobs.topk(body.get("logprobs") or 1).indices.tolist()
            top = {int(t): max(-9999.0, float(logprobs[t])) for t in [*wanted, token]}
            if matcher is not None and token not in stops:
                matcher.consume_token(token)
            ids.append(token)
            written = self.tokenizer.decode(ids[len(body["prompt"]) :])
            stopped = token in stops or any(text in written for text in body.get("stop", ()))
            last = step + 1 == body["max_tokens"]
            yield token, float(logprobs[token]), top, "stop" if stopped else "length" if last else None
            if stopped:
                return

    def _matcher(self, body: dict[str, Any]) -> LLMatcher | None:
        form, bound = body.get("response_format"), body.get("structured_outputs") or {}
        if self.ignore_schema:
            return None
        if form and self.lies:
            self.lies -= 1
            other = {"type": "object", "properties": {"other": {"const": 1}}, "required": ["other"]}
            grammar = LLMatcher.grammar_from_json_schema(
                json.dumps({**other, "additionalProperties": False, "x-guidance": {"whitespace_flexible": False}})
            )
        elif form:
            grammar = LLMatcher.grammar_from_json_schema(json.dumps(form["json_schema"]["schema"]))
        elif "regex" in bound:
            grammar = LLMatcher.grammar_from_regex(bound["regex"])
        elif "choice" in bound:
            grammar = LLMatcher.grammar_from_lark("start: " + " | ".join(map(json.dumps, bound["choice"])))
        else:
            return None
        return LLMatcher(self.grammar_tokens, grammar)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], owner: Server) -> None:
        self.owner = owner
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        self.owner.dropped += 1  # the other side has gone


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Http

    def setup(self) -> None:
        super().setup()
        self.server.owner.connections.add(self.connection)

    def log_message(self, *_: Any) -> None: ...

    def do_GET(self) -> None:
        owner = self.server.owner
        if self.path == "/health":
            self._json(200, {})
        elif self.path == "/metrics":
            self._send(200, f"process_start_time_seconds {owner.started}\n", "text/plain")
        elif self.path == "/v1/models":
            data = [{"id": n, "owned_by": "vllm", "parent": None if n == "base" else "base"} for n in owner.models]
            data[0]["max_model_len"] = 900
            self._json(200, {"data": data})
        else:
            self._json(404, {"error": {"message": "no such route"}})

    def do_POST(self) -> None:
        owner = self.server.owner
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        owner.keys.add(self.headers.get("authorization"))
        if owner.answers and self.path == "/v1/completions":
            status, headers = owner.answers.pop(0)
            return self._json(status, {"error": {"message": f"told to say {status}"}}, headers)
        if self.path == "/v1/load_lora_adapter":
            if not owner.loading:
                return self._json(404, {"error": {"message": "no such route"}})
            owner.load(body["lora_name"], Path(body["lora_path"]))
            return self._send(200, "Success", "text/plain")
        if body["model"] not in owner.models:
            return self._json(404, {"error": {"message": f"The model `{body['model']}` does not exist."}})
        owner.hits.append((body["model"], body["max_tokens"]))
        return self._stream(body) if body.get("stream") else self._echo(body)

    def _echo(self, body: dict[str, Any]) -> None:
        self.server.owner.met += self.server.owner.streaming > 0
        assert body["echo"]
        assert body["max_tokens"] == 0
        ids = body["prompt"]
        scores = torch.log_softmax(self.server.owner.logits(body["model"], ids), -1)
        found = [None, *(float(scores[i, token]) for i, token in enumerate(ids[1:]))]
        self._json(200, {"choices": [{"logprobs": {"token_logprobs": found}}]})

    def _stream(self, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self.server.owner.streaming += 1
        try:
            self._tokens(body)
        finally:
            self.server.owner.streaming -= 1
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _tokens(self, body: dict[str, Any]) -> None:
        for token, logprob, top, finish in self.server.owner.decode(body):
            named = {f"token_id:{t}": v for t, v in top.items()}
            found = {"tokens": [f"token_id:{token}"], "token_logprobs": [logprob], "top_logprobs": [named]}
            choice = {"index": 0, "text": "", "token_ids": [token], "logprobs": found, "finish_reason": finish}
            self._event({"choices": [choice]})
        usage = {"prompt_tokens": len(body["prompt"]), "prompt_tokens_details": {"cached_tokens": 3}}
        self._event({"choices": [], "usage": usage})

    def _event(self, value: Any) -> None:
        self._chunk(b"data: " + json.dumps(value).encode() + b"\n\n")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _json(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(value), "application/json", headers)

    def _send(self, status: int, text: str, kind: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"content-type": kind, "content-length": str(len(text)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())

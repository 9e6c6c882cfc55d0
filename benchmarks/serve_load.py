"""`python -m benchmarks.serve_load`: many clients at once against `lora-agent serve`, polite and otherwise.

Each request carries a nonce that its answer must repeat, so a lost or crossed answer shows. Some clients read slowly,
leave in the middle, send too much, or send what is no request; every refusal must say why. Exit code 1 where one of
that fails or the server's memory grows.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

CHAT = "/v1/chat/completions"
THINGS = ["the sea", "grass", "blood", "night", "snow", "the sun", "rust", "a plum"]
QUESTIONS = [f"Which colour goes with {thing}?" for thing in THINGS]
COLOURS = ["red", "blue", "green", "white", "black", "brown"]
KINDS = {"whole": 50, "stream": 25, "slow": 8, "leaver": 8, "oversized": 3, "malformed": 3, "wrong": 3}
"""Of a hundred requests. `slow` reads a piece every 50 ms, `leaver` goes after the first piece."""
MOST_SAMPLES = 20
MAX_GROWTH_MIB = 48
"""From the first quarter's end to the run's: what a leak of one session's cache a request would exceed many times. The
prefix cache, which may hold some hundred MiB, is filled before."""


@dataclass
class Tally:
    done: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    samples: list[tuple[dict[str, Any], str]] = field(default_factory=list)
    """Some requests and their answers, to be asked again once nobody else is there."""

    def fault(self, what: str) -> None:
        self.faults.append(what)


def body_of(question: str, nonce: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {"nonce": {"const": nonce}, "colour": {"enum": COLOURS}},
        "required": ["nonce", "colour"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    return {
        "model": "base",
        "messages": [{"role": "user", "content": question}],
        "response_format": wanted,
        "max_completion_tokens": 48,
    }


async def client(http: httpx.AsyncClient, number: int, until: float, tally: Tally) -> None:
    dice = random.Random(number)
    while time.monotonic() < until:
        kind = dice.choices(list(KINDS), list(KINDS.values()))[0]
        nonce, question = f"{number}-{dice.getrandbits(48):012x}", dice.choice(QUESTIONS)
        started = time.monotonic()
        try:
            await _once(http, kind, question, nonce, tally)
            tally.done[kind] += 1
            tally.seconds.append(time.monotonic() - started)
        except _Refused as refused:
            tally.refused[f"{refused.status} {refused.code}"] += 1
            await asyncio.sleep(min(refused.after, max(0.0, until - time.monotonic())))
        except (httpx.HTTPError, ValueError, KeyError, IndexError) as error:
            tally.fault(f"{kind}: {type(error).__name__} {error}"[:200])


class _Refused(Exception):
    def __init__(self, status: int, code: str, after: float) -> None:
        self.status, self.code, self.after = status, code, after


async def _once(http: httpx.AsyncClient, kind: str, question: str, nonce: str, tally: Tally) -> None:
    if kind in ("oversized", "malformed", "wrong"):
        expected, content = {
            "oversized": (413, b'{"model": "' + b"a" * 1_200_000 + b'"}'),
            "malformed": (400, b'{"model": "base", "messages": [' + nonce.encode()),
            "wrong": (400, json.dumps({**body_of(question, nonce), "beams": 3}).encode()),
        }[kind]
        try:
            answer = await http.post(CHAT, content=content, headers={"Content-Type": "application/json"})
        except (httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
            if kind != "oversized":  # there the server may close before the client has sent it all, as HTTP allows
                raise
            return
        if answer.status_code not in (expected, 503):
            tally.fault(f"{kind}: {answer.status_code} instead of {expected}")
        elif len(answer.json()["error"]["message"]) < 10:
            tally.fault(f"{kind}: not told why")
        return
    body = body_of(question, nonce)
    if kind == "whole":
        answer = await http.post(CHAT, json=body)
        _raise_refusal(answer.status_code, answer.headers, answer.content)
        text = answer.json()["choices"][0]["message"]["content"]
    else:
        async with http.stream("POST", CHAT, json={**body, "stream": True}) as answer:
            if answer.status_code != 200:
                _raise_refusal(answer.status_code, answer.headers, await answer.aread())
            text, ended = "", False
            async for line in answer.aiter_lines():
                if not line.startswith("data: "):
                    continue
                if kind == "leaver":
                    return
                if line == "data: [DONE]":
                    ended = True
                    break
                chunk = json.loads(line.removeprefix("data: "))
                text += chunk["choices"][0]["delta"].get("content") or ""
                if kind == "slow":
                    await asyncio.sleep(0.05)
            if not ended:
                raise ValueError(f"the stream broke off after {text!r}")
    found = json.loads(text)["nonce"]
    if found != nonce:
        tally.fault(f"crossed: asked {nonce}, got {found}")
    if sum(tally.done.values()) % 16 == 0 and len(tally.samples) < MOST_SAMPLES:
        tally.samples.append((body, text))


def _say(stage: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {stage}", file=sys.stderr, flush=True)


async def _fill_prefix_cache(http: httpx.AsyncClient) -> None:
    held = -1.0
    for number in range(40):
        text = f"{number} " + "word " * 1200
        body = {"model": "base", "messages": [{"role": "user", "content": text}], "max_completion_tokens": 1}
        await http.post(CHAT, json=body)
        metrics = (await http.get("/metrics")).text
        now = next(float(x.split()[-1]) for x in metrics.splitlines() if x.startswith("lora_agent_cached_tokens "))
        if now < held * 1.02:
            return
        held = now


def _raise_refusal(status: int, headers: Any, content: bytes) -> None:
    if status == 200:
        return
    error = json.loads(content)["error"]
    if status not in (429, 503) or not error["message"] or "retry-after" not in headers:
        raise ValueError(f"{status} {error}")
    raise _Refused(status, error["code"], float(headers["retry-after"]))


def resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS"))


async def measure(address: str, pid: int, clients: int, seconds: float) -> dict[str, Any]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=clients)
    async with httpx.AsyncClient(base_url=address, timeout=180, limits=limits) as http:
        _say("filling the prefix cache")
        await _fill_prefix_cache(http)
        _say(f"{clients} clients for {seconds:g} s")
        tally, memory = Tally(), [resident_mib(pid)]
        until = time.monotonic() + seconds
        tasks = [asyncio.create_task(client(http, n, until, tally)) for n in range(clients)]
        while time.monotonic() < until:
            await asyncio.sleep(min(2.0, seconds / 20))
            memory.append(resident_mib(pid))
        _say("waiting for the answers that are under way")
        await asyncio.gather(*tasks)
        for _ in range(100):
            text = (await http.get("/metrics")).text
            inside = next(line for line in text.splitlines() if line.startswith("lora_agent_requests_inside "))
            if inside.endswith(" 0.0"):
                break
            await asyncio.sleep(0.1)
        else:
            tally.fault(f"work is left over: {inside}")
        memory.append(resident_mib(pid))
        _say("asking some again, alone")
        alike = 0
        for body, text in tally.samples:
            answer = await http.post(CHAT, json=body)
            alike += answer.json()["choices"][0]["message"]["content"] == text
    growth = statistics.median(memory[-3:]) - statistics.median(memory[len(memory) // 4 :][:3])
    if growth > MAX_GROWTH_MIB:
        tally.fault(f"memory grew by {growth:.0f} MiB after the first quarter")
    times = sorted(tally.seconds) or [0.0]
    return {
        "clients": clients,
        "seconds": seconds,
        "answered": dict(tally.done),
        "refused, told why and when to come back": dict(tally.refused),
        "same answer when asked again alone": f"{alike} of {len(tally.samples)}",
        "seconds, median and 95 %": [round(times[len(times) // 2], 2), round(times[int(len(times) * 0.95)], 2)],
        "resident MiB, start, first quarter, end": [
            round(memory[0]), round(memory[len(memory) // 4]), round(memory[-1]),
        ],
        "faults": tally.faults[:20],
        "number of faults": len(tally.faults),
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serve_load", description=__doc__)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--queue", type=int, default=64)
    parser.add_argument("--base", help="another base than the embedded one")
    options = parser.parse_args()
    command = [sys.executable, "-m", "lora_agent.cli.main", "serve", "--port", "0"]
    command += ["--workers", str(options.workers), "--queue", str(options.queue), "--key-requests", str(10**6)]
    command += ["--base", options.base, "--quantization", "none"] if options.base else []
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=dict(os.environ)) as server:
        assert server.stderr is not None
        try:
            address = next(line.split()[-1] for line in server.stderr if line.startswith("serving on"))
            log = asyncio.new_event_loop()
            found = log.run_until_complete(_with_log(server.stderr, address, server.pid, options))
        finally:
            server.terminate()
            server.wait(60)
    print(json.dumps(found, indent=1))
    return 1 if found["number of faults"] else 0


async def _with_log(stderr: Any, address: str, pid: int, options: argparse.Namespace) -> dict[str, Any]:
    """The server's log must be read, or its pipe fills and it stops; faults in it are shown."""

    def read() -> None:
        for line in stderr:
            if '"event": "fault"' in line or "Traceback" in line:
                print(line, file=sys.stderr)

    reading = asyncio.get_running_loop().run_in_executor(None, read)
    found = await measure(address, pid, options.clients, options.seconds)
    reading.cancel()
    return found


if __name__ == "__main__":
    raise SystemExit(main())

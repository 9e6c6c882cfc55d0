"""Engine.connect against servers with real models: same results as in process, proof before use, no request lost."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from lora_agent.engine import Engine
from lora_agent.engine.local.engine import LocalEngine
from lora_agent.engine.remote import wire
from lora_agent.engine.remote.engine import RemoteEngine
from lora_agent.engine.remote.proof import served_name
from lora_agent.errors import (
    AdapterError,
    ConfigError,
    ContextTooLongError,
    FingerprintError,
    SchemaError,
    ServerRefusedError,
    ServerUnreachableError,
    UnsupportedAdapterError,
)
from lora_agent.registry import Registry
from lora_agent.structured import MARKER
from lora_agent.types import compact_json

from .conftest import load_tiny, package_adapter
from .served import Server

QUESTIONS = [
    "What is the weather in Oslo?",
    "Tell me a joke, please.",
    "How long does the warranty last?",
    "ticket product category priority",
    "What is high and what is low?",
    "safe or unsafe",
]
TALK = [{"role": "user", "content": QUESTIONS[0]}]


@pytest.fixture(scope="module")
def folders(base_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Packages by name: plain ones, an activated one, and one that comes with a plain variant."""
    base = load_tiny(base_dir)
    made = {n: package_adapter(base_dir, base, n, tmp_path_factory.mktemp(n)) for n in ("lora", "rslora", "alora")}
    made["alora2"] = package_adapter(base_dir, base, "alora2", tmp_path_factory.mktemp("alora2"), variant=True)
    return made


@pytest.fixture(scope="module")
def local(base_dir: Path, folders: dict[str, Path]) -> LocalEngine:
    return LocalEngine(load_tiny(base_dir), Registry.discover(folders.values(), search=False))


@pytest.fixture
def servers(base_dir: Path) -> Iterator[list[Server]]:
    """Two replicas."""
    running = [Server(base_dir), Server(base_dir)]
    yield running
    for server in running:
        if server.thread.is_alive():
            server.kill()


@pytest.fixture
def connect(base_dir: Path, folders: dict[str, Path], servers: list[Server]) -> Iterator[Any]:
    opened: list[RemoteEngine] = []

    def open_engine(*urls: str, **options: Any) -> RemoteEngine:
        first, *rest = urls or [server.url for server in servers]
        given = {"base": base_dir, "adapters": list(folders.values()), "replicas": rest, "retry_s": 20.0, **options}
        opened.append(Engine.connect(first, **given))
        return opened[-1]

    yield open_engine
    for engine in opened:
        engine.close()


@pytest.fixture
def engine(connect: Any) -> RemoteEngine:
    opened: RemoteEngine = connect()
    return opened


def ask(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


def test_the_same_requests_in_process_and_over_http(engine: RemoteEngine, local: LocalEngine) -> None:
    calls = [(name, ask(text)) for name in ("lora", "rslora") for text in QUESTIONS]
    for (name, inputs), remote in zip(calls, engine.call_batch(calls), strict=True):
        own = local.call(name, inputs)
        assert (remote.output, remote.raw, remote.verdict) == (own.output, own.raw, own.verdict)
        assert remote.verdict == "valid"
        assert remote.adapter_digest == own.adapter_digest
        assert sum(remote.logprobs) == pytest.approx(sum(own.logprobs), abs=1e-3)
        assert remote.usage.reused == 3
        assert remote.usage.forced > 5


def test_the_base_answers_free_and_bound(engine: RemoteEngine, local: LocalEngine) -> None:
    assert engine.generate(TALK, max_tokens=8) == local.generate(TALK, max_tokens=8)
    digit = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 9}}, "required": ["n"]}
    assert engine.generate(TALK, schema=digit) == local.generate(TALK, schema=digit)
    assert engine.generate(TALK, choices=["warm", "cold"]) == local.generate(TALK, choices=["warm", "cold"])
    assert engine.generate(TALK, regex="[0-9]{2}:[0-9]{2}") == local.generate(TALK, regex="[0-9]{2}:[0-9]{2}")
    with pytest.raises(SchemaError, match="schema and choices"):
        engine.generate(TALK, schema=digit, choices=["warm"])


def test_streams_stops_and_log_probabilities(engine: RemoteEngine, local: LocalEngine) -> None:
    remote_seen: list[str] = []
    local_seen: list[str] = []
    own = local.session(TALK).run("lora", top_logprobs=2, watch=local_seen.append)
    got = engine.session(TALK).run("lora", top_logprobs=2, watch=remote_seen.append)
    assert got.raw == own.raw == remote_seen[-1]
    assert all(got.raw.startswith(text) for text in remote_seen)
    assert [t.token for t in got.token_logprobs] == [t.token for t in own.token_logprobs]
    assert [t.logprob for t in got.token_logprobs] == pytest.approx([t.logprob for t in own.token_logprobs], abs=1e-3)
    free = local.complete("What is the", max_tokens=12)
    assert engine.complete("What is the", max_tokens=12).output == free.output
    middle = free.raw[len(free.raw) // 2]
    stopped = engine.complete("What is the", max_tokens=12, stop=[middle])
    assert stopped.raw == local.complete("What is the", max_tokens=12, stop=[middle]).raw == free.raw.split(middle)[0]
    sampled = [engine.complete("What is the", max_tokens=6, temperature=5.0, seed=seed).raw for seed in (1, 1, 2)]
    assert sampled[0] == sampled[1] != sampled[2]


def test_a_choice_has_the_probabilities_of_a_bound_decode(engine: RemoteEngine, local: LocalEngine) -> None:
    """Options that begin alike part later: the product along each way, by the local model's own numbers."""
    options = ["safe", "safer", "unsafe", "joke"]
    found = engine.session(TALK).choose("Which word?", options)
    renderer, expected = local.base.renderer, {}
    from lora_agent.engine.prompts import choice_prompt

    context = renderer.context(local.session(TALK).messages) + choice_prompt(renderer, "Which word?")
    spelled = {o: [*renderer.text(o), renderer.stop_token_ids[0]] for o in options}
    for option, ids in spelled.items():
        probability = 1.0
        for step, token in enumerate(ids):
            ways = sorted({other[step] for other in spelled.values() if other[:step] == ids[:step]})
            read = context + ids[:step]
            scores = torch.tensor([local.runner.logprobs([*read, 0], [len(read) - 1], [way])[0] for way in ways])
            probability *= float(torch.softmax(scores, 0)[ways.index(token)])
        expected[option] = probability
    assert found == pytest.approx(expected, abs=1e-4)
    assert sum(found.values()) == pytest.approx(1)
    route = engine.session(TALK).route(["lora", "rslora"])
    assert route.method == "decode"
    assert set(route.probabilities) == {"lora", "rslora", "base"}


def test_a_base_in_process_may_route(connect: Any, local: LocalEngine) -> None:
    engine = connect(router=local)
    session = engine.session(TALK)
    assert session.route(["lora"]).probabilities == local.session(TALK).route(["lora"]).probabilities


def test_activated_adapters_run_as_their_plain_variant_or_not_at_all(
    engine: RemoteEngine, local: LocalEngine, servers: list[Server]
) -> None:
    assert set(engine.adapters) == {"lora", "rslora", "alora2"}
    assert set(engine.unserved) == {"alora"}
    with pytest.raises(UnsupportedAdapterError, match=r"activated LoRA.*\n.*variants: \[alora, lora\]"):
        engine.call("alora", ask("Hello"))
    result = engine.call("alora2", ask("Hello"))
    assert result.verdict == "valid"
    assert result.adapter_digest not in (None, local.adapters["alora2"].digest)
    assert engine.adapters["alora2"].spec.kind == "lora"
    assert not any(name.startswith("alora@") for server in servers for name in server.models)


@pytest.mark.parametrize("fault", ["wrong", "zeroed", "swapped"])
def test_a_false_adapter_is_refused_before_it_answers(
    base_dir: Path, folders: dict[str, Path], local: LocalEngine, connect: Any, tmp_path: Path, fault: str
) -> None:
    name = served_name(local.adapters["lora"])
    other = served_name(local.adapters["rslora"])
    folder = folders["lora"]
    if fault == "zeroed":
        folder = tmp_path / "zeroed"
        folder.mkdir()
        (folder / "adapter_config.json").write_bytes((folders["lora"] / "adapter_config.json").read_bytes())
        weights = load_file(folders["lora"] / "adapter_model.safetensors")
        save_file({n: w * 0 if "lora_B" in n else w for n, w in weights.items()}, folder / "adapter_model.safetensors")
    served = {"wrong": {name: folders["rslora"]}, "zeroed": {name: folder}}
    served["swapped"] = {name: folders["rslora"], other: folders["lora"]}
    lying = Server(base_dir, served[fault])
    try:
        engine = connect(lying.url)
        with pytest.raises(FingerprintError, match="no effect" if fault == "zeroed" else "does not act as it did"):
            engine.call("lora", ask("Hello"))
        with pytest.raises(FingerprintError):
            engine.verify("lora")
        assert lying.answered(name) == 0
    finally:
        lying.kill()


def test_a_lying_replica_is_left_out_where_another_is_honest(
    base_dir: Path, folders: dict[str, Path], local: LocalEngine, servers: list[Server], connect: Any
) -> None:
    name = served_name(local.adapters["lora"])
    servers[0].load(name, folders["rslora"])
    engine = connect()
    results = engine.call_batch([("lora", ask(text)) for text in QUESTIONS])
    assert [r.output for r in results] == [local.call("lora", ask(text)).output for text in QUESTIONS]
    assert servers[0].answered(name) == 0
    assert servers[1].answered(name) == len(QUESTIONS)


def test_a_killed_replica_loses_no_request(
    base_dir: Path, folders: dict[str, Path], local: LocalEngine, servers: list[Server], engine: RemoteEngine
) -> None:
    expected = {text: local.call("lora", ask(text)).output for text in QUESTIONS}
    for server in servers:
        server.slow_s = 0.005
    asked = QUESTIONS * 4
    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(engine.call, "lora", ask(text)) for text in asked]
        while sum(server.answered(served_name(local.adapters["lora"])) for server in servers) < 6:
            time.sleep(0.01)
        servers[0].kill()
        results = [future.result(timeout=120) for future in running]
    assert [r.output for r in results] == [expected[text] for text in asked]
    # It comes back at the same address, without the adapter: it is loaded and proven again, then used.
    back = Server(base_dir, port=servers[0].port)
    servers.append(back)
    first = engine.client.replicas.all[0]
    deadline = time.monotonic() + 30
    while not first.up and time.monotonic() < deadline:
        time.sleep(0.05)
    engine.call_batch([("lora", ask(text)) for text in asked])
    name = served_name(local.adapters["lora"])
    assert back.answered(name) > 0
    assert (name, 0) in back.hits


def test_a_proof_meets_no_other_request(engine: RemoteEngine, servers: list[Server]) -> None:
    """vLLM's CPU build dies of it."""
    for server in servers:
        server.slow_s = 0.01
    with ThreadPoolExecutor(16) as pool:
        free = [pool.submit(engine.session(text).generate, max_tokens=24) for text in QUESTIONS]
        while not any(server.streaming for server in servers):
            time.sleep(0.001)
        names = ("lora", "rslora", "alora2")
        bound = [pool.submit(engine.call, name, ask(text)) for text in QUESTIONS for name in names]
        assert all(future.result(timeout=120).ok for future in bound)
        assert all(future.result(timeout=120).raw for future in free)
    assert sum(server.met for server in servers) == 0


def test_who_waits_for_a_proof_keeps_its_deadline(engine: RemoteEngine, servers: list[Server]) -> None:
    async def alone() -> None:
        for replica in engine.client.replicas.all:
            replica.gate._closed = True

    engine._loop.run(alone())
    started = time.monotonic()
    result = engine.session(TALK).generate(max_tokens=8, deadline=time.monotonic() + 0.5)
    assert result.finish_reason == "deadline"
    assert time.monotonic() - started < 10


def test_a_restart_that_nobody_saw_is_noticed(
    base_dir: Path, folders: dict[str, Path], local: LocalEngine, servers: list[Server], connect: Any
) -> None:
    """Between two requests the process is replaced by one that has other weights under the name from the start."""
    engine = connect(servers[0].url, retry_s=3.0)
    assert engine.call("lora", ask("Hello")).ok
    servers[0].kill()
    name = served_name(local.adapters["lora"])
    servers.append(Server(base_dir, {name: folders["rslora"]}, port=servers[0].port))
    with pytest.raises(FingerprintError):
        engine.call("lora", ask("Hello"))


def test_an_unloaded_adapter_is_loaded_and_proven_again(
    local: LocalEngine, servers: list[Server], connect: Any
) -> None:
    engine = connect(servers[0].url)
    name = served_name(local.adapters["lora"])
    before = engine.call("lora", ask("Hello")).output
    del servers[0].models[name]
    assert engine.call("lora", ask("Hello")).output == before
    assert servers[0].hits.count((name, 0)) == 2


def test_an_adapter_that_cannot_be_loaded_says_how(base_dir: Path, connect: Any) -> None:
    closed = Server(base_dir, loading=False)
    try:
        with pytest.raises(AdapterError, match="lora-agent deploy vllm"):
            connect(closed.url, retry_s=1.0).call("lora", ask("Hello"))
    finally:
        closed.kill()


def test_busy_servers_are_asked_again_when_they_say(servers: list[Server], connect: Any) -> None:
    engine = connect(servers[0].url)
    engine.call("lora", ask("Hello"))
    servers[0].answers = [(429, {"retry-after": "0.5"}), (503, {}), (500, {})]
    started = time.monotonic()
    assert engine.call("lora", ask("Hello")).ok
    assert time.monotonic() - started >= 0.5
    assert not servers[0].answers


def test_a_refusal_is_the_callers_to_see(servers: list[Server], connect: Any) -> None:
    engine = connect(servers[0].url, api_key="secret")
    engine.call("lora", ask("Hello"))
    assert servers[0].keys == {"Bearer secret"}
    servers[0].answers = [(400, {})]
    with pytest.raises(ServerRefusedError, match="told to say 400"):
        engine.call("lora", ask("Hello"))
    servers[0].answers = [(401, {})]
    with pytest.raises(ServerRefusedError, match="api_key"):
        engine.call("lora", ask("Hello"))


def test_a_replica_that_hangs_is_given_up(servers: list[Server], connect: Any) -> None:
    engine = connect(read_s=0.5)
    engine.call_batch([("lora", ask(text)) for text in QUESTIONS])
    servers[0].hang.set()
    started = time.monotonic()
    assert all(r.ok for r in engine.call_batch([("lora", ask(text)) for text in QUESTIONS]))
    assert time.monotonic() - started < 10
    servers[0].hang.clear()


def test_deadline_and_cancel_drop_the_request(servers: list[Server], connect: Any) -> None:
    engine = connect(servers[0].url)
    engine.call("lora", ask("Hello"))
    servers[0].slow_s = 0.2
    started = time.monotonic()
    session = engine.session(TALK)
    result = session.run("lora", deadline=time.monotonic() + 0.5)
    assert (result.finish_reason, result.verdict, result.ok) == ("deadline", "truncated", False)
    asked = iter([False] * 3 + [True] * 100)
    assert session.run("lora", cancel=lambda: next(asked)).finish_reason == "cancelled"
    assert time.monotonic() - started < 4
    while servers[0].dropped < 2 and time.monotonic() - started < 10:  # the server writes to nobody, and notices
        time.sleep(0.05)
    assert servers[0].dropped == 2
    servers[0].slow_s = 0
    assert session.run("lora").ok
    assert session.run("lora", deadline=time.monotonic() - 1).finish_reason == "deadline"


def test_output_is_validated_here_whatever_the_server_does(servers: list[Server], connect: Any) -> None:
    engine = connect(servers[0].url)
    engine.call("lora", ask("Hello"))
    servers[0].ignore_schema = True
    result = engine.call("lora", ask("Hello"), max_tokens=12)
    assert result.verdict in ("invalid", "truncated")
    assert result.output is None


def test_a_value_that_breaks_the_schema_is_asked_for_again(servers: list[Server], connect: Any) -> None:
    """As when the server's grammar cannot express a keyword and drops it."""
    engine = connect(servers[0].url)
    servers[0].lies = 1
    result = engine.call("lora", ask("Hello"))
    assert (result.verdict, result.redecoded) == ("valid", 1)
    servers[0].lies = 3
    result = engine.call("lora", ask("Hello"))
    assert (result.verdict, result.output, result.redecoded) == ("invalid", None, 2)


def test_contexts_that_are_too_long_are_not_sent(servers: list[Server], engine: RemoteEngine) -> None:
    with pytest.raises(ContextTooLongError, match="the server reads 900"):
        engine.call("lora", ask("word " * 1000))
    assert not any(server.hits for server in servers)


def test_no_server_is_said_at_once(base_dir: Path) -> None:
    started = time.monotonic()
    with pytest.raises(ServerUnreachableError, match=r"127\.0\.0\.1:9"):
        Engine.connect("http://127.0.0.1:9/v1", base=base_dir, retry_s=0.5)
    with pytest.raises(ConfigError, match="not an http"):
        Engine.connect("127.0.0.1:9", base=base_dir)
    assert time.monotonic() - started < 10


def test_one_dead_address_does_not_stop_the_start(servers: list[Server], connect: Any) -> None:
    engine = connect("http://127.0.0.1:9", servers[0].url)
    assert engine.call("lora", ask("Hello")).ok


def test_log_probabilities_of_the_bare_model_are_brought_under_the_grammar() -> None:
    """Servers without --logprobs-mode processed_logprobs tell what the model thought before the grammar."""
    from lora_agent.engine.remote.decoding import _unmasked

    told = {1: -1.0, 2: -2.0, 3: -0.5}
    assert _unmasked(told, [1, 2]) == pytest.approx(float(torch.logsumexp(torch.tensor([-1.0, -2.0]), 0)))
    assert _unmasked(told, [1, 2, 3, 4]) == 0.0


def test_errors_are_told_in_the_servers_own_words() -> None:
    assert wire._message(json.dumps({"error": {"message": "too long"}})) == "too long"
    assert wire._message("<html>") == "<html>"


def test_a_value_comes_after_free_text_and_grows_while_it_is_written(engine: RemoteEngine) -> None:
    digits = {"type": "array", "items": {"enum": [1, 2, 3]}, "minItems": 3, "maxItems": 3}
    seen: list[str] = []
    result = engine.session(TALK).generate(schema=digits, preamble=True, max_tokens=40, watch=seen.append)
    assert result.ok
    assert result.preamble is not None
    assert result.raw == result.preamble + MARKER + compact_json(result.output)
    assert result.usage.generated > 20, "the text's tokens count as well"
    assert all(result.raw.startswith(text) for text in seen)
    *partial, last = engine.stream(TALK, schema=digits, preamble=True, max_tokens=40)
    assert last == result.output
    assert all(value == last[: len(value)] for value in partial)
    with pytest.raises(SchemaError, match="preamble"):
        engine.generate(TALK, preamble=True)


def test_streams_in_process_and_over_http(engine: RemoteEngine, local: LocalEngine, servers: list[Server]) -> None:
    *partial, last = engine.stream(TALK, max_tokens=8)
    assert last == local.generate(TALK, max_tokens=8)
    assert all(last.startswith(text) for text in partial)
    with pytest.raises(SchemaError, match="schema and choices"):
        next(engine.stream(TALK, schema={"type": "integer"}, choices=["warm"]))
    for server in servers:
        server.slow_s = 0.2
    pieces = engine.stream(TALK, max_tokens=200)
    assert next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    started = time.monotonic()
    while not any(server.dropped for server in servers) and time.monotonic() - started < 20:
        time.sleep(0.05)
    assert any(server.dropped for server in servers)

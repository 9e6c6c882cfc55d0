"""`lora-agent serve` as a user starts it: the embedded base, the shipped adapters, the OpenAI client. Slow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import httpx
import openai
import pytest
from pydantic import BaseModel

from lora_agent import Engine
from lora_agent.engine.local.engine import LocalEngine
from tests.cases import WEATHER

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
TALK: Any = [{"role": "user", "content": "What is the weather in Lagos?"}]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("serve") / "log"
    command = [sys.executable, "-m", "lora_agent.cli.main", "serve", "--port", "0", "--tools", "examples/tools.py"]
    environment = {**os.environ, "LORA_AGENT_API_KEY": "one, two"}
    with log.open("w") as stderr, subprocess.Popen(command, stderr=stderr, env=environment, cwd=ROOT) as server:
        try:
            while "serving on" not in log.read_text():
                assert server.poll() is None, log.read_text()[-2000:]
            yield next(line.split()[-1] for line in log.read_text().splitlines() if line.startswith("serving on"))
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{address}/v1", api_key="two", max_retries=0, timeout=120) as found:
        yield found


@pytest.fixture(scope="module")
def engine() -> LocalEngine:
    return Engine.load()


def test_a_wrong_key_is_refused(address: str) -> None:
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{address}/v1", api_key="three", max_retries=0).models.list()


def test_the_router_has_the_tool_called(client: openai.OpenAI) -> None:
    answer: Any = client.chat.completions.create(model="auto", messages=TALK, tools=[WEATHER])
    (call,) = answer.choices[0].message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Lagos"})
    assert answer.lora_agent["route"]["probabilities"]["tool_call"] > 0.5
    back: Any = [
        *TALK,
        answer.choices[0].message,
        {"role": "tool", "tool_call_id": call.id, "content": '{"sky":"fog"}'},
    ]
    end = client.chat.completions.create(model="auto", messages=back, tools=[WEATHER])
    assert end.choices[0].message.content == "get_weather: sky: fog"
    assert end.choices[0].finish_reason == "stop"


def test_every_adapter_says_over_http_what_it_says_in_process(client: openai.OpenAI, engine: LocalEngine) -> None:
    documents = [{"id": "a", "text": "The library opens at nine."}, {"id": "b", "text": "A card costs twelve euros."}]
    talk: Any = [{"role": "user", "content": "When does the library open?"}]
    given: dict[str, dict[str, Any]] = {
        "safety": {"inputs": {"target": "user"}},
        "query_rewrite": {},
        "retrieval": {"documents": documents},
    }
    for name, extra in given.items():
        answer: Any = client.chat.completions.create(model=name, messages=talk, extra_body=extra)
        direct = engine.call(
            name, {"messages": talk, **extra.get("inputs", {}), **{k: v for k, v in extra.items() if k != "inputs"}}
        )
        assert json.loads(answer.choices[0].message.content) == direct.output
        assert answer.lora_agent["adapter_digest"] == direct.adapter_digest
        assert answer.lora_agent["verdict"] == "valid"


def test_the_agent_calls_the_operators_tools(client: openai.OpenAI) -> None:
    chunks: list[Any] = list(client.chat.completions.create(model="agent", messages=TALK, stream=True))
    told = [chunk.lora_agent for chunk in chunks if getattr(chunk, "lora_agent", None)]
    kinds = [facts["step"]["kind"] for facts in told if "step" in facts]
    assert kinds[0] == "guard"
    assert "tool" in kinds
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert "29" in text  # from examples/tools.py
    assert told[-1]["stop_reason"] == "answer"
    assert len(told[-1]["steps"]) == len(kinds)


def test_many_at_once_get_their_own_answers(client: openai.OpenAI) -> None:
    class Answer(BaseModel):
        nonce: str
        mood: Literal["good", "bad"]

    def ask(number: int) -> bool:
        nonce = f"n{number:03d}"
        schema = Answer.model_json_schema()
        schema["properties"]["nonce"] = {"const": nonce}
        answer = client.chat.completions.create(
            model="base",
            messages=[{"role": "user", "content": f"{nonce}: how are you?"}],
            response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": schema}},
        )
        return Answer.model_validate_json(answer.choices[0].message.content or "").nonce == nonce

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(ask, range(32)))


def test_metrics_say_that_requests_shared_passes(address: str) -> None:
    text = httpx.get(f"{address}/metrics", headers={"Authorization": "Bearer one"}).text
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    if "lora_agent_forward_passes" not in values:
        pytest.skip("this machine has no compiled forward pass")
    assert float(values["lora_agent_forward_rows"]) > 1.05 * float(values["lora_agent_forward_passes"])

"""Teachers: an endpoint that fails in every usual way, over real sockets; the base itself; n-best; the whole build."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
import yaml

from lora_agent.cli.main import main
from lora_agent.errors import ConfigError, TeacherError
from tests.training.teacher_server import Handler, serving
from training.data.formats import UNANSWERED, read_lines
from training.data.rows import Row
from training.evaluate.metrics import METRICS
from training.recipe import Recipe, Teacher
from training.teachers.ask import Answers, ask, open_teacher
from training.teachers.backoff import delay, retry_after
from training.teachers.choose import choose
from training.teachers.questions import Answer, questions

INPUT = {"type": "object", "properties": {"messages": {"type": "array"}}, "required": ["messages"]}
OUTPUT: dict[str, Any] = {
    "type": "object",
    "properties": {"priority": {"enum": ["high", "low"]}},
    "required": ["priority"],
    "additionalProperties": False,
}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
                "required": ["city"],
            },
        },
    }
]


def right(body: dict[str, Any]) -> str:
    """What a good teacher says: it reads the last message."""
    urgent = "safe" in json.loads(body["messages"][-1]["content"])["messages"][-1]["content"]
    return json.dumps({"priority": "high" if urgent else "low"})


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORA_AGENT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("training.teachers.backoff._LONGEST", 0.05)  # waits are tested by themselves
    monkeypatch.setattr("lora_agent.training.teachers.backoff._LONGEST", 0.05)


def recipe(teacher: dict[str, Any], **more: Any) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "ticket",
            "description": "Tells the priority of a support message.",
            "data": {"train": "t"},
            "input_schema": "i",
            "output_schema": "o",
            "learning": {"method": "distill", "teacher": teacher},
            **more,
        }
    )


def endpoint(url: str, **more: Any) -> dict[str, Any]:
    return {"kind": "endpoint", "url": url, "model": "big", **more}


def asked(n: int) -> list[Row]:
    return [
        Row(
            {"messages": [{"role": "user", "content": f"{'safe' if i % 2 else 'joke'} {i}"}]},
            UNANSWERED,
            "file",
            str(i),
        )
        for i in range(n)
    ]


def teach(settings: dict[str, Any], rows: list[Row], run: str = "run") -> Answers:
    made = recipe(settings)
    teacher = made.learning.teacher
    assert isinstance(teacher, Teacher)
    every = [q for row in rows for q in questions(made, teacher, OUTPUT, row, [])]
    return ask(open_teacher(made, teacher), teacher, every, run)


def outputs(found: Answers) -> list[Any]:
    return [json.loads(a.text)["priority"] if a and a.text else None for a in found.given]


EXPECTED = ["high" if i % 2 else "low" for i in range(12)]


def failing_first(how: Callable[[Handler], None]) -> Callable[[Handler, int], bool]:
    """Every question fails once."""

    def fault(handler: Handler, before: int) -> bool:
        if before == 0:
            how(handler)
        return before == 0

    return fault


COMPLETION = {"choices": [{"message": {"content": '{"priority":"high"}'}}]}
FAULTS: dict[str, Callable[[Handler], None]] = {
    "429": lambda h: h.send(429, {"error": "slow down"}, {"Retry-After": "0.05"}),
    "429 without a header": lambda h: h.send(429, {}),
    "500": lambda h: h.send(500, {"error": "oops"}),
    "503 with a date": lambda h: h.send(503, {}, {"Retry-After": formatdate(time.time(), usegmt=True)}),
    "cut off": lambda h: h.send(200, COMPLETION, cut=9),
    "half a JSON": lambda h: h.send(200, '{"choices": [{"mess'),
    "no completion": lambda h: h.send(200, {"choices": []}),
    "hung up": lambda h: h.connection.close(),
    "too slow": lambda h: time.sleep(3),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_passes_is_tried_again(name: str) -> None:
    with serving(right, failing_first(FAULTS[name])) as server:
        found = teach(endpoint(server.url, timeout=2, concurrency=6), asked(12))
    assert outputs(found) == EXPECTED
    assert set(server.asked.values()) == {2}
    assert found.spent["requests"] == 24


def test_a_mixture_of_everything() -> None:
    rng = random.Random(5)
    faults = list(FAULTS.values())

    def fault(handler: Handler, before: int) -> bool:
        if before < 4 and rng.random() < 0.6:
            rng.choice(faults)(handler)
            return True
        return False

    with serving(right, fault) as server:
        found = teach(endpoint(server.url, timeout=2, concurrency=4), asked(12))
    assert outputs(found) == EXPECTED


def test_no_more_requests_at_once_than_allowed() -> None:
    def slow(body: dict[str, Any]) -> str:
        time.sleep(0.03)
        return right(body)

    with serving(slow) as server:
        teach(endpoint(server.url, concurrency=3), asked(12))
    assert server.most_at_once == 3


def test_an_interrupted_run_pays_for_nothing_twice() -> None:
    down = False

    def fault(handler: Handler, before: int) -> bool:
        if down:
            handler.send(500, {})
        return down

    def answer(body: dict[str, Any]) -> str:
        nonlocal down
        down = sum(server.answered.values()) >= 5  # this one is still answered
        return right(body)

    settings = {"retries": 1, "concurrency": 1}
    with serving(answer, fault) as server:
        with pytest.raises(TeacherError, match="answers nothing"):
            teach(endpoint(server.url, **settings), asked(12))
        paid = set(server.answered)
        assert len(paid) == 6
        server.answer, down = right, False
        found = teach(endpoint(server.url, **settings), asked(12))
        assert outputs(found) == EXPECTED
        assert found.cached == 6
        assert set(server.answered.values()) == {1}
        before = len(server.bodies)
        assert outputs(teach(endpoint(server.url, **settings), asked(12), "another run")) == EXPECTED
        assert len(server.bodies) == before


def test_the_budget_is_kept_over_interruptions() -> None:
    with serving(right) as server:
        found = teach(endpoint(server.url, budget={"requests": 5}), asked(12))
        assert (found.unasked, found.spent["requests"]) == (7, 5)
        again = teach(endpoint(server.url, budget={"requests": 5}), asked(12))
        assert (again.cached, again.unasked, len(server.bodies)) == (5, 7, 5)
        more = teach(endpoint(server.url, budget={"tokens": 1100}, max_tokens=20), asked(12))
        assert more.unasked > 0
        assert more.spent["tokens"] <= 1100
        assert outputs(teach(endpoint(server.url), asked(12))) == EXPECTED


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_no_request_can_mend_ends_at_once(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEACHER_KEY", "secret")

    def fault(handler: Handler, before: int) -> bool:
        handler.send(status, {"error": {"message": "no"}})
        return True

    with serving(right, fault) as server, pytest.raises(ConfigError, match=str(status)) as error:
        teach(endpoint(server.url, api_key_env="TEACHER_KEY", concurrency=2), asked(12))
    assert len(server.bodies) <= 2
    assert server.headers[0]["Authorization"] == "Bearer secret"
    assert "TEACHER_KEY" in error.value.hint
    assert "secret" not in str(error.value)


def test_one_refused_question_does_not_stop_the_others() -> None:
    def fault(handler: Handler, before: int) -> bool:
        if "joke 4" in handler.question:
            handler.send(400, {"error": {"message": "content policy"}})
            return True
        return False

    with serving(right, fault) as server:
        found = teach(endpoint(server.url), asked(12))
    assert outputs(found) == [None if i == 4 else e for i, e in enumerate(EXPECTED)]
    assert "content policy" in str(found.given[4] and found.given[4].problem)


def test_nobody_listens() -> None:
    with pytest.raises(TeacherError, match="in a row"):
        teach(endpoint("http://127.0.0.1:9/v1", retries=1), asked(12))


def test_waits_grow_and_the_server_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    rng = random.Random(0)
    longest = [max(delay(n, None, rng) for _ in range(200)) for n in range(9)]
    assert all(0.5 * min(60, 2**n) < value <= min(60, 2**n) for n, value in enumerate(longest))
    assert all(7 <= delay(0, 7, rng) <= 8 for _ in range(50))
    assert retry_after("3") == 3
    assert 8 < (retry_after(formatdate(time.time() + 10, usegmt=True)) or 0) <= 10
    assert retry_after("soon") is None
    assert retry_after(None) is None


def test_one_retry_after_holds_all_requests_back() -> None:
    fault = failing_first(lambda h: h.send(429, {}, {"Retry-After": "0.4"}))
    with serving(right, fault) as server:
        teach(endpoint(server.url, concurrency=2), asked(2))
        assert server.times[2] - server.times[0] >= 0.35


@pytest.mark.parametrize(
    ("texts", "output", "said"),
    [
        (['{"priority":"high"}'], "high", None),
        (['```json\n{"priority": "high"}\n```'], "high", None),
        (['{"priority":"hi'], None, "is not JSON"),
        (['{"priority":"mid"}'], None, "/priority"),
        (["Certainly! high."], None, "is not JSON"),
        (['{"priority":"low"}', '{"priority":"high"}', "x", '{"priority":"high"}'], "high", None),
        (['{"priority":"low"}', '{"priority":"high"}', "x", "y"], None, "disagree"),
    ],
)
def test_one_answer_is_chosen_or_none(texts: list[str], output: str | None, said: str | None) -> None:
    found = choose([Answer(t) for t in texts], asked(1)[0], OUTPUT, METRICS["exact"], 0.5, False)
    assert found.output == ({"priority": output} if output else None)
    assert (said is None) == (found.reason is None)
    assert said is None or said in str(found.reason)


def test_a_cut_off_answer_is_none_even_if_it_parses() -> None:
    found = choose([Answer('{"priority":"high"}', "length")], asked(1)[0], OUTPUT, METRICS["exact"], 0.5, False)
    assert found.reason == "cut off at max_tokens"


@pytest.mark.parametrize(
    ("calls", "said"),
    [
        ([{"name": "get_weather", "arguments": {"city": "Oslo"}}], None),
        ([], None),
        ([{"name": "get_wether", "arguments": {"city": "Oslo"}}], "not offered: 'get_wether'"),
        ([{"name": "get_weather", "arguments": {}}], "arguments of 'get_weather'"),
        ([{"name": "get_weather", "arguments": {"city": "Oslo", "days": "two"}}], "/days"),
        ([{"name": "get_weather", "arguments": {"city": "Oslo", "zip": 1}}], "zip"),
        ([{"name": "get_weather"}], "arguments of 'get_weather'"),
    ],
)
def test_calls_are_checked_by_the_tools_own_parameters(calls: list[Any], said: str | None) -> None:
    row = Row({"messages": [{"role": "user", "content": "Oslo?"}], "tools": TOOLS}, UNANSWERED, "file", "1")
    made = recipe({"kind": "base"}, output="tool_calls")
    teacher = made.learning.teacher
    assert teacher is not None
    (question,) = questions(made, teacher, {}, row, [])
    found = choose([Answer(json.dumps({"calls": calls}))], row, question.schema, METRICS["call"], 0.5, True)
    assert (found.reason is None) == (said is None), found
    assert said is None or said in str(found.reason)


LINES = {
    '{"messages": [{"role": "user", "content": "x"}]}': True,
    '{"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "{}"}]}': False,
    '{"prompt": "x"}': True,
    '{"prompt": "x", "completion": "{}"}': False,
    '{"input": {"messages": [{"role": "user", "content": "x"}]}}': True,
    '{"input": {"messages": [{"role": "user", "content": "x"}]}, "output": {}}': False,
    '{"instruction": "x"}': True,
    '{"instruction": "x", "output": "{}"}': False,
    '{"conversations": [{"from": "human", "value": "x"}]}': True,
    '{"conversations": [{"from": "human", "value": "x"}, {"from": "gpt", "value": "{}"}]}': False,
}


@pytest.mark.parametrize(("line", "open_"), LINES.items())
def test_lines_without_target_are_known_in_every_shape(line: str, open_: bool, tmp_path: Path) -> None:
    (tmp_path / "f.jsonl").write_text(line)
    ((_, row),) = read_lines(tmp_path / "f.jsonl", unanswered=True)
    assert isinstance(row, Row)
    assert row.input == {"messages": [{"role": "user", "content": "x"}]}
    assert (row.output is UNANSWERED) == open_


# -- the whole command ------------------------------------------------------------------------------------------------

WORDS = "weather warranty ticket product document tool city name answer".split()


def project(folder: Path, base_dir: Path, teacher: dict[str, Any], lines: int) -> None:
    rng = random.Random(1)
    texts = []
    for n in range(lines):
        words = [*rng.sample(WORDS, 3), "safe" if rng.random() < 0.5 else "joke"]
        rng.shuffle(words)
        texts.append(json.dumps({"prompt": f"{' '.join(words)} {n}"}))
    (folder / "train.jsonl").write_text("\n".join(texts))
    (folder / "input.schema.json").write_text(json.dumps(INPUT))
    (folder / "output.schema.json").write_text(json.dumps(OUTPUT))
    made = {
        "name": "ticket",
        "description": "Tells the priority of a support message.",
        "base": str(base_dir),
        "data": {"train": "train.jsonl"},
        "input_schema": "input.schema.json",
        "output_schema": "output.schema.json",
        "fit": {"learning_rate": 0.01, "epochs": 4},
        "learning": {"method": "distill", "teacher": teacher},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(made))


def train(folder: Path, *more: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["train", str(folder / "recipe.yaml"), "--out", str(folder / "run"), *more])
    return int(stop.value.code or 0)


def test_prompts_and_a_teacher_end_in_a_package(
    tmp_path: Path, base_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("LORA_AGENT_DATA", raising=False)
    faults = ['{"priority": "mid"}', '{"priority": "hi', '{"priority": "high", "why": 1}']

    def answer(body: dict[str, Any]) -> str:
        number = int(body["messages"][-1]["content"].rsplit(" ", 1)[1].split('"')[0])
        return faults[number % 3] if number % 20 == 0 else right(body)

    def fault(handler: Handler, before: int) -> bool:
        if before == 0 and hash(handler.question) % 4 == 0:
            handler.send(429, {}, {"Retry-After": "0.02"})
            return True
        return False

    with serving(answer, fault) as server:
        project(tmp_path, base_dir, endpoint(server.url, concurrency=8), 260)
        assert train(tmp_path, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    taught, data = report["stages"]["teach"], report["stages"]["data"]
    assert (taught["without_target"], taught["taught"]) == (260, 247)
    assert data["train"]["rows"] + data["dev"]["rows"] == 247
    assert data["dropped"] == {"no answer of the teacher will do": 13}
    assert data["train"]["sources"] == {"teacher": data["train"]["rows"]}
    rejected = [json.loads(line) for line in (tmp_path / "run/rows/rejected.jsonl").read_text().splitlines()]
    assert len(rejected) == 13
    assert {entry["answer"] for entry in rejected} == set(faults)
    sources = yaml.safe_load((tmp_path / "run/ticket/sources.yaml").read_text())
    assert sources[0]["teacher"]["model"] == "big"
    assert train(tmp_path) == 0  # the server is gone: nothing is asked again
    assert "teach: up to date" in capsys.readouterr().err


def test_the_base_teaches_itself_under_the_grammar(
    tmp_path: Path, base_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("LORA_AGENT_DATA", raising=False)
    project(tmp_path, base_dir, {"kind": "base", "samples": 3, "instructions": "A safe one is high."}, 16)
    assert train(tmp_path, "--until", "teach", "--json") == 0
    taught = json.loads(capsys.readouterr().out)["stages"]["teach"]
    assert taught["answers"] == {"asked": 48, "cached": 0}
    assert taught["rejected_answers"] == 0  # the grammar leaves no other
    assert taught["taught"] == 16


def test_a_teacher_that_says_nothing_useful_is_exit_code_2(
    tmp_path: Path, base_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(lambda body: "Certainly!") as server:
        project(tmp_path, base_dir, endpoint(server.url), 12)
        assert train(tmp_path) == 2
    assert "none of the teacher's 12 answers" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("learning", "said"),
    [
        ({"method": "distill"}, "needs a teacher"),
        ({"method": "sft", "teacher": {"kind": "base"}}, "did you mean"),
        ({"method": "distill", "teacher": {"kind": "endpoint", "url": "http://x"}}, "needs `model`"),
        ({"method": "distill", "teacher": {"kind": "endpoint", "url": "x", "model": "m"}}, "url"),
        ({"method": "distill", "teacher": {"kind": "base", "sampels": 3}}, "samples"),
        ({"method": "lora"}, "learning.method"),
    ],
)
def test_what_cannot_be_meant_is_said(
    learning: dict[str, Any], said: str, tmp_path: Path, base_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project(tmp_path, base_dir, {"kind": "base"}, 12)
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "learning": learning}))
    assert train(tmp_path) == 2
    assert said in capsys.readouterr().err

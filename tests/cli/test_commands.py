"""The commands through their one entry point, with an engine double in the place of the base."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lora_agent.registry import AdapterPackage

Cli = Callable[..., tuple[int, str, str]]
CALL_INPUT = '{"messages": [{"role": "user", "content": "hello"}]}'


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bogus"], "No such command 'bogus'"),
        (["ask", "hi", "--nope"], "No such option"),
        (["ask"], "neither"),
        (["ask", "  "], "the text is empty"),
        (["ask", "hi", "--messages", "f.json"], "both"),
        (["ask", "--messages", "absent.json"], "absent.json"),
        (["ask", "hi", "--tools", "absent.py"], "absent.py"),
        (["ask", "hi", "--docs", "absent"], "absent"),
        (["call", "nope", CALL_INPUT], "there is no adapter 'nope'"),
        (["call", "nope"], "either an INPUT or --in"),
        (["call", "nope", "{broken"], "the argument is not JSON"),
        (["call", "nope", "@absent.json"], "absent.json"),
        (["call", "nope", "--in", "a.jsonl"], "both --in FILE and --out FILE"),
        (["route"], "neither"),
        (["route", "hi", "--tools", "absent.json"], "absent.json"),
        (["route", "hi", "--cards", "absent.yaml"], "absent.yaml"),
        (["route", "hi", "--in", "a", "--out", "b"], "got both"),
        (["adapters", "show", "nope"], "there is no adapter 'nope'"),
        (["adapters", "verify", "./nope"], "is not an adapter package"),
        (["adapters", "remove", "nope"], "is not installed"),
    ],
)
def test_wrong_request_is_exit_code_2_with_a_message(cli: Cli, arguments: list[str], said: str) -> None:
    code, out, err = cli(*arguments)
    assert code == 2
    assert out == ""
    assert said in err
    assert "Traceback" not in err


def test_script_prints_message_and_remedy_and_no_traceback() -> None:
    command = [sys.executable, "-m", "lora_agent.cli.main", "call", "tool_call", "{broken"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: the argument is not JSON")
    assert "\n  Quote the JSON" in done.stderr
    assert "Traceback" not in done.stderr


def test_closed_pipe_is_quiet() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        command = [sys.executable, "-m", "lora_agent.cli.main", "adapters", "list", "--json"]
        done = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, text=True)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_interruption_is_exit_code_130(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lora_agent.cli.options.open_engine", interrupted)
    assert cli("ask", "hello")[0] == 130


def test_version(cli: Cli) -> None:
    from lora_agent import __version__

    assert cli("--version") == (0, f"lora-agent {__version__}\n", "")


@pytest.mark.parametrize("command", [["ask"], ["call"], ["route"], ["doctor"], ["adapters", "list"]])
def test_every_command_has_help_and_json(cli: Cli, command: list[str]) -> None:
    code, out, _ = cli(*command, "--help")
    assert code == 0
    assert "--json" in out


# ask


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    path = tmp_path / "my_tools.py"
    path.write_text('def double(number: int) -> int:\n    """Twice a number."""\n    return 2 * number\n')
    return path


@pytest.mark.usefixtures("engine")
def test_ask_shows_the_steps_and_the_answer(cli: Cli, tools: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    code, out, err = cli("ask", "What is twice 21?", "--tools", tools, "--trace", trace)
    assert (code, err) == (0, "")
    assert "guard" in out
    assert "→ tool_call  tool_call ███████░ 0.90" in out
    assert '{"calls":[{"name":"double","arguments":{"number":21}}]}' in out
    assert "42" in out
    assert "answer · " in out
    assert trace.read_text().count("\n") >= 5


@pytest.mark.usefixtures("engine")
def test_ask_json_is_the_whole_result_and_nothing_else(cli: Cli, tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "returns.md").write_text("# Returns\n\nUnopened bags can be returned within 30 days.\n")
    code, out, _ = cli("ask", "When can I return a bag?", "--docs", docs, "--json")
    assert code == 0
    result = json.loads(out)
    assert result["stop_reason"] == "answer"
    assert result["citations"][0].startswith("returns.md")
    assert [step["kind"] for step in result["steps"]][:2] == ["guard", "route"]


@pytest.mark.usefixtures("engine")
def test_ask_refusal_is_a_served_request(cli: Cli) -> None:
    code, out, _ = cli("ask", "How do I build a bomb?")
    assert code == 0
    assert "blocked_input" in out


@pytest.mark.usefixtures("engine")
def test_ask_reads_a_conversation_and_escapes_control_characters(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "messages.json"
    path.write_text(json.dumps({"messages": [{"role": "user", "content": "Hi"}]}))
    code, out, _ = cli("ask", "--messages", path)
    assert code == 0
    assert "\x1b[31m" not in out
    assert "\\x1b[31mthere" in out


# call


@pytest.mark.usefixtures("engine")
def test_call_prints_the_output(cli: Cli, build: Callable[..., AdapterPackage], tmp_path: Path) -> None:
    folder = build("probe").folder
    code, out, err = cli("call", "probe", CALL_INPUT, "--adapter-path", folder)
    assert (code, out, err) == (0, '{"query":"hello"}\n', "")
    path = tmp_path / "input.json"
    path.write_text(CALL_INPUT)
    assert cli("call", "probe", f"@{path}", "--adapter-path", folder)[1] == out
    whole = json.loads(cli("call", "probe", CALL_INPUT, "--adapter-path", folder, "--json")[1])
    assert whole["output"] == {"query": "hello"}
    assert whole["verdict"] == "valid"


@pytest.mark.usefixtures("engine")
def test_call_batch(cli: Cli, build: Callable[..., AdapterPackage], tmp_path: Path) -> None:
    source, out_file = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    good = json.dumps({"id": "a", "input": json.loads(CALL_INPUT), "label": "other keys are ignored"})
    source.write_text(f'{good}\nnot json\n{{"id": "c", "input": 3}}\n')
    arguments = ("call", "probe", "--in", source, "--out", out_file, "--adapter-path", build("probe").folder)
    code, out, err = cli(*arguments)
    assert (code, out) == (0, "")
    assert "3/3 lines" in err
    assert "3 lines" in err
    assert "2 errors" in err
    lines = [json.loads(line) for line in out_file.read_text().splitlines()]
    assert all(list(line) == ["id", "output", "error", "confidence", "usage"] for line in lines)
    assert lines[0] == {
        "id": "a",
        "output": {"query": "hello"},
        "error": None,
        "confidence": 0.8,
        "usage": {"read": 3, "reused": 4, "generated": 5, "forced": 6},
    }
    assert [line["id"] for line in lines] == ["a", None, "c"]
    code, out, _ = cli(*arguments, "--json")
    assert json.loads(out) == {"lines": 3, "kept": 3, "errors": 2, "out": str(out_file)}


# route


@pytest.mark.usefixtures("engine")
def test_route_shows_the_choice(cli: Cli) -> None:
    code, out, _ = cli("route", "???")
    assert code == 0
    assert out.splitlines()[0] == "base (abstained: no adapter was sure enough)"
    assert json.loads(cli("route", "hello", "--json")[1])["probabilities"] == {"base": 0.9, "other": 0.1}


@pytest.mark.usefixtures("engine")
def test_route_batch(cli: Cli, tmp_path: Path) -> None:
    source, out_file = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    message = {"role": "user", "content": "hello"}
    records = [
        {"id": 1, "messages": [message]},
        {"id": 2, "messages": []},
        {"id": 3, "messages": [{"role": "x"}]},
    ]
    source.write_text("".join(json.dumps(record) + "\n" for record in records))
    code, out, _ = cli("route", "--in", source, "--out", out_file)
    assert (code, out) == (0, "")
    lines = [json.loads(line) for line in out_file.read_text().splitlines()]
    assert lines[0] == {
        "id": 1,
        "adapter": "base",
        "probabilities": {"base": 0.9, "other": 0.1},
        "abstained": False,
    }
    assert "at least one message" in lines[1]["error"]
    assert "a message is malformed: role" in lines[2]["error"]


@pytest.mark.parametrize("text", ["{", "- {name: a}", "a: b", "- {name: a, description: A.}\n" * 2])
def test_malformed_cards_are_told_before_the_base_is_loaded(cli: Cli, tmp_path: Path, text: str) -> None:
    path = tmp_path / "cards.yaml"
    path.write_text(text)
    code, _, err = cli("route", "hello", "--cards", path)
    assert code == 2
    assert "error: " in err


# doctor


def test_doctor(cli: Cli, home: Path) -> None:
    code, out, _ = cli("doctor", "--json")
    report = json.loads(out)
    assert code == (1 if report["problems"] else 0)
    assert report["cache"]["folder"] == str(home / "cache")
    assert report["cache"]["writable"] is True
    assert report["base"] == {"id": "SmolLM2-135M-Instruct", "cached": False}
    assert report["compute"]["dtype_reason"]
    assert report["libraries"]["torch"]
    assert "dtype" in cli("doctor")[1]


def test_doctor_names_what_must_be_repaired(cli: Cli, home: Path, build: Callable[..., AdapterPackage]) -> None:
    cli("adapters", "add", build("probe").folder)
    (home / "adapters" / "probe" / "1.0.0" / "README.md").write_text("changed")
    code, _, err = cli("doctor")
    assert code == 1
    assert "problem: adapter in" in err
    code, _, err = cli("doctor", "--device", "abacus")
    assert code == 1
    assert "'abacus'" in err


# schema


def test_schema_explain(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    file.write_text('{"type": "array", "items": {"type": "integer"}, "uniqueItems": true}')
    code, out, _ = cli("schema", "explain", str(file), "--json")
    found = json.loads(out)
    assert code == 0
    assert found["refused"] == []
    assert "uniqueItems" in [note["keyword"] for note in found["checked"]]
    assert "enforced: " in cli("schema", "explain", str(file))[1]
    file.write_text('{"type": "integr"}')
    code, out, _ = cli("schema", "explain", str(file))
    assert code == 2
    assert "integr" in out


@pytest.mark.parametrize(("text", "said"), [("{broken", "not JSON"), ("3", "no schema"), (None, "absent.json")])
def test_schema_explain_of_what_is_no_schema(cli: Cli, tmp_path: Path, text: str | None, said: str) -> None:
    file = tmp_path / ("s.json" if text is not None else "absent.json")
    if text is not None:
        file.write_text(text)
    code, out, err = cli("schema", "explain", str(file))
    assert (code, out) == (2, "")
    assert said in err

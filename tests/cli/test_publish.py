"""`adapters push`, `add hub:...` and `rollback`; the Hub is a server on a socket that speaks as much of its API."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lora_agent.registry import AdapterPackage
from tests.registry.hub_server import hub

Cli = Callable[..., tuple[int, str, str]]
Build = Callable[..., AdapterPackage]


def run(tmp_path: Path, url: str, *command: object, home: str = "home") -> subprocess.CompletedProcess[str]:
    """The Hub's client reads its settings when it is imported, so each command has its own process."""
    environment = {
        **os.environ,
        "HF_ENDPOINT": url,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HOME": str(tmp_path / "hf"),
        "HF_TOKEN": "hf_secret",
        "LORA_AGENT_HOME": str(tmp_path / home),
    }
    words = [sys.executable, "-m", "lora_agent.cli.main", *map(str, command)]
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.slow
def test_pushed_and_pulled_it_is_the_same_package(tmp_path: Path, build: Build) -> None:
    package = build("ticket")
    with hub() as server:
        done = run(tmp_path, server.url, "adapters", "push", package.folder, "our/ticket", "--json")
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        assert said["digest"] == package.digest
        assert server.tags == {"v1.0.0": said["commit"]}
        assert package.digest in json.dumps(server.messages)
        assert server.large  # the weights went the way of large files
        assert "Bearer hf_secret" in server.tokens
        assert "hf_secret" not in done.stdout + done.stderr

        again = run(tmp_path, server.url, "adapters", "push", package.folder, "our/ticket")
        assert again.returncode == 2
        assert "has v1.0.0 already" in again.stderr

        newer = build("ticket", "1.1.0")
        assert run(tmp_path, server.url, "adapters", "push", newer.folder, "our/ticket").returncode == 0
        for where, wanted in (("hub:our/ticket", newer), ("hub:our/ticket@v1.0.0", package)):
            pulled = run(tmp_path, server.url, "adapters", "add", where, "--json", home="other")
            assert pulled.returncode == 0, pulled.stderr
            assert json.loads(pulled.stdout)["digest"] == wanted.digest

        server.commits[server.tags["v1.0.0"]]["README.md"] = b"changed"
        changed = run(tmp_path, server.url, "adapters", "add", "hub:our/ticket@v1.0.0", home="third")
        assert changed.returncode == 2
        assert "README.md" in changed.stderr
        absent = run(tmp_path, server.url, "adapters", "add", "hub:our/ticket@v9", home="third")
        assert absent.returncode == 2
        assert "the Hub refused" in absent.stderr
        assert "Traceback" not in absent.stderr


def test_what_has_not_passed_is_not_published(tmp_path: Path, build: Build) -> None:
    with hub() as server:
        done = run(tmp_path, server.url, "adapters", "push", build("raw", passed=False).folder, "our/ticket")
        assert done.returncode == 2
        assert "gate" in done.stderr
        assert not server.commits


def test_rollback_and_forward_again(cli: Cli, build: Build) -> None:
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        cli("adapters", "add", build("probe", version).folder)

    def now() -> str:
        return str(json.loads(cli("adapters", "list", "--json")[1])["adapters"][0]["version"])

    assert now() == "1.2.0"
    assert cli("adapters", "rollback", "probe")[1] == "probe: 1.1.0 instead of 1.2.0\n"
    assert now() == "1.1.0"
    assert json.loads(cli("adapters", "rollback", "probe", "--json")[1])["version"] == "1.0.0"
    code, _, err = cli("adapters", "rollback", "probe")
    assert code == 2
    assert "older than 1.0.0" in err
    assert cli("adapters", "rollback", "probe", "--to", "1.1.0")[0] == 0
    assert now() == "1.1.0"
    assert cli("adapters", "rollback", "probe", "--to", "3.0.0")[0] == 2
    assert cli("adapters", "rollback", "probe", "--newest")[0] == 0
    assert now() == "1.2.0"


@pytest.mark.parametrize("name", ["absent", "../probe"])
def test_rollback_of_what_is_not_there(cli: Cli, name: str) -> None:
    assert cli("adapters", "rollback", name)[0] == 2
    assert cli("adapters", "rollback", name, "--newest")[0] == 2

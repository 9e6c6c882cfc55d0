from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from lora_agent.registry import AdapterPackage

Cli = Callable[..., tuple[int, str, str]]
Build = Callable[..., AdapterPackage]


def test_nothing_installed_says_how_to_add(cli: Cli) -> None:
    code, out, err = cli("adapters", "list")
    assert (code, out) == (0, "")
    assert "lora-agent adapters add PATH" in err


def test_add_list_show_remove(cli: Cli, build: Build, home: Path) -> None:
    package = build("probe")
    code, out, _ = cli("adapters", "add", package.folder)
    assert code == 0
    assert out.startswith("added probe 1.0.0: ")
    assert (home / "adapters" / "probe" / "1.0.0" / "adapter.yaml").is_file()
    assert cli("adapters", "list")[1].split() == "probe 1.0.0 lora Use probe for tests.".split()
    listed = json.loads(cli("adapters", "list", "--json")[1])
    assert [row["digest"] for row in listed["adapters"]] == [package.digest]
    assert listed["problems"] == []
    shown = json.loads(cli("adapters", "show", "probe", "--json")[1])
    assert shown["spec"]["licence"] == "Apache-2.0"
    assert shown["manifest"]["gate"] == {"passed": True, "report": {}}
    assert "description: Use probe for tests." in cli("adapters", "show", package.folder)[1]
    assert cli("adapters", "remove", "probe", "--json")[1] == '{"name":"probe","removed":["1.0.0"]}\n'
    assert json.loads(cli("adapters", "list", "--json")[1])["adapters"] == []


def test_broken_package_is_listed_as_broken(cli: Cli, build: Build, home: Path) -> None:
    cli("adapters", "add", build("probe").folder)
    (home / "adapters" / "probe" / "1.0.0" / "README.md").write_text("changed")
    code, out, err = cli("adapters", "list")
    assert (code, out) == (0, "")
    assert "broken: " in err
    assert "has changed since the package was built" in err
    code, _, err = cli("adapters", "show", "probe")
    assert code == 2
    assert "README.md" in err


def test_verify_without_engine(cli: Cli, build: Build) -> None:
    package = build("probe")
    code, out, _ = cli("adapters", "verify", package.folder, "--no-engine")
    assert code == 0
    assert out == f"probe 1.0.0 is good (files, schemas, gate): {package.digest}\n"


def test_verify_refuses_what_has_not_passed_its_gate(cli: Cli, build: Build) -> None:
    code, out, err = cli("adapters", "verify", build("raw", passed=False).folder, "--no-engine")
    assert (code, out) == (2, "")
    assert "has not passed its gate" in err


def test_verify_names_the_changed_file(cli: Cli, build: Build) -> None:
    package = build("probe")
    with (package.folder / "adapter_model.safetensors").open("ab") as file:
        file.write(b"\0")
    code, _, err = cli("adapters", "verify", package.folder, "--no-engine")
    assert code == 2
    assert "adapter_model.safetensors" in err


def test_two_versions_the_newest_counts(cli: Cli, build: Build) -> None:
    cli("adapters", "add", build("probe", "1.0.0").folder)
    cli("adapters", "add", build("probe", "1.2.0").folder)
    assert json.loads(cli("adapters", "list", "--json")[1])["adapters"][0]["version"] == "1.2.0"
    assert cli("adapters", "remove", "probe", "--version", "1.2.0")[1] == "removed probe 1.2.0\n"
    assert json.loads(cli("adapters", "list", "--json")[1])["adapters"][0]["version"] == "1.0.0"

"""Rows from elsewhere: a git repository over file://, a generator, a Hub that speaks HTTP, and none of them there."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from lora_agent.cli.main import main
from lora_agent.errors import ConfigError
from training.data.intake import local_file
from training.data.intake.hub import without_nulls
from training.recipe import Source

HIGH, LOW = '{"priority":"high"}', '{"priority":"low"}'
LINES = "\n".join(json.dumps({"prompt": f"city {n}", "completion": (HIGH, LOW)[n % 2]}) for n in range(40))
GENERATOR = """
import json, random

def rows(seed, count):
    with open(__file__ + ".calls", "a") as calls:
        print("called", file=calls)
    rng = random.Random(seed)
    for n in range(count):
        yield {"prompt": f"city {rng.random()}", "completion": json.dumps({"priority": rng.choice(["high", "low"])})}

def broken(seed, count):
    yield {"prompt": "x", "completion": "{}"}
    raise RuntimeError("out of ideas")

def wrong(seed, count):
    yield "a line"
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORA_AGENT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LORA_AGENT_DATA", raising=False)


def git(folder: Path, *command: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", "-C", str(folder), *identity, *command], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> tuple[str, str]:
    """(url, commit): the commit is not the newest one."""
    folder = tmp_path / "repository"
    (folder / "data").mkdir(parents=True)
    git(folder, "init", "--quiet")
    (folder / "data/train.jsonl").write_text(LINES)
    (folder / "data/big.jsonl").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "rows")
    commit = git(folder, "rev-parse", "HEAD")
    (folder / "data/train.jsonl").write_text("changed since")
    git(folder, "commit", "--quiet", "-am", "changed")
    return f"file://{folder}", commit


def fetch(tmp_path: Path, **source: Any) -> Path:
    return local_file(Source.model_validate(source), tmp_path, tmp_path)


def test_a_file_of_a_git_repository_at_a_commit(repository: tuple[str, str], tmp_path: Path) -> None:
    url, commit = repository
    path = fetch(tmp_path, git={"url": url, "commit": commit, "path": "data/train.jsonl"})
    assert path.read_text() == LINES
    (tmp_path / "repository").rename(tmp_path / "gone")
    assert fetch(tmp_path, git={"url": url, "commit": commit, "path": "data/train.jsonl"}) == path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"commit": "0" * 40}, "0" * 12),
        ({"path": "data/absent.jsonl"}, "absent.jsonl"),
        ({"path": "data/big.jsonl"}, "LFS"),
        ({"url": "file:///no/such/repository"}, "/no/such/repository"),
    ],
)
def test_what_git_cannot_give_is_named(
    repository: tuple[str, str], tmp_path: Path, change: dict[str, str], said: str
) -> None:
    url, commit = repository
    with pytest.raises(ConfigError, match=said):
        fetch(tmp_path, git={"url": url, "commit": commit, "path": "data/train.jsonl", **change})
    assert not list((tmp_path / "home").rglob("*.jsonl"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"git": {"url": "ext::sh -c evil", "commit": "0" * 40, "path": "x"}},
        {"git": {"url": "--upload-pack=evil", "commit": "0" * 40, "path": "x"}},
        {"git": {"url": "https://example.org/x", "commit": "main", "path": "x"}},
        {"hub": {"id": "a/b", "file": "x"}},
        {"hub": {"id": "a/b", "revision": "v1"}},
        {"hub": {"id": "a/b", "revision": "v1", "file": "x", "split": "train"}},
        {"hub": {"id": "a/b", "revision": "v1", "file": "x"}, "python": {"file": "g.py"}},
        {},
    ],
)
def test_what_is_not_pinned_or_not_one_source_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Source.model_validate(wrong)


def test_a_generator_runs_once_for_its_seed_and_content(tmp_path: Path) -> None:
    (tmp_path / "g.py").write_text(GENERATOR)
    first = fetch(tmp_path, python={"file": "g.py", "seed": 1, "rows": 20})
    assert fetch(tmp_path, python={"file": "g.py", "seed": 1, "rows": 20}) == first
    assert len((tmp_path / "g.py.calls").read_text().splitlines()) == 1
    assert len(first.read_text().splitlines()) == 20
    other = fetch(tmp_path, python={"file": "g.py", "seed": 2, "rows": 20})
    assert other.read_text() != first.read_text()
    (tmp_path / "g.py").write_text(GENERATOR.replace("city", "town"))
    assert "town" in fetch(tmp_path, python={"file": "g.py", "seed": 1, "rows": 20}).read_text()


@pytest.mark.parametrize(
    ("function", "said"),
    [("broken", "out of ideas"), ("wrong", "row 1 of g.py is a str"), ("absent", "no function 'absent'")],
)
def test_a_generator_that_fails_leaves_nothing(tmp_path: Path, function: str, said: str) -> None:
    (tmp_path / "g.py").write_text(GENERATOR)
    with pytest.raises(ConfigError, match=said):
        fetch(tmp_path, python={"file": "g.py", "function": function})
    assert not [p for p in (tmp_path / "home").rglob("*") if p.is_file()]


def test_nulls_of_columnar_files_are_not_learned() -> None:
    row = {"calls": [{"x": 1, "y": None}, {"x": None, "y": 2}], "text": '{"x":null}'}
    assert without_nulls(row) == {"calls": [{"x": 1}, {"y": 2}], "text": '{"x":null}'}


class _Hub(BaseHTTPRequestHandler):
    commit = "a" * 40
    files: dict[str, bytes] = {}

    def do_HEAD(self) -> None:
        self._answer(send=False)

    def do_GET(self) -> None:
        self._answer(send=True)

    def _answer(self, send: bool) -> None:
        start, _, rest = self.path.partition("/resolve/")
        revision, _, name = rest.partition("/")
        known = start == "/datasets/our/rows" and revision in ("v1", self.commit)
        data = self.files.get(name) if known else None
        self.send_response(200 if data is not None else 404)
        if data is None:
            self.send_header("X-Error-Code", "EntryNotFound" if known else "RevisionNotFound")
        self.send_header("X-Repo-Commit", self.commit)
        self.send_header("ETag", f'"{hashlib.sha1(data or b"").hexdigest()}"')
        self.send_header("Content-Length", str(len(data or b"")))
        self.end_headers()
        if send:
            self.wfile.write(data or b"")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[str]:
    _Hub.files = {"data/train.jsonl": LINES.encode()}
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def in_its_own_process(tmp_path: Path, source: dict[str, Any], **environment: str) -> subprocess.CompletedProcess[str]:
    """The Hub client reads its settings when it is imported."""
    code = (
        "import json, sys; from pathlib import Path\n"
        "from training.data.intake import local_file; from training.recipe import Source\n"
        "from lora_agent.errors import ConfigError\n"
        "try: print(local_file(Source.model_validate(json.loads(sys.argv[1])), Path(), Path()))\n"
        "except ConfigError as error: sys.exit(str(error))\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code, json.dumps(source)],
        env={**os.environ, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_a_file_of_the_hub_at_a_revision_then_offline(hub: str, tmp_path: Path) -> None:
    source = {"hub": {"id": "our/rows", "revision": "v1", "file": "data/train.jsonl"}}
    done = in_its_own_process(tmp_path, source, HF_ENDPOINT=hub, HF_HUB_OFFLINE="0")
    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.strip())
    assert path.read_text() == LINES
    assert _Hub.commit in path.parts
    assert in_its_own_process(tmp_path, source, HF_ENDPOINT=hub, HF_HUB_OFFLINE="1").stdout.strip() == str(path)
    for change, environment, said in (
        ({"file": "absent.jsonl"}, {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": hub}, "absent.jsonl"),
        ({"revision": "v2"}, {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": hub}, "v2"),
        ({"revision": "v3"}, {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": hub}, "cannot be reached"),
        ({"revision": "v3"}, {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9"}, "cannot be reached"),
    ):
        failed = in_its_own_process(tmp_path, {"hub": {**source["hub"], **change}}, **environment)
        assert failed.returncode == 1
        assert said in failed.stderr
        assert "Traceback" not in failed.stderr


def test_a_recipe_reads_them_and_the_report_says_what_they_are(
    repository: tuple[str, str], tmp_path: Path, base_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, commit = repository
    (tmp_path / "g.py").write_text(GENERATOR)
    for name in ("input", "output"):
        (tmp_path / f"{name}.schema.json").write_text('{"type": "object"}')
    recipe = {
        "name": "ticket",
        "description": "d",
        "base": str(base_dir),
        "data": {
            "train": {"git": {"url": url, "commit": commit, "path": "data/train.jsonl"}},
            "dev": {"python": {"file": "g.py", "rows": 12}},
        },
        "input_schema": "input.schema.json",
        "output_schema": "output.schema.json",
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))

    def train(*more: str) -> int:
        with pytest.raises(SystemExit) as stop:
            main(["train", str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / "run"), *more])
        return int(stop.value.code or 0)

    assert train("--until", "data", "--json") == 0
    found = json.loads(capsys.readouterr().out)["stages"]["data"]
    assert (found["train"]["rows"], found["dev"]["rows"]) == (40, 12)
    assert found["files"]["train.jsonl"] == hashlib.sha256(LINES.encode()).hexdigest()
    recipe["data"] = {"train": {"git": {"url": url, "comit": commit, "path": "x"}}}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    assert train() == 2
    assert "Did you mean `commit`?" in capsys.readouterr().err

"""One file of a public git repository, at a commit. Needs the program `git`, but no work tree and no hook."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from lora_agent.errors import ConfigError

from ...recipe import GitFile
from .cached import cached

_TIMEOUT = 600
_POINTER = b"version https://git-lfs.github.com/spec/"


def fetch_git(source: GitFile) -> Path:
    """Raises ConfigError: no git, no such repository, commit or file, or a file that is kept in LFS."""

    def make(scratch: Path) -> None:
        scratch.write_bytes(_read(source))

    return cached("git", [source.url, source.commit, source.path], Path(source.path).name, make)


def _read(source: GitFile) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        _git(folder, source, "init", "--bare", "--quiet")
        try:
            # the one commit, without its history; servers of protocol 2 give any commit that they have
            _git(folder, source, "fetch", "--quiet", "--depth=1", "--", source.url, source.commit)
        except ConfigError:
            _git(folder, source, "fetch", "--quiet", "--", source.url, "+refs/*:refs/*")
        content = _git(folder, source, "cat-file", "blob", f"{source.commit}:{source.path}")
    if content.startswith(_POINTER):
        hint = "Download it yourself and name the file in `data`."
        raise ConfigError(f"{source.path!r} of {source.url!r} is kept in Git LFS, not in the repository", hint=hint)
    return content


def _git(folder: str, source: GitFile, *command: str) -> bytes:
    environment = {
        **os.environ,
        "GIT_TERMINAL_PROMPT": "0",  # a private repository is an error, not a question
        "GIT_ALLOW_PROTOCOL": "https:http:ssh:git:file",
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    try:
        done = subprocess.run(
            ["git", "-C", folder, *command], capture_output=True, env=environment, timeout=_TIMEOUT, check=False
        )
    except FileNotFoundError as error:
        raise ConfigError("the program git is not there", hint="Install git, or download the file yourself.") from error
    except subprocess.TimeoutExpired as error:
        hint = "Try again, or download the file yourself."
        raise ConfigError(f"{source.url!r} did not answer in {_TIMEOUT} s", hint=hint) from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        hint = "Check `url`, `commit` (all 40 digits) and `path`."
        raise ConfigError(f"{source.path!r} of {source.url!r} at {source.commit[:12]}: {said[-1]}", hint=hint)
    return done.stdout

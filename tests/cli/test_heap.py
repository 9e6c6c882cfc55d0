"""The allocator's settings of a training process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lora_agent.cli import heap


def test_it_starts_over_once_and_only_where_it_helps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started: list[tuple[list[str], str]] = []
    monkeypatch.setattr(os, "execve", lambda _, argv, env: started.append((argv, env[heap.VARIABLE])))
    monkeypatch.delenv(heap.VARIABLE, raising=False)
    pages = tmp_path / "enabled"
    monkeypatch.setattr(heap, "_PAGES", pages)
    for library, kernel, times in (
        (("glibc", "2.36"), "always [madvise] never", 1),
        (("glibc", "2.36"), "always madvise [never]", 0),
        (("glibc", "2.31"), "always [madvise] never", 0),
        (("", ""), "always [madvise] never", 0),
    ):
        started.clear()
        pages.write_text(kernel)
        monkeypatch.setattr(heap.platform, "libc_ver", lambda library=library: library)
        heap.start_over_in_huge_pages()
        assert len(started) == times, (library, kernel)
    pages.write_text("[always] madvise never")
    monkeypatch.setattr(heap.platform, "libc_ver", lambda: ("glibc", "2.36"))
    heap.start_over_in_huge_pages()
    assert started == [([sys.executable, *sys.orig_argv[1:]], heap.SETTINGS)]
    monkeypatch.setenv(heap.VARIABLE, "glibc.malloc.check=3")  # somebody else's settings are left alone
    heap.start_over_in_huge_pages()
    assert len(started) == 1


def test_the_command_is_the_same_after_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lora_agent.cli.main", "train", "nowhere.yaml", "--out", str(tmp_path / "out")]
    env = {name: value for name, value in os.environ.items() if name != heap.VARIABLE}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "nowhere.yaml" in done.stderr

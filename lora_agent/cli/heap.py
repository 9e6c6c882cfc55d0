"""The allocator of a training process: huge pages, and nothing given back between steps.

glibc reads its settings when a process starts, so that the process starts over with them. A step allocates and frees
gigabytes; in pages of 4 KiB that each step takes anew a training pass costs half as much time again (decision 077).
"""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

VARIABLE = "GLIBC_TUNABLES"
SETTINGS = ":".join(
    f"glibc.malloc.{name}={value}"
    for name, value in (
        ("hugetlb", 1),  # madvise: huge pages where the kernel has them to spare (glibc 2.35)
        ("mmap_threshold", 4 << 30),
        ("trim_threshold", 16 << 30),
        ("top_pad", 256 << 20),
    )
)
_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def start_over_in_huge_pages() -> None:
    """Replace this process by the same command with the allocator's settings; the process number stays. Nothing happens
    where the variable is set already, where the C library is another, or where the kernel gives no huge pages."""
    if VARIABLE in os.environ or not _has_them():
        return
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, VARIABLE: SETTINGS})


def _has_them() -> bool:
    library, version = platform.libc_ver()
    if library != "glibc" or tuple(map(int, version.split(".")[:2])) < (2, 35):
        return False
    try:
        return "[never]" not in _PAGES.read_text()
    except OSError:
        return False

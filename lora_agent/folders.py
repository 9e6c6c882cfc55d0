"""Where lora-agent keeps files on the user's machine: the cache (bases) and the installed adapters.

`LORA_AGENT_HOME` moves everything below one folder; otherwise the platform's own places are used.
"""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_dir() -> Path:
    """Folder of converted bases. May not exist yet."""
    home = os.environ.get("LORA_AGENT_HOME")
    return Path(home) / "cache" if home else Path(platformdirs.user_cache_dir("lora-agent"))


def adapters_dir() -> Path:
    """Folder of adapters that `lora-agent adapters add` installed. May not exist yet."""
    home = os.environ.get("LORA_AGENT_HOME")
    root = Path(home) if home else Path(platformdirs.user_data_dir("lora-agent"))
    return root / "adapters"

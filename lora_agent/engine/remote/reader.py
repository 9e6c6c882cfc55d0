"""How the base behind a server reads and writes text: tokenizer, renderer, vocabulary, identity; not its weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from lora_agent.engine.local.checkpoint import RECORD, ensure_checkpoint
from lora_agent.registry import BaseIdentity
from lora_agent.render import ChatRenderer
from lora_agent.structured import Vocabulary


@dataclass(frozen=True)
class Reader:
    renderer: ChatRenderer
    vocabulary: Vocabulary
    identity: BaseIdentity
    source: str | Path | None
    """What it was asked for as."""
    context_limit: int
    """Tokens that the model reads at most; the server's own limit may be lower."""

    @property
    def id(self) -> str:
        return self.identity.id

    @property
    def source_sha256(self) -> str:
        return self.identity.source_sha256

    @property
    def quantization(self) -> str:
        return self.identity.quantization


def load_reader(base: str | Path | None) -> Reader:
    """`base`: None for the embedded one, a Hugging Face id, a folder with weights, or an export of `lora-agent deploy`,
    whose weights are not needed here. Raises the BaseModelError family."""
    from transformers import AutoConfig, AutoTokenizer

    exported = None if base is None else _exported(Path(base))
    if exported is not None:
        path, (id_, digest, quantization) = Path(str(base)), exported
    else:
        checkpoint = ensure_checkpoint(base, "nf4" if base is None else "none")
        path, id_, digest, quantization = (
            checkpoint.path, checkpoint.id, checkpoint.source_sha256, checkpoint.quantization,
        )  # fmt: skip
    config = AutoConfig.from_pretrained(path)
    renderer = ChatRenderer(AutoTokenizer.from_pretrained(path))
    vocabulary = Vocabulary(renderer.tokenizer, renderer.stop_token_ids[0], int(config.vocab_size))
    identity = BaseIdentity(id_, digest, quantization, renderer.tokenizer_sha256, renderer.template_sha256)
    return Reader(renderer, vocabulary, identity, base, int(config.max_position_embeddings))


def _exported(folder: Path) -> tuple[str, str, str] | None:
    """(id, source digest, quantization) of a folder that `export_base` wrote."""
    record = folder / RECORD
    if not record.is_file():
        return None
    found = json.loads(record.read_text(encoding="utf-8"))
    return (found["id"], found["source_sha256"], found["quantization"]) if "id" in found else None

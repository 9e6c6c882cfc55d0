"""The compiled forward pass against transformers, on every kind of weights and architecture that it reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from lora_agent.engine.local.base import load_base
from lora_agent.engine.local.device import native_missing
from lora_agent.engine.local.native.cache import KvCache
from lora_agent.engine.local.native.model import Feed, NativeModel, why_not
from lora_agent.errors import ConfigError

pytestmark = pytest.mark.skipif(native_missing(None) is not None, reason=str(native_missing(None)))

SIZES: dict[str, Any] = {
    "vocab_size": 160,
    "hidden_size": 128,
    "intermediate_size": 192,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "max_position_embeddings": 512,
}
IDS = [int(i) for i in torch.randint(0, 160, (75,), generator=torch.Generator().manual_seed(3))]


def save(folder: Path, kind: str, dtype: torch.dtype, *, nf4: bool = False, **more: Any) -> Any:
    """A random model of one architecture, saved; returns what transformers makes of it, in float32."""
    from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig

    torch.manual_seed(1)
    config = AutoConfig.for_model(kind, **SIZES, **more)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    for name, parameter in model.named_parameters():  # norms of one and biases of zero would hide mistakes
        if name.endswith(("norm.weight", "bias")):
            torch.nn.init.normal_(parameter, mean=1.0 if "norm" in name else 0.0, std=0.3)
        else:
            torch.nn.init.normal_(parameter, std=0.2)
    model.to(dtype).save_pretrained(folder)
    if nf4:
        quantized = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True)
        packed = AutoModelForCausalLM.from_pretrained(folder, quantization_config=quantized, dtype=torch.bfloat16)
        packed.save_pretrained(folder)
        return expanded(folder)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def expanded(folder: Path) -> Any:
    """The NF4 checkpoint with every weight written out in float32 by bitsandbytes."""
    from bitsandbytes.functional import dequantize_4bit
    from bitsandbytes.nn import Linear4bit
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    for name, module in list(model.named_modules()):
        if isinstance(module, Linear4bit):
            module.weight.quant_state.dtype = torch.float32  # else it rounds to what the model was saved from
            weight = dequantize_4bit(module.weight.data, module.weight.quant_state)
            plain = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=module.bias is not None)
            plain.weight = torch.nn.Parameter(weight)
            plain.bias = module.bias if module.bias is None else torch.nn.Parameter(module.bias.data.float())
            model.set_submodule(name, plain)
    for parameter in model.parameters():  # embedding and norms
        parameter.data = parameter.data.float()
    return model.eval()


@pytest.mark.parametrize(
    ("kind", "dtype", "nf4", "more"),
    [
        ("llama", torch.float32, False, {}),
        ("llama", torch.bfloat16, False, {"tie_word_embeddings": True}),
        ("llama", torch.bfloat16, True, {"tie_word_embeddings": True}),
        ("llama", torch.float32, False, {"attention_bias": True, "mlp_bias": True}),
        ("qwen2", torch.bfloat16, True, {}),
        ("qwen3", torch.bfloat16, True, {"rope_theta": 1e6}),
        ("mistral", torch.bfloat16, False, {"sliding_window": None}),
    ],
)
def test_logits_and_hidden_states_are_those_of_transformers(
    tmp_path: Path, kind: str, dtype: torch.dtype, nf4: bool, more: dict[str, Any]
) -> None:
    reference = save(tmp_path, kind, dtype, nf4=nf4, **more)
    assert why_not(tmp_path) is None
    with torch.no_grad():
        expected = reference(torch.tensor([IDS]), output_hidden_states=True)
    for threads in (1, 3):
        model = NativeModel(tmp_path, threads)
        cache = KvCache(model.kv)
        logits, hidden = model.forward([Feed(IDS, cache)], outputs=range(len(IDS)), taps=(0, 1, 3))
        scale = expected.logits.abs().max()
        assert (logits - expected.logits[0]).abs().max() < 1e-5 * scale
        for layer, states in zip((0, 1, 3), hidden, strict=True):
            wanted = expected.hidden_states[layer][0]
            assert (states - wanted).abs().max() < 1e-5 * wanted.abs().max()
        one_by_one = KvCache(model.kv)
        alone = torch.cat([model.forward([Feed([token], one_by_one)], outputs=[0])[0] for token in IDS])
        rounding = 2e-3 if nf4 else 1e-5  # few rows of NF4 are multiplied as 16-bit integers
        assert (alone - logits).abs().max() < rounding * scale


def test_rows_of_other_sequences_do_not_matter(tmp_path: Path) -> None:
    save(tmp_path, "llama", torch.bfloat16)
    model = NativeModel(tmp_path, 2)
    lengths = [1, 9, 40, 2]
    caches = [KvCache(model.kv) for _ in lengths]
    for cache, length in zip(caches, lengths, strict=True):  # contexts of different lengths
        model.forward([Feed(IDS[:length], cache)])
    feeds = [[5], [7, 8, 9], [11], [13, 14]]
    together, _ = model.forward([Feed(f, c) for f, c in zip(feeds, caches, strict=True)], outputs=[0, 3, 4, 6])
    for row, (feed, length) in enumerate(zip(feeds, lengths, strict=True)):
        alone = KvCache(model.kv)
        logits, _ = model.forward([Feed([*IDS[:length], *feed], alone)], outputs=[length + len(feed) - 1])
        assert torch.allclose(together[row], logits[0], atol=1e-4)


@pytest.mark.parametrize("nf4", [False, True])
def test_keys_and_values_in_eight_bits_change_little_and_take_a_quarter(tmp_path: Path, nf4: bool) -> None:
    save(tmp_path, "llama", torch.bfloat16, nf4=nf4)
    whole, small = (NativeModel(tmp_path, 2, kv_cache_dtype=dtype) for dtype in ("float32", "int8"))
    assert small.kv.token_bytes * 4 == whole.kv.token_bytes * (whole.kv.head_dim + 4) / whole.kv.head_dim
    expected, _ = whole.forward([Feed(IDS, KvCache(whole.kv))], outputs=range(len(IDS)))
    cache = KvCache(small.kv)
    small.forward([Feed(IDS[:50], cache)])
    head = KvCache.restore(small.kv, cache.snapshot(), 40)  # what is stored goes through a prefix cache unchanged
    logits, _ = small.forward([Feed(IDS[40:], head)], outputs=range(len(IDS) - 40))
    assert (logits - expected[40:]).norm() < 8e-2 * expected[40:].norm()
    again, _ = small.forward([Feed(IDS, KvCache(small.kv))], outputs=range(len(IDS)))
    assert (logits - again[40:]).norm() < 5e-2 * expected[40:].norm()


def test_only_the_tokens_asked_for_are_projected(tmp_path: Path) -> None:
    save(tmp_path, "llama", torch.bfloat16)
    model = NativeModel(tmp_path, 2)
    whole, _ = model.forward([Feed(IDS, KvCache(model.kv))], outputs=[3, 70])
    wanted = [159, 4, 77, 0, 158]
    some, _ = model.forward([Feed(IDS, KvCache(model.kv))], outputs=[3, 70], allowed=lambda: wanted)
    assert torch.allclose(some[:, wanted], whole[:, wanted], atol=1e-5)
    assert torch.isinf(some).sum() == 2 * (model.config.vocab - len(wanted))
    every, _ = model.forward([Feed(IDS, KvCache(model.kv))], outputs=[3, 70], allowed=lambda: None)
    assert torch.equal(every, whole)


def test_a_cache_grows_is_cropped_and_is_shared_without_being_changed(tmp_path: Path) -> None:
    save(tmp_path, "llama", torch.bfloat16)
    model = NativeModel(tmp_path, 2)
    long = (IDS * 7)[:500]
    expected, _ = model.forward([Feed(long, KvCache(model.kv))], outputs=[499])
    cache = KvCache(model.kv)
    for start in range(0, 500, 60):  # grows past its first block
        logits, _ = model.forward([Feed(long[start : start + 60], cache)], outputs=[min(60, 500 - start) - 1])
    assert torch.allclose(logits, expected, atol=1e-4)
    held = cache.snapshot()
    cache.crop(-400)
    model.forward([Feed([1, 2, 3], cache)])  # writes where the snapshot reads
    again = KvCache.restore(model.kv, held, 499)
    logits, _ = model.forward([Feed(long[499:], again)], outputs=[0])
    assert torch.allclose(logits, expected, atol=1e-4)


def test_tokens_and_positions_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    save(tmp_path, "llama", torch.bfloat16)
    model = NativeModel(tmp_path, 2)
    for ids in ([160], [-1], [1] * 513):
        cache = KvCache(model.kv)
        with pytest.raises(ValueError, match=r"token|position"):
            model.forward([Feed(ids, cache)])
        assert cache.get_seq_length() == 0


def test_a_forked_process_computes_alone(tmp_path: Path) -> None:
    import os

    save(tmp_path, "llama", torch.bfloat16)
    model = NativeModel(tmp_path, 3)
    expected, _ = model.forward([Feed(IDS, KvCache(model.kv))], outputs=[70])
    child = os.fork()
    if child == 0:
        logits, _ = model.forward([Feed(IDS, KvCache(model.kv))], outputs=[70])
        os._exit(0 if torch.equal(logits, expected) else 1)
    assert os.waitpid(child, 0)[1] == 0
    again, _ = model.forward([Feed(IDS, KvCache(model.kv))], outputs=[70])
    assert torch.equal(again, expected)


def test_what_it_does_not_read_is_said(tmp_path: Path) -> None:
    import json

    save(tmp_path, "llama", torch.float32)
    config = json.loads((tmp_path / "config.json").read_text())
    for change, reason in (
        ({"model_type": "gpt2"}, "gpt2"),
        ({"hidden_act": "gelu"}, "gelu"),
        ({"dtype": "float16"}, "bfloat16"),
        ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 1e4}}, "llama3"),
        ({"hidden_size": 100}, "multiples"),
    ):
        (tmp_path / "config.json").write_text(json.dumps(config | change))
        assert reason in str(why_not(tmp_path))


def test_keys_and_values_are_kept_as_asked_for_or_not_at_all(base_dir: Path) -> None:
    with pytest.raises(ConfigError, match="'float8' is none of float32, int8"):
        load_base(base_dir, kv_cache_dtype="float8")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="'unpacked' runs here"):
        load_base(base_dir, kernels="unpacked", kv_cache_dtype="int8")

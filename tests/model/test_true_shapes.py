"""The models that people run, in their true shapes with random weights: what transformers computes.

The largest takes minutes and 15 GB; `-k 135m` is the smallest.
"""

import gc
from typing import Any

import pytest
import torch

from tuillm.generation.context import Context
from tuillm.model import load_decoder, read_model

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

LLAMA3 = dict(
    rope_type="llama3",
    rope_theta=5e5,
    factor=32.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=8192,
)


def shape(kind, layers, width, inner, heads, kv_heads, vocab, theta, tied=True, **more):
    """The class of a configuration in transformers, and its values."""
    values: dict[str, Any] = dict(
        num_hidden_layers=layers,
        hidden_size=width,
        intermediate_size=inner,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        vocab_size=vocab,
        tie_word_embeddings=tied,
        rope_parameters={"rope_type": "default", "rope_theta": theta},
        max_position_embeddings=8192,
    )
    return f"{kind}Config", values | more


SHAPES = {
    "smollm2-135m": shape("Llama", 30, 576, 1536, 9, 3, 49_152, 1e5),
    "smollm2-360m": shape("Llama", 32, 960, 2560, 15, 5, 49_152, 1e5),
    "smollm2-1.7b": shape("Llama", 24, 2048, 8192, 32, 32, 49_152, 1.3e5),
    "tinyllama-1.1b": shape("Llama", 22, 2048, 5632, 32, 4, 32_000, 1e4, tied=False),
    "llama3.2-1b": shape(
        "Llama", 16, 2048, 8192, 32, 8, 128_256, 5e5, rope_parameters=LLAMA3,
        max_position_embeddings=131_072,
    ),
    "qwen2.5-0.5b": shape("Qwen2", 24, 896, 4864, 14, 2, 151_936, 1e6),
    "qwen2.5-1.5b": shape("Qwen2", 28, 1536, 8960, 12, 2, 151_936, 1e6),
    "qwen3-0.6b": shape("Qwen3", 28, 1024, 3072, 16, 8, 151_936, 1e6, head_dim=128),
    "qwen3-1.7b": shape("Qwen3", 28, 2048, 6144, 16, 8, 151_936, 1e6, head_dim=128),
}  # fmt: skip


def spread(found, wanted):
    """The largest difference of logits, measured by how far they spread."""
    return float((found - wanted).abs().max() / (wanted.max() - wanted.min()))


@torch.no_grad()
@pytest.mark.parametrize("name", SHAPES)
def test_logits_and_greedy_tokens(name, tmp_path, transformers):
    """A batch of three at once, with a cache in parts, and 200 tokens; by PyTorch and in C."""
    kind, values = SHAPES[name]
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(getattr(transformers, kind)(**values))
    model = model.float().eval()
    for parameter in model.parameters():
        if parameter.dim() == 1:  # gains of 1 and biases of 0 would hide what is left out
            parameter.add_(torch.randn_like(parameter) * 0.2)
    idx = torch.randint(values["vocab_size"], (3, 40))
    prompt = idx[:1, :20]
    wanted = model(idx).logits
    text = model.generate(
        prompt, max_new_tokens=200, min_new_tokens=200, do_sample=False, eos_token_id=None
    )[0, 20:].tolist()
    model.save_pretrained(tmp_path, max_shard_size="100GB")
    del model
    gc.collect()

    ours = read_model(tmp_path).eval()
    assert spread(ours(idx), wanted) < 1e-4
    assert spread(cached(ours, idx), wanted) < 1e-4
    del ours
    gc.collect()
    native = load_decoder(tmp_path, torch.float32, torch.device("cpu"))
    assert spread(cached(native, idx), wanted) < 1e-4
    context = Context(native)
    logits, _ = context.read(prompt[0].tolist())
    found = []
    for _ in text:
        found.append(int(logits.argmax()))
        logits, _ = context.advance([found[-1]])
    assert found == text


def cached(model, idx):
    """Logits of a batch, read in parts into a cache."""
    cache = model.new_cache(len(idx))
    return torch.cat([model(part, cache) for part in idx.split([17, 1, 1, 21], 1)], 1)

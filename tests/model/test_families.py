"""Each family as transformers has it: the same logits from the same folder, cache or none."""

from typing import Any

import pytest
import torch

from tuillm.config.gpt_config import GPTConfig
from tuillm.generation.context import Context
from tuillm.model import GPT, read_model, write_model

pytestmark = pytest.mark.filterwarnings("default")

SMALL: dict[str, Any] = dict(
    vocab_size=300,
    hidden_size=64,
    intermediate_size=172,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=256,
)
LLAMA3 = dict(
    rope_type="llama3",
    rope_theta=500_000.0,
    factor=32.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=64,
)
# the class of its configuration in transformers, and what it says besides
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "smollm2": ("LlamaConfig", dict(rope_theta=1e5, tie_word_embeddings=True)),
    "tinyllama": ("LlamaConfig", dict(tie_word_embeddings=False)),
    "one-group": ("LlamaConfig", dict(num_key_value_heads=1, head_dim=32)),
    "no-groups": ("LlamaConfig", dict(num_key_value_heads=4, rope_theta=1.3e5)),
    "llama3": ("LlamaConfig", dict(rope_parameters=LLAMA3, tie_word_embeddings=True)),
    "qwen2": ("Qwen2Config", dict(rope_theta=1e6, tie_word_embeddings=True)),
    "qwen3": ("Qwen3Config", dict(rope_theta=1e6, head_dim=32, tie_word_embeddings=True)),
    "qwen3-untied": ("Qwen3Config", dict(head_dim=16, tie_word_embeddings=False)),
}


@pytest.fixture(params=FAMILIES)
def theirs(request, tmp_path, transformers):
    """A model of transformers with random weights, and the folder that it has written."""
    kind, values = FAMILIES[request.param]
    torch.manual_seed(0)
    config = getattr(transformers, kind)(**SMALL | values)
    model = transformers.AutoModelForCausalLM.from_config(config).float().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(1.0 if parameter.dim() == 1 else 0.0, 0.2)
    model.save_pretrained(tmp_path)
    return model, tmp_path


def close(ours, wanted):
    """Whether logits are the same but for rounding, measured by how far they spread."""
    return (ours - wanted).abs().max() <= 1e-4 * (wanted.max() - wanted.min())


@torch.no_grad()
def test_logits_are_those_of_transformers(theirs):
    """All at once, a batch of three; with a cache in parts, one by one; and decoding."""
    model, folder = theirs
    ours = read_model(folder).eval()
    assert ours.parameter_count == ours.config.parameter_count == model.num_parameters()
    idx = torch.randint(300, (3, 100), generator=torch.Generator().manual_seed(1))
    wanted = model(idx).logits
    assert close(ours(idx), wanted)
    cache = ours.new_cache(3)
    parts = [ours(part, cache) for part in idx.split([40, 1, 1, 30, 28], 1)]
    assert close(torch.cat(parts, 1), wanted)


@torch.no_grad()
def test_greedy_tokens_are_those_of_transformers(theirs):
    """Two hundred of them, through the context that the sampler uses."""
    model, folder = theirs
    prompt = torch.randint(300, (1, 20), generator=torch.Generator().manual_seed(2))
    wanted = model.generate(
        prompt, max_new_tokens=200, min_new_tokens=200, do_sample=False, eos_token_id=None
    )[0, 20:].tolist()
    context = Context(read_model(folder).eval())
    logits, _ = context.read(prompt[0].tolist())
    found = []
    for _ in range(200):
        found.append(int(logits.argmax()))
        logits, _ = context.advance([found[-1]])
    assert found == wanted


@torch.no_grad()
def test_a_folder_of_ours_is_theirs(theirs, tmp_path, transformers):
    """Read, written and read by transformers: the same logits, the same config."""
    model, folder = theirs
    again = tmp_path / "again"
    again.mkdir()
    ours = read_model(folder).eval()
    write_model(ours, again, None)
    reread = transformers.AutoModelForCausalLM.from_pretrained(again).float().eval()
    assert type(reread) is type(model)
    idx = torch.arange(90)[None]
    assert torch.equal(reread(idx).logits, model(idx).logits)
    assert read_model(again).config == ours.config


def test_gradients_are_those_of_transformers(theirs):
    """The loss and the gradient of every tensor, by the names of the folder."""
    model, folder = theirs
    ours = read_model(folder).train()
    for parameter in ours.parameters():
        parameter.data = parameter.data.clone()
        parameter.requires_grad_(True)
    if ours.config.tie_weights:
        ours.lm_head.weight = ours.wte.weight
    idx = torch.randint(300, (2, 60), generator=torch.Generator().manual_seed(3))
    loss = ours.loss(idx[:, :-1], idx[:, 1:])
    loss.backward()
    other = model.train()(idx, labels=idx).loss
    other.backward()
    assert abs(loss.item() - other.item()) < 1e-5
    grads = {name: parameter.grad for name, parameter in model.named_parameters()}
    layer = "model.layers.1"
    fused = torch.cat([grads[f"{layer}.self_attn.{each}_proj.weight"] for each in "qkv"])
    found = ours.get_parameter("h.1.attn.c_attn.weight").grad
    assert found is not None and torch.allclose(found, fused, atol=1e-5 * float(fused.abs().max()))
    norm = ours.get_parameter("h.1.ln_2.weight").grad
    wanted = grads[f"{layer}.post_attention_layernorm.weight"]
    assert norm is not None and torch.allclose(norm, wanted, atol=1e-4 * float(wanted.abs().max()))


def test_a_new_model_of_every_switch_begins_as_the_identity():
    """Projections of zero: what comes out is what the head makes of the embedding."""
    config = GPTConfig(
        50, 32, 2, 4, 32, bias=False, family="qwen3", n_kv_head=2, head_dim=16, n_inner=80,
        rms_norm=True, gated_mlp=True, qk_norm=True, rope_theta=1e4,
    )  # fmt: skip
    model = GPT(config)
    model.init_weights("sinusoid", torch.Generator().manual_seed(0))
    assert model.parameter_count == config.parameter_count
    idx = torch.arange(20)[None]
    with torch.no_grad():
        assert torch.equal(model(idx), model.lm_head(model.ln_f(model.wte(idx))))

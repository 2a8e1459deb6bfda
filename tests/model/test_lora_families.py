"""LoRA on the layers of other families: parts of one layer of ours, as PEFT has them apart."""

import copy
import importlib.util
import json
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.func import functional_call

from tuillm.config.lora_layers import adapter_size, lora_parts
from tuillm.errors import UsageError
from tuillm.model import GPT, GPTConfig, read_model, write_model
from tuillm.model.lora import (
    adapted,
    adapter_state,
    add_lora,
    load_adapter_state,
    pack_frozen,
    write_adapter,
)

RANK, ALPHA = 4, 10.0
ATTENTION, MLP = ("q_proj", "k_proj", "v_proj", "o_proj"), ("gate_proj", "up_proj", "down_proj")
TARGETS = [("q_proj", "v_proj"), ("k_proj",), ("o_proj", "up_proj"), (*ATTENTION, *MLP)]
SWITCHES: dict[str, dict[str, Any]] = {
    "llama": dict(tie_weights=True),
    "qwen2": dict(tie_weights=True, qkv_bias=True),
    "qwen3": dict(tie_weights=False, qk_norm=True),
}


def make(scrambled, family, targets, width=48):
    """Return a model of a family, and a copy of it with adapters that have learned something."""
    shape = GPTConfig(
        50, 32, 2, 4, width, bias=False, family=family, n_kv_head=2, head_dim=16, n_inner=40,
        rms_norm=True, gated_mlp=True, rope_theta=1e4, **SWITCHES[family],
    )  # fmt: skip
    base = scrambled(GPT(shape))
    model, generator = copy.deepcopy(base), torch.Generator().manual_seed(1)
    add_lora(model, RANK, ALPHA, targets, generator)
    with torch.no_grad():
        for layer in adapted(model).values():
            layer.lora_B.normal_(0, 0.2, generator=generator)
    return base, model


def summed_by_hand(base, model):
    """The state of a model with each part's alpha / rank B A in its rows."""
    state = {name: value.detach().clone() for name, value in base.state_dict().items()}
    for name, layer in adapted(model).items():
        at = 0
        for number, part in enumerate(layer.parts):
            a = layer.lora_A[number * RANK : (number + 1) * RANK]
            b = layer.lora_B[at : at + part.rows]
            at += part.rows
            weight = state[f"{name}.weight"].clone()
            weight[part.begin : part.begin + part.rows] += ALPHA / RANK * (b @ a)
            state[f"{name}.weight"] = weight
    if base.config.tie_weights:
        del state["lm_head.weight"]
    return state


def batch():
    idx = torch.randint(50, (3, 16), generator=torch.Generator().manual_seed(0))
    return idx, idx.roll(-1, 1)


@pytest.mark.parametrize("targets", TARGETS, ids="+".join)
@pytest.mark.parametrize("family", SWITCHES)
def test_loss_and_gradients_are_those_of_the_summed_weights(scrambled, family, targets):
    """Each part computes, and learns, as a layer of its own would; nothing else learns."""
    base, model = make(scrambled, family, targets)
    idx, wanted = batch()
    loss = model.train().loss(idx, wanted)
    loss.backward()
    assert all(
        (value.grad is not None) == (".lora_" in name) for name, value in model.named_parameters()
    )
    layers = adapted(model).values()
    ours = [(layer.lora_A.grad.clone(), layer.lora_B.grad.clone()) for layer in layers]
    model.zero_grad()
    logits = functional_call(base, summed_by_hand(base, model), idx)
    oracle = torch.nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten())
    oracle.backward()
    assert loss.item() == pytest.approx(oracle.item(), abs=1e-5)
    for layer, (of_a, of_b) in zip(layers, ours, strict=True):
        torch.testing.assert_close(of_a, layer.lora_A.grad, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(of_b, layer.lora_B.grad, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("targets", TARGETS[:3], ids="+".join)
def test_what_a_compiler_is_given_computes_the_same(scrambled, targets):
    """The layer in plain operations gives its own values and gradients."""
    _, model = make(scrambled, "llama", targets)
    for layer in adapted(model).values():
        x = torch.randn(5, layer.in_features, generator=torch.Generator().manual_seed(0))
        found = []
        for compute in (layer.forward, layer.traced):
            layer.zero_grad()
            y = compute(x)
            y.square().sum().backward()
            found.append((y.detach(), layer.lora_A.grad.clone(), layer.lora_B.grad.clone()))
        for one, other in zip(*found, strict=True):
            torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_bfloat16_stays_near_float32(scrambled):
    """Products in bfloat16 give float32's loss and gradients within its rounding."""
    _, model = make(scrambled, "llama", TARGETS[3], width=64)
    model.train().loss(*batch()).backward()
    exact = [layer.lora_B.grad.clone() for layer in adapted(model).values()]
    model.zero_grad()
    pack_frozen(model, torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        loss = model.loss(*batch())
    loss.backward()
    with torch.no_grad():
        assert loss.item() == pytest.approx(model.loss(*batch()).item(), rel=0.05)
    for layer, wanted in zip(adapted(model).values(), exact, strict=True):
        assert layer.lora_B.grad.dtype == torch.float32
        assert (layer.lora_B.grad - wanted).norm() < 0.15 * wanted.norm()


@pytest.mark.parametrize("targets", TARGETS, ids="+".join)
@pytest.mark.parametrize("family", SWITCHES)
@pytest.mark.filterwarnings("ignore")
def test_merged_model_and_adapter_are_what_transformers_computes(
    scrambled, family, targets, tmp_path, transformers
):
    """Base and adapter, put together by the names in PEFT's file, give the merged model's logits.

    So does PEFT itself, where it is installed.
    """
    base, model = make(scrambled, family, targets)
    for name, each in (("base", base), ("merged", model)):
        (tmp_path / name).mkdir()
        write_model(each, tmp_path / name, None)
    write_adapter(model, tmp_path / "adapter", "base")
    told = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert (told["r"], told["lora_alpha"], told["fan_in_fan_out"]) == (RANK, ALPHA, False)
    assert sorted(told["target_modules"]) == sorted(targets)
    tensors = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert sum(each.numel() for each in tensors.values()) == adapter_size(
        model.config, targets, RANK
    )
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "base").eval()
    modules = dict(theirs.named_modules())
    with torch.no_grad():
        for name in {each.partition(".lora_")[0] for each in tensors}:
            a, b = (tensors[f"{name}.lora_{which}.weight"] for which in "AB")
            layer = modules[name.removeprefix("base_model.model.")]
            assert name.endswith(targets) and layer.weight.shape == (len(b), a.shape[1])
            layer.weight += ALPHA / RANK * (b @ a)
        idx, _ = batch()
        wanted = theirs(idx).logits
        merged = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "merged").eval()
        for logits in (model.eval()(idx), read_model(tmp_path / "merged")(idx), merged(idx).logits):
            assert (logits - wanted).abs().max() < 1e-4 * wanted.std()
    check_with_peft(transformers, tmp_path, idx, wanted)


def check_with_peft(transformers, folder, idx, wanted):
    """PEFT opens the adapter with transformers' model, where it is installed."""
    if importlib.util.find_spec("peft") is None:
        return
    peft = importlib.import_module("peft")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder / "base").eval()
    theirs = peft.PeftModel.from_pretrained(theirs, folder / "adapter").eval()
    with torch.no_grad():
        assert (theirs(idx).logits - wanted).abs().max() < 1e-4 * wanted.std()


@pytest.mark.parametrize("family", SWITCHES)
def test_what_a_merged_model_no_longer_tells_brings_it_back_exactly(scrambled, family, tmp_path):
    """From the merged folder and the state beside it comes the very model."""
    _, model = make(scrambled, family, TARGETS[0])
    write_model(model, tmp_path, None)
    state = {name: value.detach().contiguous() for name, value in adapter_state(model).items()}
    again = read_model(tmp_path)
    add_lora(again, RANK, ALPHA, TARGETS[0], torch.Generator())
    load_adapter_state(again, state, torch.float32)
    theirs = again.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in model.state_dict().items())


def test_targets_are_those_of_the_family(scrambled):
    """`all` is every linear layer of the blocks; names of another family are refused."""
    base, _ = make(scrambled, "qwen3", TARGETS[3])
    names = {f"model.layers.1.self_attn.{each}" for each in ATTENTION}
    names |= {f"model.layers.1.mlp.{each}" for each in MLP}
    for wanted in ("all", None, "q_proj,all"):
        parts = [part for part in lora_parts(base.config, wanted) if part.layer.startswith("h.1.")]
        assert {part.name for part in parts} == names and len(parts) == 7
    wrong: tuple[object, ...] = ("c_attn", "q_proj,c_fc", "", (), 3)
    for each in wrong:
        with pytest.raises(UsageError, match="allowed: q_proj or .* or down_proj or all, in a qw"):
            list(lora_parts(base.config, each))
    gpt2 = GPTConfig(50, 16, 2, 2, 16)
    assert [part.target for part in lora_parts(gpt2)] == ["c_attn"] * 2
    assert adapter_size(gpt2, "all", 3) == 2 * 3 * 16 * (4 + 2 + 5 + 5)

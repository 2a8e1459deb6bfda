"""LoRA on a small model: what is computed, what learns, what is written."""

import copy
import json
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.func import functional_call

from tuillm.config import TrainConfig
from tuillm.model import GPT, GPTConfig, read_model, write_model
from tuillm.model.lora import (
    adapted,
    adapter_state,
    add_lora,
    load_adapter_state,
    merged_state,
    pack_frozen,
    write_adapter,
)
from tuillm.model.save_safetensors import LazyTensor

SHAPE: dict[str, Any] = dict(vocab_size=50, block_size=16, n_layer=2, n_head=2, n_embd=16)
ALL = ("c_attn", "attn.c_proj", "c_fc", "mlp.c_proj")
RANK, ALPHA = 4, 10.0


def make(scrambled, targets=ALL, learned=True, **shape):
    """Return a model, and a copy of it with adapters that have learned something."""
    base = scrambled(GPT(GPTConfig(**(SHAPE | shape))))
    model = copy.deepcopy(base)
    generator = torch.Generator().manual_seed(1)
    add_lora(model, RANK, ALPHA, targets, generator)
    if learned:
        with torch.no_grad():
            for layer in adapted(model).values():
                layer.lora_B.normal_(0, 0.2, generator=generator)
    return base, model


def batch(seed=0):
    idx = torch.randint(50, (3, 16), generator=torch.Generator().manual_seed(seed))
    return idx, idx.roll(-1, 1)


def summed_by_hand(base, model):
    """The state of a model whose weights are W + alpha / rank B A."""
    state = dict(base.state_dict())
    for name, layer in adapted(model).items():
        state[f"{name}.weight"] = state[f"{name}.weight"] + ALPHA / RANK * (
            layer.lora_B @ layer.lora_A
        )
    return state


def test_new_adapters_change_nothing(scrambled):
    """Before the first step the model computes what its base does, and knows where they are."""
    base, model = make(scrambled, ("c_attn", "mlp.c_proj"), learned=False)
    idx, _ = batch()
    assert torch.equal(model.eval()(idx), base(idx))
    assert sorted(adapted(model)) == [
        f"h.{layer}.{name}" for layer in (0, 1) for name in ("attn.c_attn", "mlp.c_proj")
    ]
    assert model.parameter_count == base.parameter_count


@pytest.mark.parametrize("targets", [("c_attn",), ("mlp.c_proj",), ("attn.c_proj", "c_fc"), ALL])
@pytest.mark.parametrize("bias", [True, False])
def test_loss_and_gradients_are_those_of_the_summed_weights(scrambled, targets, bias):
    """Adapters beside the weights compute, and learn, as if they were in the weights."""
    base, model = make(scrambled, targets, bias=bias)
    idx, wanted = batch()
    loss = model.train().loss(idx, wanted)
    loss.backward()
    ours = {
        name: (layer.lora_A.grad.clone(), layer.lora_B.grad.clone())
        for name, layer in adapted(model).items()
    }
    model.zero_grad()
    state = summed_by_hand(base, model)
    del state["lm_head.weight"]  # tied
    logits = functional_call(base, state, idx)
    oracle = torch.nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten())
    oracle.backward()
    assert loss.item() == pytest.approx(oracle.item(), abs=1e-6)
    for name, layer in adapted(model).items():
        torch.testing.assert_close(ours[name][0], layer.lora_A.grad, atol=1e-6, rtol=1e-4)
        torch.testing.assert_close(ours[name][1], layer.lora_B.grad, atol=1e-6, rtol=1e-4)


def test_only_adapters_learn(scrambled):
    """After a backward pass nothing else has a gradient, or asks for one."""
    _, model = make(scrambled)
    model.train().loss(*batch()).backward()
    learning = {name for name, value in model.named_parameters() if value.requires_grad}
    assert learning == {name for name, value in model.named_parameters() if value.grad is not None}
    assert len(learning) == 2 * 4 * 2 and all(".lora_" in name for name in learning)


def test_a_written_model_is_the_merged_one(scrambled, tmp_path):
    """The folder has no trace of adapters but in the sums; logits are those of both together."""
    base, model = make(scrambled)
    write_model(model, tmp_path, None)
    opened, (idx, _) = read_model(tmp_path), batch()
    torch.testing.assert_close(opened.eval()(idx), model.eval()(idx), atol=1e-5, rtol=1e-5)
    expected, layers = summed_by_hand(base, model), adapted(model)
    for name, value in merged_state(model).items():
        if isinstance(value, LazyTensor):
            torch.testing.assert_close(value.make(), expected[name], atol=1e-6, rtol=1e-6)
            assert value.make().shape == value.shape and name.removesuffix(".weight") in layers
        else:
            assert torch.equal(value, base.state_dict()[name])
            assert torch.equal(value, expected[name])


def test_what_a_merged_model_no_longer_tells_brings_it_back_exactly(scrambled, tmp_path):
    """From the merged folder and the state beside it comes the very model."""
    _, model = make(scrambled, ("c_attn", "c_fc"))
    write_model(model, tmp_path, None)
    state = {name: value.detach().contiguous() for name, value in adapter_state(model).items()}
    again = read_model(tmp_path)
    add_lora(again, RANK, ALPHA, ("c_attn", "c_fc"), torch.Generator())
    load_adapter_state(again, state, torch.float32)
    theirs = again.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in model.state_dict().items())
    other = scrambled(GPT(GPTConfig(**(SHAPE | {"n_embd": 8}))))
    add_lora(other, RANK, ALPHA, ("c_attn", "c_fc"), torch.Generator())
    with pytest.raises(RuntimeError):
        load_adapter_state(other, state, torch.float32)


@pytest.mark.parametrize("packs", [True, False])
def test_bfloat16_stays_near_float32(scrambled, packs, monkeypatch):
    """Packed or not, products in bfloat16 give float32's loss and gradients within its rounding."""
    if not packs:
        monkeypatch.setattr("tuillm.model.linear_kernels.can_pack", lambda dtype: False)
    _, model = make(scrambled, n_embd=64)
    model.train().loss(*batch()).backward()
    exact = [layer.lora_B.grad.clone() for layer in adapted(model).values()]
    model.zero_grad()
    pack_frozen(model, torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        loss = model.loss(*batch())
    loss.backward()
    with torch.no_grad():
        assert loss.item() == pytest.approx(model.loss(*batch()).item(), rel=0.02)
    for layer, wanted in zip(adapted(model).values(), exact, strict=True):
        assert layer.lora_B.grad.dtype == torch.float32
        assert (layer.lora_B.grad - wanted).norm() < 0.05 * wanted.norm()


def test_the_adapter_is_in_pefts_format(scrambled, tmp_path):
    """Names, shapes and settings of the two files are those that PEFT writes for GPT-2."""
    _, model = make(scrambled)
    write_adapter(model, tmp_path / "adapter", "gpt2")
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert (config["peft_type"], config["r"], config["lora_alpha"]) == ("LORA", RANK, ALPHA)
    assert config["fan_in_fan_out"] is True and config["base_model_name_or_path"] == "gpt2"
    assert sorted(config["target_modules"]) == sorted(ALL)
    TrainConfig(lora_targets=config["target_modules"], max_steps=1)  # names that we take ourselves
    tensors = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert len(tensors) == 2 * 4 * 2
    head = "base_model.model.transformer.h.1.mlp.c_fc"
    assert tensors[f"{head}.lora_A.weight"].shape == (RANK, 16)
    assert tensors[f"{head}.lora_B.weight"].shape == (64, RANK)


@pytest.mark.filterwarnings("ignore")
def test_peft_opens_the_adapter(scrambled, tmp_path, transformers):
    """PEFT, where it is installed, computes our logits from the base and the adapter."""
    peft = pytest.importorskip("peft")
    base, model = make(scrambled)
    (tmp_path / "base").mkdir()
    write_model(base, tmp_path / "base", None)
    write_adapter(model, tmp_path / "adapter", "base")
    theirs = transformers.GPT2LMHeadModel.from_pretrained(tmp_path / "base")
    theirs = peft.PeftModel.from_pretrained(theirs, tmp_path / "adapter").eval()
    idx, _ = batch()
    with torch.no_grad():
        torch.testing.assert_close(theirs(idx).logits, model.eval()(idx), atol=1e-4, rtol=1e-4)
        merged = theirs.merge_and_unload()
        torch.testing.assert_close(merged(idx).logits, model(idx), atol=1e-4, rtol=1e-4)

"""A model of another family is trained as GPT-2 is: its folder stays what its family's is."""

from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from text.test_library_tokenizer import library
from training.test_train_from_model import Stopping, history, story  # noqa: F401
from training.test_worker_process import no_worker_left, wait_for_end  # noqa: F401

from tuillm import Trainer
from tuillm.config import build_train
from tuillm.config.gpt_config import GPTConfig
from tuillm.convert.compare_transformers import verify
from tuillm.convert.import_model import import_model
from tuillm.errors import UsageError
from tuillm.model import GPT, write_model
from tuillm.store.files import write_json
from tuillm.store.process_id import this_process
from tuillm.store.registry import find_model, remove_model, shape_of
from tuillm.store.run_folder import create_run, list_runs, metric_rows
from tuillm.store.workers.launch import resume_run
from tuillm.training.forecast.run_time import flops_per_step
from tuillm.training.forecast.static import copied_for, look, shape_for
from tuillm.training.runner import Runner
from tuillm.training.start_checks import validate_start

QUICK: dict[str, Any] = dict(max_steps=12, sample_tokens=4, dtype="float32", eval_interval=4)
SWITCHES: dict[str, dict[str, Any]] = {
    "llama": dict(),
    "qwen2": dict(qkv_bias=True),
    "qwen3": dict(qk_norm=True),
}


@pytest.fixture(params=SWITCHES)
def family(request, home, tmp_path):
    """The family of a small random model in the registry, which is called `parent`."""
    # transformers cuts for a qwen2 as Qwen does, whatever the file says
    spec = library("qwen" if request.param.startswith("qwen") else "smollm")
    size = 1 + max(entry["id"] for entry in spec["added_tokens"])
    shape = GPTConfig(
        size, 64, 2, 4, 48, bias=False, tie_weights=True, family=request.param, n_kv_head=2,
        head_dim=16, n_inner=96, rms_norm=True, gated_mlp=True, rope_theta=1e4,
        **SWITCHES[request.param],
    )  # fmt: skip
    model = GPT(shape)
    model.init_weights("none", torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1 and not parameter.any():
                parameter.normal_(0, 0.1)
    folder = tmp_path / "parent"
    folder.mkdir()
    write_model(model, folder, None)
    write_json(folder / "tokenizer.json", spec)
    write_json(folder / "tokenizer_config.json", {"eos_token": "<|im_end|>"})
    import_model(str(folder))
    return request.param


@pytest.mark.filterwarnings("default")
def test_it_learns_and_is_published_as_its_family(family, book):
    """The loss falls, and transformers computes of the new folder what we do."""
    Trainer(str(book), init_from="parent", name="child", **QUICK).run(quiet=True)
    losses = [row["train_loss"] for row in metric_rows(list_runs()[0])]
    assert len(losses) == 12 and losses[-1] < losses[0] - 0.1
    child = find_model("child")
    assert child.shape and child.shape.family == family and child.card.parent == "parent"
    checks = list(verify("child"))
    assert len(checks) == 5 and all(check.passed for check in checks), checks


def test_its_forecast_counts_its_own_shape(family, book):
    """Parameters, operations and what learns are those of the model that will be trained."""
    settings = dict(corpus=str(book), init_from="parent", max_steps=3, dtype="float32")
    for lora in (False, True):
        config = build_train(settings | {"lora": lora}, shape_of=shape_of)
        seen = look(config)
        trainer = Trainer(config=config)
        trainer.prepare()
        model, setup = trainer.model, trainer.setup
        assert shape_for(config, 0, 0, model.config.dropout) == model.config
        assert seen.parameters == model.parameter_count
        assert flops_per_step(config, seen) == setup.flops_per_token * setup.tokens_per_step
        learning = sum(each.numel() for each in model.parameters() if each.requires_grad)
        assert seen.memory["gradients"] == 4 * learning
        assert copied_for(config, model.config) == sum(
            each.numel()
            for name, each in model.named_parameters()
            if name.endswith(("c_attn.weight", "c_fc.weight"))
            or (family == "qwen2" and name.endswith("c_attn.bias"))
        )


@pytest.mark.filterwarnings("default")
def test_adapters_are_learned_and_published(family, book):
    """All layers get them by default; the merged model is its family's, as transformers has it."""
    trained = Trainer(
        str(book), init_from="parent", lora=True, name="child", **QUICK | {"learning_rate": 1e-2}
    ).run(quiet=True)
    rows = list(metric_rows(list_runs()[0]))
    assert rows[-1]["train_loss"] < rows[0]["train_loss"] - 0.05
    names = "q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj"
    assert trained.card.lora == f"rank 8, alpha 16, on {names}"
    checks = list(verify("child"))
    assert len(checks) == 5 and all(check.passed for check in checks), checks
    before, after, adapter = (
        load_file(path)
        for path in (
            find_model("parent").path / "model.safetensors",
            trained.path / "model.safetensors",
            trained.path / "adapter" / "adapter_model.safetensors",
        )
    )
    assert len(adapter) == 2 * 2 * 7
    for name, was in before.items():
        a, b = (
            adapter.get(f"base_model.model.{name.removesuffix('.weight')}.lora_{part}.weight")
            for part in "AB"
        )
        wanted = was if a is None or b is None else was + 2 * (b @ a)
        torch.testing.assert_close(after[name], wanted, atol=1e-6, rtol=1e-6)
        assert torch.equal(after[name], was) == (a is None)


def test_names_of_another_family_are_refused_before_anything_begins(family, book):
    """In one line with those that there are, also where settings come from elsewhere."""
    config = build_train(
        dict(corpus=str(book), init_from="parent", lora=True, lora_targets="c_attn", name="child")
    )
    with pytest.raises(UsageError, match=f"'c_attn' .allowed: q_proj or .* or all, in a {family}"):
        validate_start(config)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["llama"], indirect=True)
@pytest.mark.parametrize("targets", ["all", "q_proj,v_proj,up_proj"])
def test_adapters_go_on_exactly(family, story, targets):  # noqa: F811
    """Stopped and resumed by another process, the run takes the very steps, its parent gone."""
    settings = dict(corpus=str(story), init_from="parent", lora=True, lora_targets=targets)
    settings |= QUICK | dict(max_steps=60, eval_interval=20, learning_rate=3e-3, patience=0)
    config = build_train(settings, shape_of=shape_of)
    expected = history(m.row() for m in Trainer(config=config).steps())
    run = create_run(config, this_process())
    Runner(Stopping(config=config), run).run()
    assert (run.status().state, run.status().step) == ("stopped", 1)
    remove_model("parent")
    resume_run(run)
    assert wait_for_end(run).state == "finished" and history(metric_rows(run)) == expected


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])
def test_compiled_and_computed_again_it_takes_the_same_steps(family, book, lora, tmp_path_factory):
    """The losses of compiled blocks, of blocks computed again and of both are those of plain ones.

    All blocks are one graph; with rotary positions, groups of heads and adapters alike.
    """
    settings: dict[str, Any] = dict(
        init_from="parent", lora=lora, dropout=0.0, max_steps=5, sample_tokens=0, dtype="float32"
    )
    found = []
    folder = tmp_path_factory.getbasetemp() / "compiled"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(folder))
        for compiled, again in (("off", False), ("off", True), ("on", False), ("on", True)):
            trainer = Trainer(
                str(book), **settings, compile=compiled, grad_checkpoint=again, device="cpu"
            )
            found.append([m.train_loss for m in trainer.steps()])
            blocks = trainer.setup.gradients.blocks
            assert blocks.on is (compiled == "on") and not blocks.failure
            assert trainer.model.recompute is again
    assert found[1] == found[0]
    for losses in found[2:]:
        assert losses == pytest.approx(found[0], abs=1e-4)

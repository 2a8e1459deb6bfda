"""A model of another family is trained as GPT-2 is: its folder stays what its family's is."""

from typing import Any

import pytest
import torch
from text.test_library_tokenizer import library

from tuillm import Trainer
from tuillm.config import build_train
from tuillm.config.gpt_config import GPTConfig
from tuillm.convert.compare_transformers import verify
from tuillm.convert.import_model import import_model
from tuillm.errors import TuillmError
from tuillm.model import GPT, write_model
from tuillm.store.files import write_json
from tuillm.store.registry import find_model
from tuillm.store.run_folder import list_runs, metric_rows
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


def test_lora_is_refused_where_it_is_not_known(family, book):
    """In one line, before anything is begun."""
    config = build_train(dict(corpus=str(book), init_from="parent", lora=True, name="child"))
    with pytest.raises(TuillmError, match=f"is a {family}"):
        validate_start(config)

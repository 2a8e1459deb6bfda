"""nanoGPT's checkpoint: the only place that knows what stands in its `ckpt.pt`.

A dictionary with the weights under GPT-2's names, as [out, in], and the shape in `model_args`.
Knows tensors and shapes; what its ids mean stands in no checkpoint.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from tuillm.config.families import shape_of_config
from tuillm.config.gpt_config import GPTConfig
from tuillm.errors import TuillmError
from tuillm.model.gpt import GPT
from tuillm.model.hf_folder import model_from_tensors
from tuillm.model.torch_files import Pickled

_COMPILED = "_orig_mod."
_SIZES = ("vocab_size", "block_size", "n_layer", "n_head", "n_embd")
_HARMLESS = ("bias", "dropout")  # the weights tell of biases themselves


@dataclass(frozen=True)
class Checkpoint:
    """What a `ckpt.pt` holds. `val_loss` is in nats per token; None is what it does not tell."""

    path: Path
    config: GPTConfig
    tensors: dict[str, Tensor]
    dataset: str | None
    steps: int | None
    val_loss: float | None

    def model(self, n_vocab: int) -> GPT:
        """Return the model with float32 weights, its vocabulary cut to `n_vocab` entries.

        nanoGPT rounds its vocabulary up, 50,257 to 50,304; no text reaches the rows beyond.
        Raises TuillmError for tensors that do not fit the shape.
        """
        tensors = dict(self.tensors)
        for name in ("transformer.wte.weight", "lm_head.weight"):
            if name in tensors and tensors[name].shape[:1] == (self.config.vocab_size,):
                tensors[name] = tensors[name][:n_vocab]
        return model_from_tensors(
            replace(self.config, vocab_size=n_vocab),
            tensors,
            f"{self.path} does not fit its model_args",
            turned=False,
            strict=True,
        )


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a `ckpt.pt`; raises TuillmError for a file that is none, damaged, or unsafe."""
    file = Pickled(path)
    found = file.values
    shape, state = found.get("model_args"), found.get("model")
    if not isinstance(shape, dict) or not isinstance(state, dict):
        raise TuillmError(
            f"{path} is not a checkpoint of nanoGPT", "those hold model_args and model"
        )
    tensors = {key.removeprefix(_COMPILED): value for key, value in file.tensors(state).items()}
    told = found.get("config")
    dataset = told.get("dataset") if isinstance(told, dict) else None
    steps, loss = found.get("iter_num"), file.number(found.get("best_val_loss"))
    return Checkpoint(
        path,
        _config(path, shape, tensors),
        tensors,
        dataset if isinstance(dataset, str) else None,
        steps if type(steps) is int and 0 <= steps < 2**63 else None,
        # nanoGPT writes 1e9 before it has measured any
        loss if loss is not None and 0 <= loss < 1e9 else None,
    )


def _config(path: Path, shape: dict[str, object], tensors: dict[str, Tensor]) -> GPTConfig:
    variants = [name for name in shape if name not in (*_SIZES, *_HARMLESS) and shape[name]]
    if variants:
        raise TuillmError(
            f"{path} is of a variant of nanoGPT: tuillm does not compute {variants[0]!s:.40}"
        )
    told = {"n_positions" if name == "block_size" else name: shape.get(name) for name in _SIZES}
    try:
        config = shape_of_config(told | {"model_type": "gpt2"}, path)
    except TuillmError as error:
        raise TuillmError(error.message.replace("n_positions", "block_size")) from None
    table, head = tensors.get("transformer.wte.weight"), tensors.get("lm_head.weight")
    tied = head is None or table is None or (head.shape == table.shape and head.equal(table))
    return replace(config, tie_weights=tied, exact_gelu=True)

"""Checkpoints: a model folder that also holds what the trainer needs to go on.

With LoRA the model is the merged one, and its adapter lies beside it in PEFT's format. Knows the
files of a checkpoint; knows neither when one is due nor the registry.
"""

from pathlib import Path
from typing import TYPE_CHECKING, cast

from safetensors import SafetensorError
from safetensors.torch import load_file

from tuillm.errors import TuillmError
from tuillm.formats.user_files import shown
from tuillm.model import GPT, read_model, write_model
from tuillm.model.lora import write_adapter
from tuillm.model.save_safetensors import save_tensors
from tuillm.store.copy_files import copy_files, link_or_copy
from tuillm.store.files import new_folder, read_json, recover_folder, write_json
from tuillm.store.run_folder import TRAINER
from tuillm.text.progress_tick import Tick, unwatched
from tuillm.training.setup_state import raw_bytes

if TYPE_CHECKING:
    from tuillm.training.trainer import Trainer
    from tuillm.training.trainer_state import TrainerState


TENSORS, NUMBERS = "trainer.safetensors", TRAINER
ADAPTER = "adapter"


def save_model(trainer: "Trainer", folder: Path) -> None:
    """Replace `folder` by a model folder of the trainer's model as it is now."""
    with new_folder(folder) as staging:
        _write_model(trainer, staging)


def save_checkpoint(trainer: "Trainer", folder: Path) -> None:
    """Replace `folder` by a model folder with the trainer's state beside it.

    Where weights are averaged, the model is the average, and what training goes on from is in the
    state.
    """
    tensors, numbers = trainer.state()
    with new_folder(folder) as staging:
        _write_model(trainer, staging)
        save_tensors(tensors, staging / TENSORS)
        write_json(staging / NUMBERS, numbers)


def model_bytes(trainer: "Trainer") -> int:
    """Return about how many bytes `save_model` writes."""
    merged = 2 if trainer.config.lora else 1  # what a frozen model is kept in may be half of this
    return sum(4 * each.numel() * merged for each in trainer.model.parameters())


def checkpoint_bytes(trainer: "Trainer") -> int:
    """Return about how many bytes `save_checkpoint` writes."""
    setup = trainer.setup
    return model_bytes(trainer) + setup.optimizer.state_bytes + raw_bytes(setup)


def load_checkpoint(
    trainer: "Trainer", folder: Path, tick: Tick = unwatched, *, changed_text: bool = False
) -> bool:
    """Make a trainer go on from a checkpoint; return whether its text is the checkpoint's.

    Its tokenizer is the checkpoint's, whatever the text is. Raises TuillmError when the checkpoint
    is damaged, and, but with `changed_text`, when it has learned another text.
    """
    recover_folder(folder)
    numbers = cast("TrainerState", read_json(folder / NUMBERS))  # load_state looks at each
    trainer.prepare(folder, tick)
    same = numbers.get("corpus_sha256") in (None, trainer.setup.corpus.sha256)
    if not same and not changed_text:
        raise TuillmError(
            f"{trainer.setup.corpus.label} is not the text that {folder} has learned",
            "tuillm runs resume --help says how to go on",
        )
    model = read_model(folder)
    _refuse_other_shape(model, trainer, folder)
    try:
        trainer.load_state(model, load_file(folder / TENSORS), numbers)
    except (OSError, SafetensorError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise TuillmError(f"checkpoint {folder} is damaged: {error}") from None
    if not same:
        trainer.change_text()
    return same


def _refuse_other_shape(model: GPT, trainer: "Trainer", folder: Path) -> None:
    """Raise TuillmError where the settings ask for another shape than the checkpoint has."""
    for name in ("family", "n_layer", "n_head", "n_embd", "block_size", "vocab_size"):
        wanted, there = getattr(trainer.model.config, name), getattr(model.config, name)
        if wanted != there:
            raise TuillmError(
                f"the run's settings make {name} {shown(wanted)}, and its checkpoint {folder} has "
                f"{shown(there)}",
                "was run.json changed? set it back, or start a new run",
            )


def copy_model_files(source: Path, target: Path) -> None:
    """Put the model of a checkpoint into a folder, the trainer's state left behind.

    Without a second copy where the disk knows links: a full one has room for what was learned.
    """
    copy_files(source, target, leave_out=(TENSORS, NUMBERS), copy=link_or_copy)


def _write_model(trainer: "Trainer", folder: Path) -> None:
    """Write the average of the weights where there is one."""
    tokenizer, setup = trainer.tokenizer, trainer.setup
    with setup.average.used():
        setup.collect(trainer.ranks)
        write_model(trainer.model, folder, tokenizer.eot, tokenizer.ends, **setup.kept)
        if trainer.config.lora:
            write_adapter(trainer.model, folder / ADAPTER, trainer.config.init_from or "")
    trainer.tokenizer.save(folder, trainer.model.config.block_size)

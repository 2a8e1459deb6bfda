"""Checkpoints: a model folder that also holds what the trainer needs to go on.

With LoRA the model is the merged one, and its adapter lies beside it in PEFT's format. Knows the
files of a checkpoint; knows neither when one is due nor the registry.
"""

import shutil
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from tuillm.errors import TuillmError
from tuillm.model import read_model, write_model
from tuillm.model.lora import write_adapter
from tuillm.model.saving import save_tensors
from tuillm.store.files import new_folder, read_json, recover_folder, write_json
from tuillm.training.trainer import Trainer

TENSORS, NUMBERS = "trainer.safetensors", "trainer.json"
ADAPTER = "adapter"


def save_model(trainer: Trainer, folder: Path) -> None:
    """Replace `folder` by a model folder of the trainer's model as it is now."""
    with new_folder(folder) as staging:
        _write_model(trainer, staging)


def save_checkpoint(trainer: Trainer, folder: Path) -> None:
    """Replace `folder` by a model folder with the trainer's state beside it."""
    tensors, numbers = trainer.state()
    with new_folder(folder) as staging:
        _write_model(trainer, staging)
        cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        save_tensors(cpu, staging / TENSORS)
        write_json(staging / NUMBERS, numbers)


def load_checkpoint(trainer: Trainer, folder: Path) -> None:
    """Make a trainer go on from a checkpoint; raises TuillmError when it is damaged."""
    recover_folder(folder)
    try:
        numbers = read_json(folder / NUMBERS)
        trainer.load_state(read_model(folder), load_file(folder / TENSORS), numbers)
    except (OSError, SafetensorError, KeyError, RuntimeError) as error:
        raise TuillmError(f"checkpoint {folder} is damaged: {error}") from None


def copy_model_files(source: Path, target: Path) -> None:
    """Copy the model folder out of a checkpoint, the trainer's state left behind."""
    left_out = shutil.ignore_patterns(TENSORS, NUMBERS)
    shutil.copytree(source, target, ignore=left_out, copy_function=shutil.copyfile,
                    dirs_exist_ok=True)


def _write_model(trainer: Trainer, folder: Path) -> None:
    tokenizer = trainer.tokenizer
    write_model(trainer.model, folder, tokenizer.eot, tokenizer.ends)
    if trainer.config.lora:
        write_adapter(trainer.model, folder / ADAPTER, trainer.config.init_from or "")
    trainer.tokenizer.save(folder, trainer.model.config.block_size)

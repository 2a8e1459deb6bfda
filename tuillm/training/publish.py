"""Puts what a run has learned into the registry: under which name, with which card.

Beside the tokens it leaves the index of them that a reply's drafts are looked up in. Knows the run
folder, the trainer's figures and the registry; does not know when it is time.
"""

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tuillm import __version__
from tuillm.config import TrainConfig
from tuillm.config.lora_layers import chosen_targets
from tuillm.errors import DiskError, TuillmError, printable
from tuillm.generation.suffix_index import index_folder
from tuillm.store.card import ModelCard
from tuillm.store.hub.base_model import BaseModel, base_of
from tuillm.store.registry import Model, find_model, free_name, get_model, list_models, publish
from tuillm.store.run_folder import Run, model_name
from tuillm.store.run_status import Status
from tuillm.store.usage import users_of
from tuillm.training.checkpoint import copy_model_files

if TYPE_CHECKING:
    from tuillm.training.trainer import Trainer


def publish_run(
    trainer: "Trainer",
    run: Run,
    status: Status,
    *,
    source: Path,
    published: str | None,
    replace: bool,
) -> tuple[Model, Status]:
    """Publish the checkpoint `source`, else the last; return the model, and the status.

    The status has a note where another name than the run's was taken. A resumed run replaces what
    it had `published` before. Where the name is another model's, or that model is in use, a free
    name beside it is taken: nothing learned is lost. Raises TuillmError when the disk refuses.
    """
    card = _card(trainer, run, status)
    name, over = _name_to_publish(trainer, run, published, replace)
    while True:
        try:
            with publish(name, card, replace=over) as folder:
                copy_model_files(source if source.exists() else run.last, folder)
            break
        except TuillmError:
            before = name, over
            name, over = _name_to_publish(trainer, run, published, replace)
            if (name, over) == before:  # nobody took the name in the meantime
                raise
    with suppress(DiskError, MemoryError):  # drafts need it, and the model does not
        index_folder(trainer.setup.tokens.folder, trainer.setup.tokens.train)
    return get_model(name), _noted(status, name, published or model_name(trainer.config))


def _card(trainer: "Trainer", run: Run, status: Status) -> ModelCard:
    parent = trainer.config.init_from
    base = _base(parent)
    return ModelCard(
        origin="trained" if parent is None else "fine-tuned",
        parent=None if parent is None else printable(Path(parent).name),
        base=base.repo if base else None,
        license=base.licence or None if base else None,
        run=run.id,
        corpus=trainer.setup.corpus.label,
        corpus_sha256=trainer.setup.corpus.sha256,
        corpus_bytes=trainer.setup.corpus.bytes,
        lora=_lora_words(trainer.config, trainer.model.config.family),
        teachers=_teachers(trainer, status),
        tokenizer=trainer.tokenizer.kind,
        parameters=trainer.model.parameter_count,
        steps=status.best_step or status.step,
        val_loss=status.val_loss,
        bits_per_byte=status.bits_per_byte,
        held_out=bool(status.val_tokens),
        starts_at_eot=trainer.setup.starts_at_eot,
        created=time.time(),
        tuillm_version=__version__,
    )


def _base(parent: str | None) -> BaseModel | None:
    """Return the hub's repository that a run's weights go back to, while its parent can tell."""
    with suppress(TuillmError):
        return base_of(find_model(parent)) if parent else None
    return None


def _teachers(trainer: "Trainer", status: Status) -> int | None:
    """How many teachers the published model has had; None where it is one of them itself."""
    stages = trainer.stages
    taught = stages.learns_from_teachers and (status.best_step or status.step) > stages.first_step
    return trainer.config.teachers if taught else None


def _name_to_publish(
    trainer: "Trainer", run: Run, published: str | None, replace: bool
) -> tuple[str, bool]:
    """Return the name to publish under, and whether it replaces a model."""
    wanted = published or model_name(trainer.config)
    theirs = next((model for model in list_models() if model.name == wanted), None)
    ours = theirs is not None and theirs.card.run == run.id
    if theirs is None or ((ours or replace) and not users_of(wanted)):
        return wanted, theirs is not None
    return free_name(model_name(trainer.config)), False


def _noted(status: Status, name: str, wanted: str) -> Status:
    """Return the status with a note where another name than the one wanted was taken."""
    note = f"{wanted!r} is another model or in use and was kept: this one is {name!r}"
    if name == wanted or note in status.notes:
        return status
    return status.model_copy(update={"notes": (*status.notes, note)})


def _lora_words(config: TrainConfig, family: str) -> str | None:
    if not config.lora:
        return None
    targets = ", ".join(chosen_targets(family, config.lora_targets))
    return f"rank {config.lora_rank}, alpha {config.lora_alpha:g}, on {targets}"

"""What a text and the settings tell of a run by themselves: tokens, size, memory, disk.

Knows no torch and fetches nothing from the network; what would have to be fetched is left out.
"""

import shutil
from dataclasses import replace
from pathlib import Path

import psutil

from tuillm.config import TrainConfig
from tuillm.config.families import new_shape
from tuillm.config.gpt_config import GPTConfig
from tuillm.store.paths import data_dir
from tuillm.store.registry import find_model
from tuillm.store.workers.forecast_process import Forecast
from tuillm.text import Corpus, TokenFiles, load_tokenizer, read_corpus, tokenize
from tuillm.text.new_tokenizer import gpt2_is_cached
from tuillm.text.preview import completed, preview
from tuillm.text.read_options import ReadOptions
from tuillm.text.tiktoken_tokenizer import GPT2_ENTRIES
from tuillm.training.auto_settings import adapter_parameters, disk_needed, dropout_for, window_for
from tuillm.training.forecast.data_needs import with_data_needs
from tuillm.training.forecast.warnings import cautions, memory_caution
from tuillm.training.memory_estimate import copied_parameters
from tuillm.training.memory_plan import plan_memory
from tuillm.training.schedule import with_epochs
from tuillm.training.start_checks import uncached_addresses
from tuillm.urls import is_remote, public_url

_MANY = 1 << 40


def first_look(config: TrainConfig) -> Forecast | None:
    """Return what the beginning of the text tells, None where it has to be fetched first.

    Raises TuillmError for a text that is not there.
    """
    if not config.corpus or any(map(is_remote, uncached_addresses(config))):
        return None
    return Forecast(stage="preview", preview=preview(config))


def look(config: TrainConfig, seen_first: Forecast | None = None) -> Forecast:
    """Return what is known without taking a step; tokens are made, and kept for the run.

    `seen_first` is what `first_look` told. Raises TuillmError for a text or a model to start from
    that cannot be used.
    """
    missing = _missing(config)
    seen = _machine()
    tokens = None
    if not any(map(is_remote, missing)):
        corpus = read_corpus(config.corpus, options=ReadOptions.of(config))
        seen = _with_corpus(seen, corpus)
        if seen_first:
            begun = completed(seen_first.preview, corpus, ReadOptions.of(config))
            seen = replace(seen, preview=begun)
        tokens = None if missing else _tokens(config, corpus)
    if tokens:
        seen = _with_tokens(seen, config, tokens)
    elif config.init_from is None and config.tokenizer == "gpt2":
        seen = replace(seen, tokenizer="gpt2", vocab_size=GPT2_ENTRIES)
    if seen.vocab_size is not None or config.init_from is not None:
        seen = with_data_needs(config, _with_needs(seen, config, tokens))
    return replace(
        seen,
        skipped=_download_words(missing) or memory_caution(config, seen),
        warnings=cautions(config, seen),
    )


def of_run(config: TrainConfig, corpus: Corpus, tokens: TokenFiles) -> Forecast:
    """Return what is known of a run that has read its text, before its first step."""
    seen = _with_tokens(_with_corpus(_machine(), corpus), config, tokens)
    return with_data_needs(config, _with_needs(seen, config, tokens))


def shape_for(config: TrainConfig, vocab_size: int, window: int, dropout: float) -> GPTConfig:
    """Return the shape of the model that a run will have, a new one or that it starts from.

    A GPT-2 to start from is taken to have biases, which only its weights can tell. Raises
    TuillmError for a model to start from that is unknown, damaged or not computed here.
    """
    if config.init_from is None:
        return new_shape(config, vocab_size, window, dropout)
    own = find_model(config.init_from).checked_shape()
    return replace(own, dropout=dropout)


def copied_for(config: TrainConfig, shape: GPTConfig) -> int:
    """Return how many parameters of the model to start from are copied when it is read."""
    if config.init_from is None:
        return 0
    return copied_parameters(shape, find_model(config.init_from).stored_bytes)


def _missing(config: TrainConfig) -> list[str]:
    """What the run would download first: addresses of the corpus, and GPT-2's vocabulary."""
    missing = uncached_addresses(config)
    if config.tokenizer == "gpt2" and config.init_from is None and not gpt2_is_cached():
        missing.append("GPT-2's vocabulary")
    return missing


def _download_words(missing: list[str]) -> str:
    named = " and ".join(map(public_url, missing))
    return f"{named} will be downloaded when the run starts" if missing else ""


def _machine() -> Forecast:
    folder: Path = next(path for path in (data_dir(), *data_dir().parents) if path.exists())
    return Forecast(
        memory_available=psutil.virtual_memory().available, disk_free=shutil.disk_usage(folder).free
    )


def _with_corpus(seen: Forecast, corpus: Corpus) -> Forecast:
    return replace(
        seen,
        bytes=corpus.bytes,
        characters=corpus.characters,
        documents=len(corpus.store),
        notes=corpus.notes,
    )


def _tokens(config: TrainConfig, corpus: Corpus) -> TokenFiles:
    parent = None
    if config.init_from is not None:
        parent = load_tokenizer(find_model(config.init_from).path)
    return tokenize(corpus, config, parent)


def _with_tokens(seen: Forecast, config: TrainConfig, tokens: TokenFiles) -> Forecast:
    """Add what the tokens tell."""
    held_out = 0 if tokens.val is tokens.train else len(tokens.val)
    dropout, dropout_note = dropout_for(config, len(tokens.train))
    # a text too short to hold out a part is a caution, not a decision
    said = () if config.val_fraction and not held_out else tokens.notes
    return replace(
        seen,
        tokenizer=tokens.tokenizer.kind,
        vocab_size=tokens.tokenizer.vocab_size,
        tokenizers=tuple(each.as_json() for each in tokens.figures),
        train_tokens=len(tokens.train),
        val_tokens=held_out,
        learned_share=1.0 if tokens.train_mask is None else float(tokens.train_mask.mean()),
        dropout=dropout,
        notes=tuple(filter(None, (*seen.notes, *said, dropout_note))),
    )


def _with_needs(seen: Forecast, config: TrainConfig, tokens: TokenFiles | None) -> Forecast:
    """Add parameters, memory, disk and the length of an epoch, as far as the text is known."""
    dropout = (config.dropout or 0.0) if seen.dropout is None else seen.dropout
    shape = shape_for(config, seen.vocab_size or 0, config.block_size, dropout)
    window = min(config.block_size, shape.block_size)
    if tokens:
        window, _ = window_for(window, len(tokens.train))
    if config.init_from is None:
        shape = replace(shape, block_size=window)
        parameters = shape.parameter_count
    else:
        parameters = find_model(config.init_from).card.parameters or shape.parameter_count
    memory = plan_memory(
        config,
        shape,
        window,
        seen.bytes or 0,
        len(tokens.val) if tokens else _MANY,
        parameters,
        seen.memory_available or 0,
        copied_for(config, shape),
    )
    learning = adapter_parameters(shape, config) if config.lora else None
    per_step = config.batch_size * config.grad_accum_steps * window
    seen = replace(
        seen,
        vocab_size=shape.vocab_size,
        block_size=window,
        parameters=parameters,
        memory=memory.parts,
        memory_needed=memory.needed,
        recompute=memory.recompute,
        memory_with_lora=memory.with_lora,
        disk_needed=disk_needed(config, parameters, learning),
        tokens_per_step=per_step,
        notes=(*seen.notes, *filter(None, [memory.note])),
    )
    return _with_epoch(seen, config, per_step, len(tokens.train)) if tokens else seen


def _with_epoch(seen: Forecast, config: TrainConfig, per_step: int, length: int) -> Forecast:
    seen = replace(seen, steps_per_epoch=length / per_step)
    config = with_epochs(config, length, per_step)
    if config.max_steps and not config.minutes:
        epochs = config.max_steps * per_step / length
        seen = replace(seen, steps=config.max_steps, epochs=epochs)
    return seen

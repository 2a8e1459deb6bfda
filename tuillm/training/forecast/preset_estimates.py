"""What each preset would take on a text and this machine, beside the run that was measured.

Knows the arithmetic of shapes, memory and time; takes no step. A preset whose steps were not
measured is taken to compute as many operations a second as the one that was.
"""

import psutil

from tuillm.config import PRESETS, TrainConfig, build_train, preset_values
from tuillm.store.workers.forecast_process import Forecast, PresetEstimate
from tuillm.text.tiktoken_tokenizer import GPT2_ENTRIES
from tuillm.training.forecast.run_time import flops_per_step, plan
from tuillm.training.forecast.static import shape_for
from tuillm.training.memory_plan import plan_memory
from tuillm.training.schedule import with_epochs

# of a text that nobody has named yet: a book
_BYTES, _TOKENS = 1_000_000, 350_000
_CHARACTERS, _PIECES = 90, 2048
_PER_CHARACTER = 3  # bytes of text for each token of pieces, about


def preset_estimates(config: TrainConfig, seen: Forecast) -> tuple[PresetEstimate, ...]:
    """Return what every preset that begins from scratch would take, in the order of the presets.

    `seen` is what is known of the text and of a run with `config`, whose speed is that of the
    machine. `seconds` are None where the length of a run is in steps and no speed is known, and of
    a text that is not read yet a megabyte is assumed. () for a run that starts from a model.
    """
    if config.init_from is not None:
        return ()
    flops = None
    if seen.step_seconds:
        flops = flops_per_step(config, seen) / seen.step_seconds
    free = seen.memory_available or psutil.virtual_memory().available
    chosen = _chosen(config)
    return tuple(
        _estimate(_with_preset(name, chosen), seen, flops, free)
        for name in PRESETS
        if PRESETS[name].from_scratch
    )


def _with_preset(name: str, chosen: dict[str, object]) -> TrainConfig:
    """The settings of a preset with what was chosen; one without blocks has none of a family."""
    settings = {"preset": name} | chosen
    if PRESETS[name].settings.get("n_layer") == 0:
        settings.pop("arch", None)
    return build_train(settings)


def _chosen(config: TrainConfig) -> dict[str, object]:
    """What a person said of tokenizer and blocks, which holds whatever the preset is."""
    usual = preset_values(config.preset)
    return {
        name: value
        for name in ("tokenizer", "vocab_size", "arch")
        if (value := getattr(config, name)) != usual[name]
    }


def _estimate(
    config: TrainConfig, seen: Forecast, flops: float | None, free: int
) -> PresetEstimate:
    length, tokens = seen.bytes or _BYTES, seen.train_tokens or _TOKENS
    kind = (seen.tokenizer or "bpe") if config.tokenizer == "auto" else config.tokenizer
    entries = _entries(config, kind, seen)
    if kind == "char" and seen.tokenizer != "char":
        tokens = seen.characters or length
    elif kind != "char" and seen.tokenizer == "char":
        tokens //= _PER_CHARACTER
    shape = shape_for(config, entries, config.block_size, config.dropout or 0.0)
    memory = plan_memory(
        config, shape, config.block_size, length, tokens // 10, shape.parameter_count, free
    )
    per_step = config.batch_size * config.grad_accum_steps * config.block_size
    seconds = 60 * config.minutes if config.minutes else None
    if seconds is None and flops:
        step = shape.flops_per_token(config.block_size) * per_step / flops
        _, seconds = plan(with_epochs(config, tokens, per_step), step, 0.0)
    return PresetEstimate(
        config.preset, shape.parameter_count, memory.needed, seconds, memory.needed < free
    )


def _entries(config: TrainConfig, kind: str, seen: Forecast) -> int:
    """The entries that the vocabulary of a preset, of a kind, will have."""
    if kind == "gpt2":
        return GPT2_ENTRIES
    if kind == "char":
        return (seen.vocab_size if seen.tokenizer == "char" else None) or _CHARACTERS
    known = seen.vocab_size if seen.tokenizer == "bpe" else None
    return config.vocab_size or known or _PIECES

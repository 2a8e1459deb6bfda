"""`tuillm eval`: how well models predict a text; one table for all of them."""

import math
import os
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from tuillm.cli.options import Number, device_options, setting_options, typed
from tuillm.cli.output import ProgressLine, print_json, print_table, say
from tuillm.config import TrainConfig, settings_of
from tuillm.errors import UsageError
from tuillm.store.paths import models_dir
from tuillm.text.read_options import READING
from tuillm.units import figure

if TYPE_CHECKING:
    from tuillm.store.registry import Model
    from tuillm.text import Corpus


@dataclass(frozen=True)
class _Result:
    """What was measured of one model, as `--json` prints it.

    `tokens` were predicted, of `bytes` of text; `left_out` counts characters that the vocabulary
    cannot write, of `left_out_bytes`. `perplexity` is None where it is beyond all floats, `stride`
    in tokens, and `dtype` what products were computed in.
    """

    model: str
    tokens: int
    bytes: int
    left_out: int
    left_out_bytes: int
    nats_per_token: float
    perplexity: float | None
    bits_per_byte: float
    stride: int
    tokens_per_sec: float
    dtype: str


_NOT_OF_READING = tuple(each.name for each in settings_of(TrainConfig) if each.name not in READING)
_COLUMNS = ("model", "tokens", "nats/token", "perplexity", "bits/byte", "tokens/s", "computed in")


@click.command("eval")
@click.argument("names", nargs=-1, required=True, metavar="MODEL... TEXT")
@click.option(
    "--stride",
    type=Number(int, 1, 2**31),
    metavar="N",
    help=(
        "Let windows overlap and begin N tokens apart: slower, and each token is predicted from "
        "more of what stands before it [windows side by side]."
    ),
)
@click.option(
    "--val-fraction",
    type=Number(float, 0, 0.5),
    default=0.0,
    metavar="F",
    help=("Only the part of the text that training holds out; 0.1 is a tenth [all of it]."),
)
@setting_options(TrainConfig, leave_out=_NOT_OF_READING)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@device_options("float32")
def eval_command(
    names: tuple[str, ...],
    stride: int | None,
    val_fraction: float,
    as_json: bool,
    device: str,
    dtype: str,
    **settings: Any,
) -> None:
    """Measure how well each MODEL predicts TEXT, a file or an address.

    Every token but the first is predicted once, so the same text gives the same figures each time.
    Bits per byte compare across tokenizers; losses per token and perplexities do not. Characters
    that a model's vocabulary cannot write are counted at 8 bits a byte, and told. Of conversations
    the answers alone are predicted (--no-mask-prompt: all of it).
    """
    *models, text = names
    if not models:
        missing = f"{text} TEXT" if os.path.isdir(models_dir() / text) else f"MODEL {text}"
        raise UsageError("eval wants a model and a text", f"tuillm eval {missing}")
    from tuillm.config import build_train
    from tuillm.store.run_checkpoints import resolve_model
    from tuillm.store.usage import using
    from tuillm.text.stdin_pipes import keep_pipes
    from tuillm.text.tokens import left_out_note

    config = build_train(typed(settings | {"corpus": (text,), "val_fraction": val_fraction}))
    config = config.model_copy(update={"corpus": keep_pipes(config.corpus)})
    found = [resolve_model(name) for name in models]  # told before torch is loaded
    corpora = [_read(config, model) for model in found]
    with ExitStack() as marks:
        for model in found:
            marks.enter_context(using(model.path, "eval"))
        results = [
            _measure(model, corpus, config, device, dtype, stride)
            for model, corpus in zip(found, corpora, strict=True)
        ]
    if as_json:
        print_json(list(map(asdict, results)))
    else:
        print_table(_COLUMNS, list(map(_row, results)), right=" ".join(_COLUMNS[1:6]))
        for result in results:
            if result.left_out:
                say(f"{result.model}: {left_out_note(result.left_out)}")
        if config.mask_prompt and any(corpus.template for corpus in corpora):
            say("conversations: the answers alone are measured, with those before them in view")


def _read(config: TrainConfig, model: "Model") -> "Corpus":
    """Read the text; conversations are written with the model's own chat template."""
    from tuillm.text import read_corpus
    from tuillm.text.read_options import ReadOptions

    return read_corpus(config.corpus, options=ReadOptions.of(config, model.path))


def _measure(
    model: "Model",
    corpus: "Corpus",
    config: "TrainConfig",
    device: str,
    dtype: str,
    stride: int | None,
) -> _Result:
    """Load one model, tell how far it is on a terminal, and let go of it."""
    from tuillm.generation import Sampler
    from tuillm.generation.sampling import not_finite
    from tuillm.model.malloc import allow_tuning
    from tuillm.text import tokenize
    from tuillm.training.evaluate import evaluate

    allow_tuning()
    sampler = Sampler(model.path, device=device, dtype=dtype)
    tokens = tokenize(corpus, config, sampler.tokenizer)
    ids = tokens.measured
    began = time.perf_counter()
    with ProgressLine() as tick:
        result = evaluate(
            sampler.model,
            ids,
            tokens.val_bytes,
            sampler.tokenizer,
            stride=stride,
            progress=partial(tick, model.name),
            left_out=tokens.left_out_bytes,
            mask=tokens.val_mask,
        )
    assert result is not None
    if not math.isfinite(result.val_loss):
        raise not_finite(model.name)
    count, mask = len(ids) - 1, tokens.val_mask
    return _Result(
        model=model.name,
        tokens=count if mask is None else int(mask[1:].sum()),
        bytes=tokens.val_bytes,
        left_out=tokens.left_out,
        left_out_bytes=tokens.left_out_bytes,
        nats_per_token=result.val_loss,
        perplexity=math.exp(result.val_loss) if result.val_loss < 700 else None,
        bits_per_byte=result.bits_per_byte,
        stride=min(stride or sampler.model.config.block_size, sampler.model.config.block_size),
        tokens_per_sec=count / (time.perf_counter() - began),
        dtype=str(sampler.dtype).removeprefix("torch."),
    )


def _row(result: _Result) -> tuple[str, ...]:
    return (
        result.model,
        f"{result.tokens:,}",
        figure(result.nats_per_token),
        "-" if result.perplexity is None else f"{result.perplexity:,.2f}",
        figure(result.bits_per_byte),
        f"{result.tokens_per_sec:,.0f}",
        result.dtype,
    )

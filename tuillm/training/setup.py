"""What a run works with, made from its settings: text, tokens, model, optimizer, batches, sampler.

Knows how these depend on each other; takes no step. What they are is decided here once, and the
notes say what was decided for the person.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tuillm.config import TrainConfig
from tuillm.generation import Sampler
from tuillm.model import GPT, choose_device
from tuillm.model.lora import is_packed, pack_frozen
from tuillm.store.chat_template import jinja_mode
from tuillm.store.model_sampling import begin_id, kept_sampling
from tuillm.store.registry import find_model
from tuillm.text import Corpus, TokenFiles, Tokenizer, load_tokenizer, read_corpus, tokenize
from tuillm.text.chat_rendering import encode_turn
from tuillm.text.progress_tick import Tick
from tuillm.text.read_options import ReadOptions
from tuillm.text.split import split_store
from tuillm.training.auto_settings import eval_window, token_dropout_for
from tuillm.training.batches import Batches
from tuillm.training.compile_choice import CompileChoice
from tuillm.training.compiler_check import refuse_missing_compiler
from tuillm.training.distillation import Teachers
from tuillm.training.distributed.ranks import Ranks
from tuillm.training.gradients import Gradients
from tuillm.training.hardware import choose_train_dtype, eval_dtype, matmul_flops, use_bf16_shadow
from tuillm.training.init_model import build_model, context_of, copy_weights, fit, new_model
from tuillm.training.optimizer import Optimizer
from tuillm.training.schedule import with_epochs
from tuillm.training.token_dropout import TokenDropout
from tuillm.training.weight_average import WeightAverage

if TYPE_CHECKING:
    from tuillm.training.distributed.sharded_optimizer import ShardedOptimizer


@dataclass(frozen=True)
class Setup:
    """The parts of a run; `config` has its epochs turned into steps.

    `learner` is what computes and learns: the `model` itself, or what this rank has of it.
    `average` is that of its weights, with which it is evaluated, saved and sampled from.
    `dtype` is the precision of products in training, `eval_dtype` that of evaluations and samples;
    `window` is how many tokens a training example has. `starts_at_eot` tells that texts begin
    behind the end-of-text token. `flops` is what this machine multiplies in a second, and
    `flops_per_token` what a token of training takes. `sample_prompt` is what samples go on with:
    a text, or the ids of a conversation's first turn. `kept` is what else `write_model` is given of
    the model that it started from.
    """

    config: TrainConfig
    device: torch.device
    dtype: torch.dtype
    eval_dtype: torch.dtype
    corpus: Corpus
    tokens: TokenFiles
    model: GPT
    learner: GPT
    window: int
    tokens_per_step: int
    optimizer: "Optimizer | ShardedOptimizer"
    average: WeightAverage
    batches: Batches
    gradients: Gradients
    compile_choice: CompileChoice
    sampler: Sampler
    starts_at_eot: bool
    flops: float
    flops_per_token: int
    sample_prompt: str | list[int]
    kept: dict[str, Any]
    notes: tuple[str, ...]

    @property
    def eval_window(self) -> int:
        """How many tokens a window of an evaluation has."""
        return eval_window(self.model.config.block_size, self.window)

    @property
    def position(self) -> dict[str, int]:
        """Where in the data the next step begins, and how it is computed."""
        here, gradients = self.batches, self.gradients
        return {
            "epoch": here.epoch,
            "position": here.position,
            "micro_batch": gradients.micro_batch,
            "compiled": gradients.blocks.on,
        }

    def seek(self, epoch: int, position: int, micro_batch: int, compiled: bool) -> None:
        """Go to where another rank's `position` is."""
        self.batches.seek(epoch, position)
        self.gradients.micro_batch, self.gradients.blocks.on = micro_batch, compiled

    def collect(self, ranks: Ranks) -> None:
        """Put the model together from what the ranks have of it, where it is spread over them."""
        if self.learner is not self.model:
            from tuillm.training.distributed.sharded_model import gather_weights

            ranks.tell("collect", averaged=self.average.in_use)
            gather_weights(self.learner, self.model)

    def spread(self, ranks: Ranks) -> None:
        """Let the learner take its part of the model, where it has only one."""
        if self.learner is not self.model:
            from tuillm.training.distributed.sharded_model import spread_weights

            spread_weights(self.model, self.learner, ranks)


def set_up(
    config: TrainConfig, tick: Tick, checkpoint: Path | None = None, ranks: Ranks | None = None
) -> Setup:
    """Read the corpus, make tokens, build the model and what trains it.

    A run that is to go on from a `checkpoint` has its tokenizer and its context, and one that
    starts from a model takes it from there: the first one may be gone by then. `ranks` are the
    processes that train together. Seeds torch's generator. Raises TuillmError for a text that
    cannot be read and for a run that the memory cannot hold.
    """
    ranks = ranks or Ranks()
    torch.manual_seed(config.seed)
    device = choose_device(config.device)
    dtype = choose_train_dtype(config.dtype, device)
    if config.compile == "on" and checkpoint is None:
        refuse_missing_compiler(device.type)
    options = ReadOptions.of(config, checkpoint)
    corpus = read_corpus(config.corpus, options=options, tick=tick)
    parent, context = None, None
    if config.init_from is not None:
        parent = checkpoint or find_model(config.init_from).path
    elif checkpoint:
        context = context_of(checkpoint)
    source = checkpoint or parent
    tokens = tokenize(corpus, config, load_tokenizer(source) if source else None, tick)
    initial = build_model(config, tokens, parent, device, context)
    fitted = fit(config, initial, tokens, corpus.bytes, device)
    _, replaced = token_dropout_for(config, initial.model.parameter_count, len(tokens.train))
    # several documents, or one that is learned to its end, are begun behind an end of text
    has_eot = tokens.tokenizer.eot is not None
    starts_at_eot = has_eot and (config.val_fraction == 0 or len(corpus.store) > 1)
    per_step = config.batch_size * config.grad_accum_steps * initial.window
    basis = _Basis(config, device, dtype, tokens, initial.window, starts_at_eot, ranks)
    return Setup(
        config=with_epochs(config, len(tokens.train), per_step),
        device=device,
        dtype=dtype,
        eval_dtype=eval_dtype(dtype, initial.model.parameter_count, device),
        corpus=corpus,
        tokens=tokens,
        window=initial.window,
        tokens_per_step=per_step,
        starts_at_eot=starts_at_eot,
        flops=matmul_flops(device, dtype),
        sample_prompt=_sample_prompt(options, corpus, tokens),
        kept=_kept(parent, tokens.tokenizer) if parent else {},
        notes=(*corpus.notes, *tokens.notes, *initial.notes, *filter(None, (replaced,)), *fitted),
        **_learning_parts(basis, initial.model),
    )


def with_new_model(
    setup: Setup, config: TrainConfig, ranks: Ranks, seed: int, teachers: Teachers | None
) -> Setup:
    """Return a setup of the same text whose model begins anew, from a seed of its own.

    It learns from `teachers` where there are any, and then begins as the last of these. Seeds
    torch's generator. `config` is what the run was begun with.
    """
    torch.manual_seed(seed)
    config = config.model_copy(update={"seed": seed})
    model = new_model(config, setup.model.config)
    model.recompute = setup.model.recompute
    if teachers is not None:
        copy_weights(teachers.models[-1], model)
    basis = _Basis(
        config,
        setup.device,
        setup.dtype,
        setup.tokens,
        setup.window,
        setup.starts_at_eot,
        ranks,
        teachers,
    )
    return replace(setup, **_learning_parts(basis, model))


@dataclass(frozen=True)
class _Basis:
    """What the parts of a setup that belong to one model are made from."""

    config: TrainConfig
    device: torch.device
    dtype: torch.dtype
    tokens: TokenFiles
    window: int
    starts_at_eot: bool
    ranks: Ranks
    teachers: Teachers | None = None


def _learning_parts(basis: _Basis, model: GPT) -> dict[str, Any]:
    """Return the parts of a setup that belong to one model: what computes and what learns."""
    config, device, dtype, ranks = basis.config, basis.device, basis.dtype, basis.ranks
    tokens, tokenizer, teachers = basis.tokens, basis.tokens.tokenizer, basis.teachers
    learner, optimizer = _learner(model, config, device, dtype, ranks)
    share, _ = token_dropout_for(config, model.parameter_count, len(tokens.train))
    batches = Batches(
        tokens.train,
        basis.window,
        config.batch_size,
        config.seed,
        tokenizer.eot,
        tokens.train_mask,
        TokenDropout(share, tokenizer.n_vocab, tokenizer.names),
    )
    gradients = Gradients(config, learner, batches, optimizer, device, dtype, ranks, teachers)
    cannot = _why_eager(config, model, optimizer, ranks)
    flops = model.config.flops_per_token(basis.window, config.lora)
    if teachers is not None:  # each goes forward, a third of what a step takes
        flops += len(teachers.models) * flops // 3
    return dict(
        model=model,
        learner=learner,
        optimizer=optimizer,
        average=WeightAverage(optimizer.held, config.ema, optimizer.refresh),
        batches=batches,
        gradients=gradients,
        compile_choice=CompileChoice(config.compile, device.type, gradients.blocks, cannot),
        sampler=Sampler.of(model, tokenizer, at_eot=basis.starts_at_eot),
        flops_per_token=flops,
    )


def _learner(
    model: GPT, config: TrainConfig, device: torch.device, dtype: torch.dtype, ranks: Ranks
) -> "tuple[GPT, Optimizer | ShardedOptimizer]":
    """Return what learns, and its optimizer: the model, moved to the device, or a part of it."""
    if config.shard and ranks.together:
        # FSDP takes most of a second to import, which only who shards waits for
        from tuillm.training.distributed.sharded_model import shard_model
        from tuillm.training.distributed.sharded_optimizer import ShardedOptimizer

        learner = shard_model(model, ranks, device)
        return learner, ShardedOptimizer(learner, config, ranks, dtype)
    pack_frozen(model.to(device), dtype)
    shadow = use_bf16_shadow(device, dtype, model.parameter_count) and not config.lora
    shadow = shadow and not ranks.together and config.compile != "on"
    return model, Optimizer(model, config, bf16_shadow=shadow, dtype=dtype, ranks=ranks)


def _why_eager(
    config: TrainConfig, model: GPT, optimizer: "Optimizer | ShardedOptimizer", ranks: Ranks
) -> str:
    """Say why the steps of a model cannot be compiled, or ""."""
    if config.shard and ranks.together:
        return "weights that are spread over processes (shard) are computed eagerly"
    if not model.h:
        return "the model has no blocks"
    if optimizer.shadowed or is_packed(model):
        return "matrices are packed, or kept in bfloat16, for this processor, which is not compiled"
    return ""


def _kept(folder: Path, tokenizer: Tokenizer) -> dict[str, Any]:
    """Return the id that begins a text, and how its makers would have tokens chosen."""
    return {"bos": begin_id(folder, tokenizer.names), "sampling": kept_sampling(folder)}


def _sample_prompt(options: ReadOptions, corpus: Corpus, tokens: TokenFiles) -> str | list[int]:
    """Return the text that samples continue; of conversations a question.

    That is the one a person has set, else the first that is held out.
    """
    config, tokenizer, store = options.config, tokens.tokenizer, corpus.store
    if not corpus.template:
        return config.sample_prompt
    if config.sample_prompt.strip():
        mode = jinja_mode(corpus.template, **options.template()[1])
        return encode_turn(mode, config.sample_prompt, [], tokenizer)[1]
    split = split_store(store, config.val_fraction, config.split)
    first = next(iter(split.val if len(split.val) else split.train))
    until = first.end
    if store.learned is not None and (begins := store.learned[0]).size:
        at = int(np.searchsorted(begins, first.begin, "right"))
        until = min(int(begins[at]), until) if at < len(begins) else until
    return tokenizer.encode_special(store.text(first.begin, until))

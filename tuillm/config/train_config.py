"""TrainConfig: everything that decides how a model is grown.

Holds values and their limits only; what `auto` becomes is decided where the corpus
(`text`) or the machine (`training`) is known.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

from tuillm.config.fields import setting, typed_path, typed_paths
from tuillm.config.name_lists import Architecture, LoggerName, typed_loggers, typed_targets
from tuillm.config.setting_conflicts import first_conflict

# more steps than any run takes, so that arithmetic with them stays arithmetic
MOST_STEPS = 1_000_000_000


class TrainConfig(BaseModel):
    """The settings of one training run; frozen, complete, and written to `run.json` as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    corpus: Annotated[tuple[str, ...], BeforeValidator(typed_paths)] = setting(
        (), "files, folders, archives, tables or addresses", group="text"
    )
    name: str | None = setting(
        None, "name of the model in the registry; auto: the file's name", group="text"
    )
    preset: str = setting("tiny", "the recipe to start from", group="text")
    encoding: str = setting(
        "auto",
        "encoding of the text; auto knows UTF-8, UTF-16 and UTF-32, and guesses others",
        group="text",
    )
    as_text: bool = setting(
        False,
        "learn the text as it is, also a web page, JSON, XML or another kind of source",
        group="text",
    )
    glob: str | None = setting(
        None,
        "which files of folders and archives to take, such as *.txt or **/ch*.md",
        group="text",
        unset="all",
    )
    documents: Literal["auto", "file", "line", "blank-line", "record", "none"] = setting(
        "auto",
        "what one document is: an end token follows each; none: all of it is one text; auto: a "
        "record of a table, else a file",
        group="text",
    )
    format: Literal["auto", "text", "qa", "instruct", "chat"] = setting(
        "auto",
        "what the records are: questions with answers, instructions, chats; auto: by their fields",
        group="text",
    )
    text_field: str | None = setting(
        None, "field of a record that holds its text; auto: the likeliest", group="text"
    )
    question_field: str | None = setting(
        None, "field that holds the question, such as data.question; auto: by name", group="text"
    )
    answer_field: str | None = setting(
        None, "field that holds the answer, such as answers.text[0]; auto: by name", group="text"
    )
    context_field: str | None = setting(
        None, "field with a passage that goes before the question", group="text", unset="none"
    )
    answers: Literal["first", "each"] = setting(
        "first", "of several answers learn the first, or each as a document", group="text"
    )
    mask_prompt: bool = setting(
        True, "learn only what the assistant says, not the questions", group="text"
    )
    split: Literal["auto", "documents", "tail"] = setting(
        "auto",
        "what is held out: whole documents, or the end of the text; auto: documents from 20 on",
        group="text",
    )
    fraction: float = setting(
        1.0, "share of the documents to learn from, for a quick try", group="text", gt=0, le=1
    )
    limit: int | None = setting(
        None, "most documents to learn from; auto: all", group="text", ge=1, le=10**12
    )
    normalize: Literal["none", "nfc", "nfkc"] = setting(
        "none", "Unicode normalisation of the text", group="text"
    )
    keep_boilerplate: bool = setting(
        False, "keep the header and footer of Project Gutenberg's books", group="text"
    )
    strict: bool = setting(
        False, "stop at the first broken line of a table, instead of counting them", group="text"
    )
    tokenizer: Literal["auto", "char", "bpe", "gpt2"] = setting(
        "auto", "how text becomes tokens; bpe learns its pieces from the corpus", group="text"
    )
    vocab_size: int | None = setting(
        None,
        "entries of a bpe vocabulary; auto: by the length of the text",
        group="text",
        ge=260,
        le=65_536,
    )
    val_fraction: float = setting(
        0.1,
        "share of the text held out to measure on; 0 learns all of it",
        group="text",
        ge=0,
        le=0.5,
    )

    init_from: Annotated[str | None, BeforeValidator(typed_path)] = setting(
        None,
        "model to start from: a name or a folder; its shape and tokenizer are taken over",
        group="model",
        flag="--from",
        unset="none",
    )
    arch: Architecture = setting(
        "gpt2",
        "blocks of a new model: gpt2, llama (rotary positions, RMSNorm, gated MLP) or qwen3, a "
        "llama with norms on q and k",
        group="model",
    )
    n_layer: int = setting(
        4, "transformer blocks; 0 makes a bigram model", group="model", ge=0, le=96
    )
    n_head: int = setting(2, "attention heads per block", group="model", ge=1, le=128)
    n_embd: int = setting(128, "width of the model", group="model", ge=1, le=12_288)
    block_size: int = setting(64, "context length in tokens", group="model", ge=2, le=8192)
    dropout: float | None = setting(
        None,
        "share of activations dropped in training; auto: more, the shorter the text",
        group="model",
        ge=0,
        lt=1,
    )
    token_dropout: float | None = setting(
        0.0,
        "share of the tokens read in training that are replaced by random ones; auto: more, the "
        "more parameters there are for each token of the text",
        group="model",
        ge=0,
        lt=1,
    )
    bias: bool = setting(False, "biases in linear layers and norms of arch gpt2", group="model")
    tie_weights: bool = setting(
        True, "share one matrix between input embedding and output head", group="model"
    )
    positions: Literal["random", "sinusoid", "none"] = setting(
        "sinusoid", "how the positions that arch gpt2 learns begin; none: zero", group="model"
    )

    lora: bool = setting(
        False,
        "train small adapters beside frozen weights: faster, in a fraction of the memory",
        group="fine-tuning",
    )
    lora_rank: int = setting(
        8, "rank of the adapters: how much they can hold", group="fine-tuning", ge=1, le=1024
    )
    lora_alpha: float = setting(
        16.0,
        "strength of the adapters, divided by their rank",
        group="fine-tuning",
        gt=0,
        le=10_000,
    )
    lora_targets: Annotated[tuple[str, ...] | None, BeforeValidator(typed_targets)] = setting(
        None,
        "layers that get adapters, by the names that PEFT has for them, divided by commas; auto: "
        "c_attn of GPT-2, all of other models",
        group="fine-tuning",
        allowed="c_attn, attn.c_proj, c_fc, mlp.c_proj of GPT-2; q_proj, k_proj, v_proj, o_proj, "
        "gate_proj, up_proj, down_proj of Llama and Qwen; all",
        min_length=1,
    )

    teachers: int = setting(
        0,
        "models trained first, each from a seed of its own, whose averaged predictions the model "
        "then learns: distillation",
        group="optimizer",
        ge=0,
        le=16,
    )

    optimizer: Literal["muon", "adamw"] = setting(
        "muon", "muon drives the block matrices and leaves the rest to adamw", group="optimizer"
    )
    batch_size: int = setting(
        16, "sequences in one forward pass", group="optimizer", ge=1, le=65_536
    )
    grad_accum_steps: int = setting(
        1,
        "forward passes whose gradients are added before a step",
        group="optimizer",
        ge=1,
        le=65_536,
    )
    learning_rate: float = setting(
        1e-2, "peak learning rate of adamw", group="optimizer", gt=0, le=1
    )
    muon_lr: float = setting(0.01, "peak learning rate of muon", group="optimizer", gt=0, le=1)
    min_lr: float = setting(
        0.0,
        "learning rate of adamw at the end; muon falls in proportion",
        group="optimizer",
        ge=0,
        le=1,
    )
    warmup_steps: int | None = setting(
        None,
        "steps until the peak; auto: the first twentieth of the run",
        group="optimizer",
        ge=0,
        le=MOST_STEPS,
    )
    schedule: Literal["linear", "cosine"] = setting(
        "linear", "how the learning rate falls after the peak", group="optimizer"
    )
    weight_decay: float = setting(
        0.1, "decay of embeddings (adamw: of all matrices)", group="optimizer", ge=0, le=10
    )
    muon_weight_decay: float = setting(
        0.0, "decay of the matrices that muon drives", group="optimizer", ge=0, le=10
    )
    beta1: float = setting(0.9, "adamw's memory of gradients", group="optimizer", ge=0, lt=1)
    beta2: float = setting(
        0.99, "adamw's memory of squared gradients", group="optimizer", ge=0, lt=1
    )
    ema: float = setting(
        0.0,
        "average the weights over so large a share of the steps so far; 0 does not",
        group="optimizer",
        ge=0,
        le=0.5,
    )
    grad_clip: float = setting(
        1.0,
        "largest norm of adamw's gradients; 0 never clips",
        group="optimizer",
        ge=0,
        le=1_000_000,
    )

    max_steps: int | None = setting(
        None, "optimizer steps to take", group="run", ge=1, le=MOST_STEPS
    )
    minutes: float | None = setting(
        None, "minutes to train; the schedule ends on the clock", group="run", gt=0, le=100_000
    )
    epochs: float | None = setting(
        None, "passes over the text; it becomes max_steps", group="run", gt=0, le=1_000_000
    )
    eval_interval: int | None = setting(
        None, "steps between evaluations; auto: ten in a run", group="run", ge=1, le=MOST_STEPS
    )
    patience: int = setting(
        0,
        "evaluations without a better loss before stopping; 0 never stops",
        group="run",
        ge=0,
        le=MOST_STEPS,
    )
    keep: int = setting(
        0,
        "numbered checkpoints kept beside the best and the last: of each evaluation, the newest",
        group="run",
        ge=0,
        le=1000,
    )
    max_rollbacks: int = setting(
        3,
        "times a run goes back to its last checkpoint, at half the rates, when the loss spikes or "
        "is no number; 0 never",
        group="run",
        ge=0,
        le=100,
    )
    sample_prompt: str = setting(
        "\n", "text that the samples of a run continue", group="run", escapes=True
    )
    sample_tokens: int = setting(
        120, "tokens of each sample; 0 draws none", group="run", ge=0, le=10_000
    )
    seed: int = setting(1337, "seed of weights, batches and samples", group="run", ge=0, lt=2**63)
    grad_checkpoint: bool | None = setting(
        None,
        "compute blocks again for the backward pass: less memory, more time; auto: where "
        "the memory asks for it",
        group="run",
    )
    log_to: Annotated[tuple[LoggerName, ...], BeforeValidator(typed_loggers)] = setting(
        (), "tools that the run is logged to as well, divided by commas", group="run", unset="none"
    )
    profile: int = setting(
        0, "steps to profile near the beginning: a table and a trace", group="run", ge=0, le=100
    )
    nproc: int = setting(
        1, "processes that train together, on this machine: one a GPU", group="run", ge=1, le=1024
    )
    shard: bool = setting(
        False,
        "spread weights, gradients and optimizer state over the processes (FSDP2): for models that "
        "one device does not hold",
        group="run",
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = setting(
        "auto", "where to train; auto takes the fastest there is", group="run"
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = setting(
        "auto",
        "precision of matrix products; auto takes bfloat16 where it is fast, and on CUDA devices "
        "without it float16, with loss scaling",
        group="run",
    )
    compile: Literal["auto", "on", "off"] = setting(
        "auto",
        "compute blocks by torch.compile; auto tries it in long runs, and keeps to it where steps "
        "become faster",
        group="run",
    )

    priority: Literal["low", "normal"] = setting(
        "low",
        "low gives way to other programs and waits while a reply is generated; normal does not",
        group="run",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if conflict := first_conflict(self):
            raise ValueError(conflict)
        return self

"""The recipes by name: what a preset changes about TrainConfig's defaults, and for whom it is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Preset:
    """A named recipe: one sentence, and the settings it lays over the defaults.

    `from_scratch`: it makes a new model, where others go on from one.
    """

    help: str
    settings: dict[str, object]
    from_scratch: bool = True


_GPT2: dict[str, object] = dict(
    tokenizer="gpt2",
    block_size=1024,
    bias=True,
    positions="random",
    optimizer="adamw",
    dropout=0.0,
    learning_rate=6e-4,
    min_lr=6e-5,
    beta2=0.95,
    schedule="cosine",
    batch_size=8,
    grad_accum_steps=8,
    max_steps=20_000,
    eval_interval=500,
    patience=5,
)

# the rate is that of a model 128 wide and falls with the width, to 5e-5 for GPT-2's 768 (resolve).
# Measured with a tiny model of Shakespeare that goes on with 40 KB of a story, best bits/byte of
# 600 steps: 3.80 before; 2.10, 2.00, 2.02 at 1e-4, 3e-4, 1e-3; with dropout 0, .1, .3: 2.03, 2.00,
# 2.29; muon at its best rate, 1e-3, 2.00; from scratch 2.45. On a text like the first one 1e-4,
# 3e-4 and muon at 1e-3 are level: 2.22 before, 2.15.
_FINETUNE: dict[str, object] = dict(
    optimizer="adamw",
    learning_rate=3e-4,
    dropout=0.1,
    batch_size=8,
    max_steps=1000,
    minutes=10.0,
    patience=3,
)

# of LoRA's adapters at a width of 128; falls with the width like that of `finetune`, to 1e-3 for
# GPT-2's 768. Measured as above from 3.31, best bits/byte of 300 steps on c_attn: 2.61, 2.45, 2.35,
# 2.27, 2.26 at 3e-4, 1e-3, 3e-3, 1e-2, 3e-2; on all layers 2.16, 2.05, 2.02 at 1e-3, 3e-3, 1e-2;
# every weight at 3e-4 1.90.
LORA_RATE = 6e-3

# for one book: what is left to gain from so little text is regularisation, and docs/training.md has
# the search
_BOOK: dict[str, object] = dict(muon_lr=0.015, muon_weight_decay=0.5, ema=0.1, token_dropout=None)
_LARGER_BOOK: dict[str, object] = _BOOK | dict(
    n_layer=6, n_head=3, n_embd=192, block_size=128, batch_size=16
)

PRESETS: dict[str, Preset] = {
    "bigram": Preset(
        "the baseline: each token predicted from the one before it (seconds)",
        dict(
            tokenizer="char",
            n_layer=0,
            n_head=1,
            n_embd=128,
            tie_weights=False,
            positions="none",
            optimizer="adamw",
            learning_rate=2e-2,
            block_size=64,
            batch_size=64,
            max_steps=600,
            weight_decay=0.0,
            dropout=0.0,
        ),
    ),
    "nano": Preset(
        "a toy that trains in seconds, to see the whole way once",
        dict(
            n_layer=2,
            n_head=2,
            n_embd=48,
            block_size=32,
            batch_size=8,
            max_steps=80,
            dropout=0.0,
            sample_tokens=40,
        ),
    ),
    "tiny": Preset(
        "a good little model of one book in about a minute on a laptop",
        _BOOK | dict(n_layer=4, n_head=2, n_embd=128, block_size=64, batch_size=32, minutes=1.0),
    ),
    "heart": Preset(
        "learns a short book (up to about 100 KB) by heart, nothing held out",
        dict(
            tokenizer="bpe",
            vocab_size=1024,
            n_layer=4,
            n_head=4,
            n_embd=256,
            block_size=128,
            batch_size=8,
            muon_lr=0.02,
            learning_rate=3e-3,
            min_lr=6e-5,
            weight_decay=0.0,
            dropout=0.0,
            epochs=36,
            val_fraction=0.0,
        ),
    ),
    "finetune": Preset(
        "go on from another model (--from MODEL) with a text of yours",
        _FINETUNE,
        from_scratch=False,
    ),
    "small": Preset(
        "some minutes for a better model of one book", _LARGER_BOOK | dict(minutes=5.0, patience=4)
    ),
    "best": Preset(
        "an evening for the best model of one book: several are trained, then one learns from them",
        _LARGER_BOOK | dict(teachers=5, minutes=45.0),
    ),
    "medium": Preset(
        "nanoGPT's shape for one book, 6 layers of 384; wants a GPU or an evening",
        dict(
            tokenizer="char",
            n_layer=6,
            n_head=6,
            n_embd=384,
            block_size=256,
            batch_size=64,
            dropout=0.2,
            muon_lr=0.01,
            learning_rate=3e-3,
            max_steps=5000,
            eval_interval=250,
            patience=5,
        ),
    ),
    "gpt2": Preset(
        "GPT-2's 124M shape from scratch", _GPT2 | dict(n_layer=12, n_head=12, n_embd=768)
    ),
    "gpt2-medium": Preset(
        "GPT-2's 355M shape from scratch",
        _GPT2 | dict(n_layer=24, n_head=16, n_embd=1024, learning_rate=3e-4, min_lr=3e-5),
    ),
    "gpt2-large": Preset(
        "GPT-2's 774M shape from scratch",
        _GPT2
        | dict(
            n_layer=36,
            n_head=20,
            n_embd=1280,
            learning_rate=2.5e-4,
            min_lr=2.5e-5,
            batch_size=4,
            grad_accum_steps=16,
        ),
    ),
    "gpt2-xl": Preset(
        "GPT-2's 1.5B shape from scratch",
        _GPT2
        | dict(
            n_layer=48,
            n_head=25,
            n_embd=1600,
            learning_rate=2e-4,
            min_lr=2e-5,
            batch_size=2,
            grad_accum_steps=32,
        ),
    ),
}

"""What the tests of coming and going share: a nanoGPT of our own, and checkpoints of it."""

import math
import pickle
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

CHARACTERS = sorted(set("\n !,.:;?abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'-&$3"))


class NanoNorm(nn.Module):
    """LayerNorm with an optional bias."""

    def __init__(self, width, bias):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width)) if bias else None

    def forward(self, x):
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, 1e-5)


class NanoAttention(nn.Module):
    """Attention written out, head by head."""

    bias: torch.Tensor

    def __init__(self, width, heads, bias, longest):
        super().__init__()
        self.heads = heads
        self.c_attn = nn.Linear(width, 3 * width, bias=bias)
        self.c_proj = nn.Linear(width, width, bias=bias)
        self.register_buffer("bias", torch.tril(torch.ones(1, 1, longest, longest)))

    def forward(self, x):
        T, out = x.shape[1], []
        q, k, v = self.c_attn(x).split(x.shape[2], dim=2)
        for one, other, value in zip(
            *(part.chunk(self.heads, 2) for part in (q, k, v)), strict=True
        ):
            scores = one @ other.transpose(1, 2) / math.sqrt(one.shape[2])
            scores = scores.masked_fill(self.bias[0, 0, :T, :T] == 0, -torch.inf)
            out.append(scores.softmax(-1) @ value)
        return self.c_proj(torch.cat(out, 2))


class NanoPerceptron(nn.Module):
    """Two layers with the exact GELU between, as nanoGPT has had since mid 2023."""

    def __init__(self, width, bias):
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width, bias=bias)
        self.c_proj = nn.Linear(4 * width, width, bias=bias)

    def forward(self, x):
        x = self.c_fc(x)
        return self.c_proj(x * 0.5 * (1 + torch.erf(x / math.sqrt(2))))


class NanoBlock(nn.Module):
    """A block before whose parts the stream is normed."""

    def __init__(self, width, heads, bias, longest):
        super().__init__()
        self.ln_1, self.ln_2 = NanoNorm(width, bias), NanoNorm(width, bias)
        self.attn = NanoAttention(width, heads, bias, longest)
        self.mlp = NanoPerceptron(width, bias)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class NanoGPT(nn.Module):
    """The model of a `ckpt.pt`, with nanoGPT's names."""

    def __init__(self, *, vocab_size, block_size, n_layer, n_head, n_embd, bias, dropout=0.0):
        super().__init__()
        self.transformer: Any = nn.ModuleDict(  # of what stands under each name
            {
                "wte": nn.Embedding(vocab_size, n_embd),
                "wpe": nn.Embedding(block_size, n_embd),
                "h": nn.ModuleList(
                    NanoBlock(n_embd, n_head, bias, block_size) for _ in range(n_layer)
                ),
                "ln_f": NanoNorm(n_embd, bias),
            }
        )
        self.lm_head = nn.Linear(n_embd, vocab_size, bias=False)
        self.lm_head.weight = self.get_parameter("transformer.wte.weight")

    def forward(self, idx):
        parts = self.transformer
        x = parts["wte"](idx) + parts["wpe"](torch.arange(idx.shape[1]))
        for block in parts["h"]:
            x = block(x)
        return self.lm_head(parts["ln_f"](x))


@pytest.fixture
def nanogpt(tmp_path):
    """Save a random nanoGPT as it saves itself; returns the model and its `ckpt.pt`."""

    def save(prefix="", dataset="shakespeare_char", meta=CHARACTERS, **shape):
        shape = (
            dict(
                vocab_size=len(CHARACTERS),
                block_size=24,
                n_layer=2,
                n_head=2,
                n_embd=16,
                bias=False,
                dropout=0.2,
            )
            | shape
        )
        model = NanoGPT(**shape)
        generator = torch.Generator().manual_seed(4)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(0, 0.3, generator=generator)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        with torch.enable_grad():
            model(torch.zeros(1, 2, dtype=torch.int64)).sum().backward()
        optimizer.step()
        path = tmp_path / "nanoGPT" / "out-play" / "ckpt.pt"
        path.parent.mkdir(parents=True)
        torch.save(
            {
                "model": {prefix + name: value for name, value in model.state_dict().items()},
                "optimizer": optimizer.state_dict(),
                "model_args": shape,
                "iter_num": 250,
                "best_val_loss": torch.tensor(1.4697),
                "config": {"dataset": dataset, "out_dir": "out-play", "learning_rate": 1e-3},
            },
            path,
        )
        if meta is not None:
            write_meta(path.parent.parent / "data" / dataset / "meta.pkl", meta)
        return model.eval(), path

    return save


def write_meta(path, characters):
    """Write the `meta.pkl` that nanoGPT's prepare.py writes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        pickle.dumps(
            {
                "vocab_size": len(characters),
                "itos": dict(enumerate(characters)),
                "stoi": {character: id for id, character in enumerate(characters)},
            }
        )
    )


@pytest.fixture
def meta_pickle():
    """The function that writes a `meta.pkl`."""
    return write_meta


@pytest.fixture(scope="session")
def characters():
    """The characters of the saved checkpoints, in the order of their ids."""
    return CHARACTERS

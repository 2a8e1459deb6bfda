"""Fine-tuning speed with random weights: tuillm against a plain transformers loop.

Full fine-tuning and LoRA (rank 8 on the family's usual layers) of tuillm's Trainer, in bfloat16 and
full in float32, beside transformers' model with torch's AdamW in float32 and under bfloat16
autocast; batches of the same size, rounds interleaved, dropout 0 on both sides.
    python tests/benchmarks/finetuning.py [--shape gpt2|llama|qwen3] [ROUNDS] [BATCHxWINDOW...]
"""

import argparse
import gc
import os
import statistics
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

os.environ["TUILLM_HOME"] = tempfile.mkdtemp()

import tuillm  # noqa: E402, F401, I001  (before torch: it says how OpenMP's threads wait)
import torch  # noqa: E402
from transformers import (  # noqa: E402
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    PreTrainedConfig,
    Qwen3Config,
)

from tuillm import Trainer  # noqa: E402
from tuillm.store.paths import demo_book  # noqa: E402
from tuillm.text import make_tokenizer  # noqa: E402

SETTINGS = ("1x256", "4x256", "1x1024")
STEPS = 2
# GPT-2; SmolLM2-135M with 12 of its 30 layers; Qwen3-0.6B half as wide with 8 of its 28
SHAPES: dict[str, PreTrainedConfig] = {
    "gpt2": GPT2Config(resid_pdrop=0, embd_pdrop=0, attn_pdrop=0),
    "llama": LlamaConfig(
        vocab_size=49_152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=12,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
    ),
    "qwen3": Qwen3Config(
        vocab_size=151_936,
        hidden_size=512,
        intermediate_size=1536,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=4,
        head_dim=128,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
    ),
}


def make_folder(folder, config):
    """Write a model of random weights, with a small tokenizer of the bundled book."""
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).float().save_pretrained(folder)
    make_tokenizer("bpe", [demo_book().read_text(encoding="utf-8")], 1024).save(folder, 1024)


def ours(folder, batch, window, **settings):
    """Return a function that takes a step of the trainer."""
    trainer = Trainer(
        demo_book(),
        init_from=folder,
        batch_size=batch,
        block_size=window,
        dropout=0.0,
        max_steps=10_000,
        eval_interval=10_000,
        sample_tokens=0,
        device="cpu",
        **{"dtype": "bfloat16"} | settings,
    )
    steps = trainer.steps()
    return lambda: next(steps)


def theirs(model, batch, window, dtype):
    """Return a function that takes a step of the plain loop."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5)
    generator = torch.Generator().manual_seed(0)

    def step():
        idx = torch.randint(1024, (batch, window), generator=generator)
        low = torch.autocast("cpu", torch.bfloat16) if dtype == "bfloat16" else nullcontext()
        with low:
            loss = model(input_ids=idx, labels=idx).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return step


def measure(step, tokens):
    """Tokens a second over some steps."""
    begin = time.perf_counter()
    for _ in range(STEPS):
        step()
    return tokens * STEPS / (time.perf_counter() - begin)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="gpt2")
    parser.add_argument("rounds", type=int, nargs="?", default=3)
    parser.add_argument("settings", nargs="*", default=SETTINGS)
    wanted = parser.parse_args()
    rounds, config = wanted.rounds, SHAPES[wanted.shape]
    with tempfile.TemporaryDirectory() as place:
        make_folder(Path(place), config)
        for setting in wanted.settings or SETTINGS:
            batch, window = map(int, setting.split("x"))
            peer = AutoModelForCausalLM.from_config(config).float().train()
            steps = {
                "peer float32": theirs(peer, batch, window, "float32"),
                "peer bfloat16": theirs(peer, batch, window, "bfloat16"),
                "full": ours(Path(place), batch, window),
                "full float32": ours(Path(place), batch, window, dtype="float32"),
                "LoRA": ours(Path(place), batch, window, lora=True),
            }
            for step in steps.values():
                step()
            found = {name: [] for name in steps}
            for _ in range(rounds):
                for name, step in steps.items():
                    found[name].append(measure(step, batch * window))
            speeds = ", ".join(
                f"{name} {statistics.median(each):.0f}" for name, each in found.items()
            )
            print(f"{wanted.shape} {setting} tokens/s: {speeds}")
            for fast, slow in (
                ("full", "peer bfloat16"),
                ("full", "peer float32"),
                ("full float32", "peer float32"),
                ("LoRA", "full"),
            ):
                ratio = statistics.median(
                    a / b for a, b in zip(found[fast], found[slow], strict=True)
                )
                print(f"  {fast} / {slow}: {ratio:.2f}", flush=True)
            del steps, peer
            gc.collect()


if __name__ == "__main__":
    main()

"""Fine-tuning speed at GPT-2's shape with random weights: tuillm against a plain transformers loop.

Full fine-tuning and LoRA (rank 8 on c_attn) of tuillm's Trainer, in bfloat16, beside
GPT2LMHeadModel with torch's AdamW in float32 and under bfloat16 autocast; batches of the same
size, rounds interleaved, dropout 0 on both sides.
    python tests/benchmarks/finetuning.py [ROUNDS] [BATCHxWINDOW...]
"""

import gc
import os
import statistics
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

os.environ["TUILLM_HOME"] = tempfile.mkdtemp()

import tuillm  # noqa: E402, F401, I001  (before torch: it says how OpenMP's threads wait)
import torch  # noqa: E402
from transformers import GPT2Config, GPT2LMHeadModel  # noqa: E402

from tuillm import Trainer  # noqa: E402
from tuillm.store.paths import demo_book  # noqa: E402
from tuillm.text import make_tokenizer  # noqa: E402

SETTINGS = ("1x256", "4x256", "1x1024")
STEPS = 2


def make_folder(folder):
    """Write a GPT-2 of random weights, with a small tokenizer of the bundled book."""
    torch.manual_seed(0)
    GPT2LMHeadModel(GPT2Config()).save_pretrained(folder)
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
        dtype="bfloat16",
        device="cpu",
        **settings,
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
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    settings = sys.argv[2:] or SETTINGS
    with tempfile.TemporaryDirectory() as place:
        make_folder(Path(place))
        config = GPT2Config(resid_pdrop=0, embd_pdrop=0, attn_pdrop=0)
        for setting in settings:
            batch, window = map(int, setting.split("x"))
            peer = GPT2LMHeadModel(config).train()
            steps = {
                "peer float32": theirs(peer, batch, window, "float32"),
                "peer bfloat16": theirs(peer, batch, window, "bfloat16"),
                "full": ours(Path(place), batch, window),
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
            print(f"{setting} tokens/s: {speeds}")
            for fast, slow in (
                ("full", "peer bfloat16"),
                ("full", "peer float32"),
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

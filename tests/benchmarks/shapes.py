"""The four real shapes of GPT-2 with random weights: are we right, and what does loading take?

For each shape: the largest difference of logits from transformers' GPT2LMHeadModel, whether 200
greedy tokens are those of its `generate` (float32), and for each precision the seconds and the
peak of memory, over an interpreter with PyTorch, that loading took. gpt2-xl wants 16 GB of memory
and 7 GB of disk.
    python tests/benchmarks/shapes.py [SHAPE...]
"""

import json
import subprocess
import sys
import tempfile

import torch

SHAPES = {
    "gpt2": (12, 12, 768),
    "gpt2-medium": (24, 16, 1024),
    "gpt2-large": (36, 20, 1280),
    "gpt2-xl": (48, 25, 1600),
}
BYTES = {"float32": 4, "bfloat16": 2, "int8": 1}
PROMPT, TOKENS = 16, 200

LOAD = """
import json, sys, threading, time
import tuillm, torch
from pathlib import Path
from tuillm.generation.context import Context
from tuillm.model.hf_folder import read_weights
from tuillm.model.packing import pack_weights

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

torch.randn(64, 64) @ torch.randn(64, 64)
before, peak, over = resident(), 0, threading.Event()

def watch():
    global peak
    while not over.wait(0.002):
        peak = max(peak, resident())

watcher = threading.Thread(target=watch)
watcher.start()
begin = time.perf_counter()
model = pack_weights(read_weights(Path(sys.argv[1])), getattr(torch, sys.argv[2]))
seconds = time.perf_counter() - begin
over.set()
watcher.join()
with torch.inference_mode():
    context = Context(model)
    logits, _ = context.read(list(range(16)))
    begin = time.perf_counter()
    for _ in range(20):
        logits, _ = context.advance([int(logits.argmax())])
    speed = 20 / (time.perf_counter() - begin)
print(json.dumps([seconds, peak - before, model.config.parameter_count, speed]))
"""

EQUAL = """
import json, sys
import tuillm, torch, transformers
from pathlib import Path
from tuillm.generation.context import Context
from tuillm.model.hf_folder import read_weights
from tuillm.model.packing import pack_weights
folder, prompt, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
ids = torch.randint(50257, (1, prompt), generator=torch.Generator().manual_seed(1))
with torch.inference_mode():
    theirs = transformers.GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32).eval()
    expected = theirs(ids).logits
    settings = dict(do_sample=False, pad_token_id=0, eos_token_id=None)
    out = theirs.generate(ids, max_new_tokens=count, min_new_tokens=count, **settings)
    del theirs
    model = pack_weights(read_weights(Path(folder)), torch.float32)
    difference = float((model(ids) - expected).abs().max())
    context, found = Context(model), []
    logits, _ = context.read(ids[0].tolist())
    for _ in range(count):
        found.append(int(logits.argmax()))
        logits, _ = context.advance([found[-1]])
print(json.dumps([difference, float(expected.std()), found == out[0, prompt:].tolist()]))
"""

MAKE = """
import sys
import torch, transformers
layers, heads, width = map(int, sys.argv[2:])
torch.manual_seed(0)
config = transformers.GPT2Config(n_layer=layers, n_head=heads, n_embd=width,
                                 initializer_range=0.05)
transformers.GPT2LMHeadModel(config).save_pretrained(sys.argv[1], max_shard_size="20GB")
"""


def run(code, *arguments):
    """Run code in a process of its own and return the JSON it prints."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    out = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return json.loads(out.stdout or "null")


def main():
    for name in sys.argv[1:] or SHAPES:
        with tempfile.TemporaryDirectory() as folder:
            run(MAKE, folder, *SHAPES[name])
            difference, spread, equal = run(EQUAL, folder, PROMPT, TOKENS)
            print(
                f"{name}: logits differ by {difference:.1e} at most (their spread is "
                f"{spread:.2f}); {TOKENS} greedy tokens {'equal' if equal else 'DIFFER'}"
            )
            for dtype, each in BYTES.items():
                seconds, peak, parameters, speed = run(LOAD, folder, dtype)
                weights = parameters * each
                print(
                    f"  {dtype}: loaded in {seconds:.2f} s, peak {peak / 1e6:,.0f} MB = "
                    f"{peak / weights:.2f} of {weights / 1e6:,.0f} MB; {speed:.1f} tokens/s",
                    flush=True,
                )


if __name__ == "__main__":
    torch.set_num_threads(2)
    main()

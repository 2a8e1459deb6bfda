"""Seconds from process start to the first token: `tuillm generate` against transformers.

The model has GPT-2's shape and vocabulary size with random weights; both are asked for one token,
and timed until the first byte of its text arrives. (Ending the process comes after that.)
    python tests/benchmarks/first_token.py [ROUNDS]
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

THEIRS = """
import sys
from transformers import AutoModelForCausalLM, AutoTokenizer
folder = sys.argv[1]
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder)
idx = tokenizer("Once upon a time", return_tensors="pt")
out = model.generate(**idx, max_new_tokens=1, do_sample=False, pad_token_id=0)
print(tokenizer.decode(out[0, idx["input_ids"].shape[1]:]), flush=True)
"""


def seconds(command):
    """Run a command and return how long its first byte of output took."""
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        first = process.stdout.read(1)
        passed = time.perf_counter() - begin
        process.stdout.read()
    assert first and process.returncode == 0
    return passed


def make_folder(folder):
    """Write a random model of GPT-2's shape with a byte-level tokenizer of 50,257 ids."""
    from tuillm.bench.programs import random_folder

    from tuillm.text import make_tokenizer

    random_folder(Path(folder))
    tokenizer = make_tokenizer("bpe", ["a small text, only to have a tokenizer"], 300)
    spec = tokenizer.spec
    vocab = spec["model"]["vocab"]
    size = len(vocab)
    for number in range(50_256 - size):  # pad to GPT-2's size: reading it is part of the start
        vocab[f"Ġ{number}Ġ"] = size + number
    spec["added_tokens"][0]["id"] = 50_256
    tokenizer.save(Path(folder), 1024)
    (Path(folder) / "tokenizer.json").write_text(json.dumps(spec))


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as place:
        make_folder(place)
        os.environ["TUILLM_HOME"] = place + "/home"
        ours = [
            sys.executable,
            "-m",
            "tuillm",
            "generate",
            place,
            "-p",
            "Once upon a time",
            "-n",
            "1",
            "--temperature",
            "0",
            "--no-echo",
        ]
        theirs = [sys.executable, "-c", THEIRS, place]
        seconds(ours), seconds(theirs)
        pairs = [(seconds(ours), seconds(theirs)) for _ in range(rounds)]
    a, b = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(pair[0] / pair[1] for pair in pairs)
    print(f"first token: tuillm {a:.2f} s, transformers {b:.2f} s, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()

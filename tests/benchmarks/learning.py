"""What the presets learn from tinyshakespeare in their time: whole held-out split, and by heart.

Each run is `tuillm train` in a process of its own, as a person would type it. `to-1.898` finds the
shortest run that comes to the loss of nanoGPT's CPU recipe (4 layers of 128, 2,000 steps), with
every seed.
    python tests/benchmarks/learning.py [tinyshakespeare.txt] [--seeds 1] [NAME...]
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "tinyshakespeare.txt"
HELD_OUT_CHARACTERS = 111_540
NANOGPT = 1.898  # nats per character
RUNS = {
    "tiny": ["--preset", "tiny", "--minutes", "1"],
    "tiny-2-minutes": ["--preset", "tiny", "--minutes", "2"],
    "tiny-char": ["--preset", "tiny", "--tokenizer", "char", "--minutes", "1.25"],
    "first-100-kb": ["--preset", "tiny", "--minutes", "1"],
    "bigram": ["--preset", "bigram"],
    "heart": ["--preset", "heart", "--minutes", "1.5"],
    "small": ["--preset", "small"],
    "best": ["--preset", "best"],
}
LONG = {"small", "best"}
BYTES = {"heart": 80_000, "first-100-kb": 100_000}
SECONDS = (3, 4, 6, 8, 12, 16, 24)
PROMPTS, PROMPT_CHARACTERS, RECALL = 32, 150, 100


def tuillm(*arguments):
    """Run the command and return what it printed."""
    command = [sys.executable, "-m", "tuillm", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def by_heart(name, text):
    """How many of 32 prompts over the text are continued verbatim for 100 characters."""
    from tuillm import Sampler

    sampler = Sampler(name)
    step = (len(text) - PROMPT_CHARACTERS - RECALL) // (PROMPTS - 1)
    hits = 0
    for number in range(PROMPTS):
        start = number * step
        middle = start + PROMPT_CHARACTERS
        reply = sampler.generate(text[start:middle], temperature=0, max_new_tokens=RECALL)
        hits += reply[:RECALL] == text[middle : middle + RECALL]
    return hits


def bits_per_byte(source, name, arguments):
    """Train, and return what the model has come to, and the seconds of wall."""
    begin = time.perf_counter()
    tuillm("train", source, "--name", name, "--replace", *arguments)
    return json.loads(tuillm("show", name, "--json"))["bits_per_byte"], time.perf_counter() - begin


def report(name, source, seeds):
    """Print what a run of RUNS comes to, seed by seed, and the median."""
    found = []
    for seed in seeds:
        bits, wall = bits_per_byte(source, name, [*RUNS[name], "--seed", seed])
        found.append(bits)
        line = f"{name}, seed {seed}: {wall:.0f} s of wall, {bits:.3f} bits/byte"
        if name == "heart":
            line += f", {by_heart(name, source.read_text())} of {PROMPTS} prompts by heart"
        elif name not in BYTES:
            nats = bits * math.log(2)
            line += f" ({nats:.3f} nats/character) on the held-out {HELD_OUT_CHARACTERS:,}"
        print(line, flush=True)
    if len(found) > 1:
        print(f"{name}: median {median(found):.3f} bits/byte", flush=True)


def time_to_nanogpt(source, seeds):
    """Print the shortest run of SECONDS whose loss is nanoGPT's, with every seed."""
    for seconds in SECONDS:
        minutes = f"{seconds / 60:.4f}"
        losses = [
            bits_per_byte(
                source, "short", ["--preset", "tiny", "--minutes", minutes, "--seed", seed]
            )[0]
            * math.log(2)
            for seed in seeds
        ]
        told = ", ".join(f"{loss:.3f}" for loss in losses)
        print(f"to-1.898: {seconds} s of training: {told} nats/character", flush=True)
        if max(losses) <= NANOGPT:
            return


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("names", nargs="*", metavar="NAME")
    given = parser.parse_args()
    names, data = given.names, DATA
    if names and names[0].endswith(".txt"):
        data = Path(names.pop(0))
    with tempfile.TemporaryDirectory() as place:
        os.environ["TUILLM_HOME"] = place
        for name in names or [name for name in RUNS if name not in LONG]:
            source = Path(place) / f"{name}.txt"
            source.write_bytes(data.read_bytes()[: BYTES.get(name)])
            if name == "to-1.898":
                time_to_nanogpt(source, range(1, given.seeds + 1))
            else:
                report(name, source, range(1, given.seeds + 1))


if __name__ == "__main__":
    main()

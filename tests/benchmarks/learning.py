"""What the presets learn from tinyshakespeare in their time: whole held-out split, and by heart.

Each run is `tuillm train` in a process of its own, as a person would type it.
    python tests/benchmarks/learning.py [tinyshakespeare.txt] [NAME...]
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "tinyshakespeare.txt"
HELD_OUT_CHARACTERS = 111_540
RUNS = {
    "tiny": ["--preset", "tiny", "--minutes", "1"],
    "tiny-char": ["--preset", "tiny", "--tokenizer", "char", "--minutes", "1.25"],
    "bigram": ["--preset", "bigram"],
    "heart": ["--preset", "heart", "--minutes", "1.5"],
}
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


def main():
    arguments = sys.argv[1:]
    data = Path(arguments.pop(0)) if arguments and arguments[0].endswith(".txt") else DATA
    with tempfile.TemporaryDirectory() as place:
        os.environ["TUILLM_HOME"] = place
        first = Path(place) / "first.txt"
        first.write_bytes(data.read_bytes()[:80_000])
        for name in arguments or RUNS:
            source = first if name == "heart" else data
            begin = time.perf_counter()
            tuillm("train", source, "--name", name, *RUNS[name])
            wall = time.perf_counter() - begin
            card = json.loads(tuillm("show", name, "--json"))
            line = f"{name}: {wall:.0f} s of wall, {card['bits_per_byte']:.3f} bits/byte"
            if name == "heart":
                line += f", {by_heart(name, first.read_text())} of {PROMPTS} prompts by heart"
            else:
                nats = card["bits_per_byte"] * 0.693147
                line += f" ({nats:.3f} nats/character) on the held-out {HELD_OUT_CHARACTERS:,}"
            print(line, flush=True)


if __name__ == "__main__":
    main()

"""What helps on little text: `tiny` by steps, three seeds, on 100 KB, 1 MB and 10 MB.

Each run is `tuillm train` with one thread in a process of its own, and as many run at once as there
are cores: steps are counted, not time, so that they do not disturb each other's result. The text is
tinyshakespeare; of 10 MB, the source of Python's library, which every machine has.
    python tests/benchmarks/little_text.py [tinyshakespeare.txt] [--seeds 3] [--text 1-mb ...]
"""

import argparse
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "tinyshakespeare.txt"
PLAIN = {"token-dropout": 0, "dropout": 0, "ema": 0}
TOKENS, ACTIVATIONS = {"token-dropout": 0.1}, {"dropout": 0.1}
AVERAGE = {"ema": 0.1}
SEARCH = {
    "1-mb": {
        "neither": {},
        "average": AVERAGE,
        "token dropout 0.1": TOKENS,
        "token dropout 0.1, average": TOKENS | AVERAGE,
        "dropout 0.1, average": ACTIVATIONS | AVERAGE,
        "four times the weight decay, average": {"muon-weight-decay": 2.0} | AVERAGE,
    },
    "100-kb": {
        "dropout 0.3, average": {"dropout": 0.3} | AVERAGE,
        "token dropout 0.1, dropout 0.1, average": TOKENS | ACTIVATIONS | AVERAGE,
        "token dropout 0.2, dropout 0.1, average": {"token-dropout": 0.2} | ACTIVATIONS | AVERAGE,
    },
    "10-mb": {"average": AVERAGE, "token dropout 0.1, average": TOKENS | AVERAGE},
}
STEPS = {"1-mb": 2080, "100-kb": 1000, "10-mb": 700}


def texts(data, folder):
    """The three texts, by name."""
    book = data.read_bytes()
    sources = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    sources += sorted(Path(sysconfig.get_path("stdlib")).glob("[a-z]*/**/*.py"))
    code = b"\n".join(path.read_bytes() for path in sources if "site-packages" not in path.parts)
    found = {"1-mb": book, "100-kb": book[:100_000], "10-mb": code[:10_000_000]}
    for name, content in found.items():
        (folder / f"{name}.txt").write_text(content.decode(errors="ignore"))


def tuillm(home, *arguments):
    """Run the command in a registry of its own, with one thread, and return what it printed."""
    command = [sys.executable, "-m", "tuillm", *map(str, arguments)]
    surroundings = os.environ | {"TUILLM_HOME": str(home), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, check=True, capture_output=True, text=True, env=surroundings
    ).stdout


def bits_per_byte(folder, text, options, seed):
    """What one run comes to on its held-out tenth: the best of its ten evaluations."""
    with tempfile.TemporaryDirectory() as home:
        flat = [part for key, value in (PLAIN | options).items() for part in (f"--{key}", value)]
        flat += ["--max-steps", STEPS[text], "--seed", seed, "--priority", "normal"]
        tuillm(home, "train", folder / f"{text}.txt", "--name", "one", "--preset", "tiny", *flat)
        return json.loads(tuillm(home, "show", "one", "--json"))["bits_per_byte"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", type=Path, default=DATA)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--text", nargs="+", choices=list(SEARCH), default=list(SEARCH))
    given = parser.parse_args()
    seeds = range(1, given.seeds + 1)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        texts(given.data, Path(folder))
        running = {
            (text, name): [
                pool.submit(bits_per_byte, Path(folder), text, options, seed) for seed in seeds
            ]
            for text in given.text
            for name, options in SEARCH[text].items()
        }
        for (text, name), results in running.items():
            bits = [result.result() for result in results]
            told = ", ".join(f"{value:.3f}" for value in bits)
            print(f"{text}, {name}: {told}; median {median(bits):.3f} bits/byte", flush=True)


if __name__ == "__main__":
    main()

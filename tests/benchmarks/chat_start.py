"""Seconds from process start to the chat's prompt, in a pseudo-terminal; the model loads meanwhile.

A random model of GPT-2's shape. Timed are: the prompt on the screen, a key that was
pressed there shown, and the end of loading (the toolbar says `loading` no more). `python -c pass`
ran interleaved.
    python tests/benchmarks/chat_start.py [ROUNDS]
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from terminal import Terminal

from tuillm.bench.bench_model import random_folder


def chat_seconds(folder):
    """Open a chat; return when its prompt was there, when a key was shown, when it had loaded."""
    begin = time.perf_counter()
    chat = Terminal("chat", folder)
    try:
        times = []
        for key, condition in (("x", "\n›"), ("", "› x"), ("", _loaded)):
            chat.wait(condition)
            times.append(time.perf_counter() - begin)
            chat.press(key)
        return times
    finally:
        chat.close()


def _loaded(text):
    last = text.rstrip().splitlines()[-1]
    return "top_k" in last and "loading" not in last


def empty_seconds():
    """Start an empty Python and return how long it took."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - begin


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    with tempfile.TemporaryDirectory() as place:
        random_folder(Path(place))
        os.environ["TUILLM_HOME"] = place + "/home"
        chat_seconds(place)
        rows = [(*chat_seconds(place), empty_seconds()) for _ in range(rounds)]
    prompt, key, loaded, empty = (statistics.median(column) for column in zip(*rows, strict=True))
    print(
        f"prompt {prompt:.2f} s, a key shown {key:.2f} s, loaded {loaded:.2f} s; "
        f"python -c pass {empty:.2f} s"
    )
    print("prompts: " + " ".join(f"{row[0]:.2f}" for row in rows))


if __name__ == "__main__":
    main()

"""Start-up time of `tuillm --help` against an empty Python.

python tests/benchmarks/startup.py [ROUNDS]
"""

import shutil
import statistics
import subprocess
import sys
import time


def seconds(command):
    """Run a command to its end and return how long it took."""
    begin = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - begin


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    ours = [shutil.which("tuillm") or sys.exit("tuillm is not on the path"), "--help"]
    empty = [sys.executable, "-c", "pass"]
    pairs = [(seconds(ours), seconds(empty)) for _ in range(rounds)]
    a, b = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(pair[0] / pair[1] for pair in pairs)
    print(f"tuillm --help {1000 * a:.0f} ms, python -c pass {1000 * b:.0f} ms, ratio {ratio:.1f}")


if __name__ == "__main__":
    main()

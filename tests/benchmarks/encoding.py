"""Encoding speed: a corpus into token files, against tiktoken and tokenizers on all processors.

Ours reads a store and writes the file of ids, as `tuillm prepare` does. tiktoken's part is
`encode_ordinary_batch` on as many threads as there are processors, that of tokenizers
`encode_batch`, which is parallel by itself; both get their documents as strings in memory, a
megabyte or so at a time, and what they return is thrown away. The text is a book's words in random
order, or FILE; a round takes the next part of it. Ratios are of the time that passes and, for a
machine that is not quiet, of processor time.
    python tests/benchmarks/encoding.py [ROUNDS] [MEGABYTES A ROUND] [FILE]
"""

import os
import statistics
import sys
import time
from pathlib import Path

from tuillm.bench.tokenizer_speed import documents_of, encode_to_file, made_text, peer_encoders
from tuillm.text.corpus import Corpus
from tuillm.text.new_tokenizer import make_tokenizer
from tuillm.text.tokenizer_files import load_tokenizer

GPT2 = Path(__file__).parents[3] / "shared" / "data" / "gpt2-bpe"
LENGTHS = {"documents of 100 bytes": 100, "documents of 500 kB": 500_000}
AT_ONCE = 1 << 22


def groups(documents):
    """Documents by a few megabytes."""
    group, size = [], 0
    for document in documents:
        group.append(document)
        size += len(document)
        if size >= AT_ONCE:
            yield group
            group, size = [], 0
    if group:
        yield group


class Stopwatch:
    """Called, gives the seconds since it was made: passed, and spent by all threads."""

    def __init__(self):
        self.begin = time.perf_counter(), time.process_time()

    def __call__(self):
        return time.perf_counter() - self.begin[0], time.process_time() - self.begin[1]


def ours(corpus, tokenizer):
    """Seconds for the file of ids, and its size in ids."""
    taken = Stopwatch()
    count = encode_to_file(corpus, tokenizer) - len(corpus.store)
    return taken(), count


def theirs(documents, encode):
    """Seconds for lists of ids that nobody keeps, and how many there were."""
    taken, count = Stopwatch(), 0
    for group in groups(documents):
        count += encode(group)
    return taken(), count


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    size = int(float(sys.argv[2]) * 1e6) if len(sys.argv) > 2 else 20_000_000
    source = open(sys.argv[3], encoding="utf-8") if len(sys.argv) > 3 else None
    kinds = {"bpe of 1,024": make_tokenizer("bpe", [made_text(4_000_000, 0)], 1024)}
    if GPT2.exists():
        kinds["gpt2"] = load_tokenizer(GPT2)
    seconds = {}
    for number in range(rounds):
        if not (text := source.read(size) if source else made_text(size, number + 1)):
            break
        for kind, tokenizer in kinds.items():
            for length, cut in LENGTHS.items():
                documents = documents_of(text, cut)
                corpus = Corpus.of(documents)
                found = {"tuillm": ours(corpus, tokenizer)}
                for name, encode in peer_encoders(tokenizer, os.cpu_count() or 1).items():
                    found[name] = theirs(documents, encode)
                assert len({count for _, count in found.values()}) == 1, found
                for name, (taken, _) in found.items():
                    seconds.setdefault((kind, length), {}).setdefault(name, []).append(
                        [each / corpus.bytes * 1e6 for each in taken]
                    )
    for what, by_name in seconds.items():
        print(", ".join(what))
        for name, taken in by_name.items():
            passed, spent = (statistics.median(column) for column in zip(*taken, strict=True))
            pairs = list(zip(taken, by_name["tuillm"], strict=True))
            slower = [statistics.median(a[which] / b[which] for a, b in pairs) for which in (0, 1)]
            print(
                f"  {name:<10} {1 / passed:6.2f} MB/s, {spent:.3f} processor seconds a MB; "
                f"tuillm is {slower[0]:.2f} times as fast, by processor time {slower[1]:.2f} times",
                flush=True,
            )


if __name__ == "__main__":
    main()

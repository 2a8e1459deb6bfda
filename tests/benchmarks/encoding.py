"""Encoding speed: a corpus into token files, against tiktoken and tokenizers on all processors.

Ours reads a store and writes the file of ids, as `tuillm prepare` does. tiktoken's part is
`encode_ordinary_batch` on as many threads as there are processors, that of tokenizers
`encode_batch`, which is parallel by itself; both get their documents as strings in memory, a
megabyte or so at a time, and what they return is thrown away. The text is a book's words in random
order, or FILE; a round takes the next part of it. Ratios are of the time that passes and, for a
machine that is not quiet, of processor time.
    python tests/benchmarks/encoding.py [ROUNDS] [MEGABYTES A ROUND] [FILE]
"""

import json
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tokenizers import Tokenizer as Peer

from tuillm.store.paths import demo_book
from tuillm.text.corpus import Corpus
from tuillm.text.encode_spans import Job, encode_spans
from tuillm.text.new_tokenizer import make_tokenizer
from tuillm.text.progress_tick import unwatched
from tuillm.text.spans import Spans
from tuillm.text.tokenizer import load_tokenizer

GPT2 = Path(__file__).parents[3] / "shared" / "data" / "gpt2-bpe"
LENGTHS = {"documents of 100 bytes": 100, "documents of 500 kB": 500_000}
AT_ONCE = 1 << 22


def made_text(size, seed):
    """Sentences of the bundled book in random order, every twentieth word one that is nowhere."""
    draw = random.Random(seed)
    sentences = demo_book().read_text(encoding="utf-8").replace("\n\n", ". ").split(". ")
    parts, length = [], 0
    while length < size:
        words = draw.choice(sentences).split(" ")
        if draw.random() < 0.5:
            letters = draw.choices("etaoinshrdlucmfwyp", k=draw.randint(3, 11))
            words[draw.randrange(len(words))] = "".join(letters)
        parts.append(" ".join(words) + ". ")
        length += len(parts[-1])
    return "".join(parts)


def documents_of(text, size):
    """Cut a text before blanks into documents of about `size` characters."""
    found, begin = [], 0
    while begin < len(text):
        end = text.find(" ", begin + size)
        end = len(text) if end < 0 else end
        found.append(text[begin:end])
        begin = end
    return found


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


def ours(store, tokenizer):
    """Seconds for the file of ids, and its size in ids."""
    with tempfile.TemporaryDirectory() as folder:
        job = Job("train", Spans(store.ends, 0, store.bytes), opens=False)
        taken = Stopwatch()
        encode_spans(store, [job], tokenizer, Path(folder), unwatched)
        return taken(), (Path(folder) / "train.bin").stat().st_size // 2 - len(store)


def theirs(documents, encode):
    """Seconds for lists of ids that nobody keeps, and how many there were."""
    taken, count = Stopwatch(), 0
    for group in groups(documents):
        count += encode(group)
    return taken(), count


def peers(tokenizer):
    """The other libraries by name, each with a function that encodes and counts."""
    threads = os.cpu_count() or 1
    peer = Peer.from_str(json.dumps(tokenizer.spec))

    def tiktoken_batch(group):
        return sum(map(len, tokenizer.encoding.encode_ordinary_batch(group, num_threads=threads)))

    def peer_batch(group):
        return sum(map(len, peer.encode_batch(group)))

    return {"tiktoken": tiktoken_batch, "tokenizers": peer_batch}


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
                store = Corpus.of(documents).store
                found = {"tuillm": ours(store, tokenizer)}
                for name, encode in peers(tokenizer).items():
                    found[name] = theirs(documents, encode)
                assert len({count for _, count in found.values()}) == 1, found
                for name, (taken, _) in found.items():
                    seconds.setdefault((kind, length), {}).setdefault(name, []).append(
                        [each / store.bytes * 1e6 for each in taken]
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

"""How fast text becomes token ids: files of ids as training reads them, beside other libraries.

Ours reads a store and writes a file, as `tuillm prepare` does. tiktoken and tokenizers get strings
in memory and encode them in parallel, and what they return is thrown away. Knows text alone.
"""

import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from tuillm.bench.bench_record import OURS
from tuillm.bench.turns import Program
from tuillm.store.paths import demo_book
from tuillm.text import Corpus, Tokenizer, load_tokenizer, make_tokenizer
from tuillm.text.encode_spans import Job, encode_spans, token_dtype
from tuillm.text.progress_tick import unwatched
from tuillm.text.spans import Spans

_BYTES, _DOCUMENT = 2_000_000, 2_000
_ENTRIES = 1024


def tokenizer_programs(
    folder: Path | None, threads: int, peers: bool, size: int = _BYTES
) -> Iterator[Program]:
    """Yield ours, tiktoken and tokenizers with the tokenizer of a model folder.

    Without a folder it is one of 1,024 entries, learned from the bundled book. `size` is that of
    the text, in characters.
    """
    if folder:
        tokenizer = load_tokenizer(folder)
        case = f"{tokenizer.kind} of {tokenizer.n_vocab:,}"
    else:
        book = demo_book().read_text(encoding="utf-8")
        tokenizer, case = make_tokenizer("bpe", [book], _ENTRIES), f"bpe of {_ENTRIES:,}"
    documents = documents_of(made_text(size, 0), _DOCUMENT)
    megabytes = sum(len(each.encode()) for each in documents) / 1e6
    corpus = Corpus.of(documents)
    ways: dict[str, Callable[[], object]] = {OURS: lambda: encode_to_file(corpus, tokenizer)}
    if peers:
        for name, encode in peer_encoders(tokenizer, threads).items():
            ways[name] = lambda encode=encode: encode(documents)  # type: ignore[misc]
    for program, encode_all in ways.items():
        once = _timed(encode_all, megabytes)
        yield Program("tokenizer", program, case, threads, "MB/s", once)


def encode_to_file(corpus: Corpus, tokenizer: Tokenizer) -> int:
    """Write a corpus as a file of ids; return how many there are, ends of documents included."""
    with tempfile.TemporaryDirectory() as folder:
        job = Job("train", Spans(corpus.store.ends, 0, corpus.store.bytes), opens=False)
        encode_spans(corpus.store, [job], tokenizer, Path(folder), unwatched)
        size = (Path(folder) / "train.bin").stat().st_size
        return size // np.dtype(token_dtype(tokenizer)).itemsize


def peer_encoders(tokenizer: Tokenizer, threads: int) -> dict[str, Callable[[list[str]], int]]:
    """Return what encodes documents with other libraries and counts the ids, by their names."""
    found: dict[str, Callable[[list[str]], int]] = {}
    if encoding := tokenizer.encoding:
        found["tiktoken"] = lambda texts: sum(
            map(len, encoding.encode_ordinary_batch(texts, num_threads=threads))
        )
    if find_spec("tokenizers"):
        from tokenizers import Tokenizer as Peer

        peer = Peer.from_str(json.dumps(tokenizer.spec))
        found["tokenizers"] = lambda texts: sum(map(len, peer.encode_batch(texts)))
    return found


def made_text(size: int, seed: int) -> str:
    """Return `size` characters at least: sentences of the bundled book in random order.

    Every other sentence has a word of random letters, for a text is never all known words.
    """
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


def documents_of(text: str, size: int) -> list[str]:
    """Cut a text before blanks into documents of about `size` characters."""
    found, begin = [], 0
    while begin < len(text):
        end = text.find(" ", begin + size)
        end = len(text) if end < 0 else end
        found.append(text[begin:end])
        begin = end
    return found


def _timed(encode: Callable[[], object], megabytes: float) -> Callable[[], float]:
    def once() -> float:
        begin = time.perf_counter()
        encode()
        return megabytes / (time.perf_counter() - begin)

    return once

"""Token files: the corpus as ids on disk, split exactly, memory-mapped, made once.

Knows ids and files; does not know batches. The last `val_fraction` of the characters is held
out; in a corpus of several documents an end-of-text id stands where one ends.
"""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tuillm.config import TrainConfig
from tuillm.errors import TuillmError
from tuillm.store.files import new_folder, read_json, write_json
from tuillm.store.paths import cache_dir, ensure_dir
from tuillm.text.sources import Corpus
from tuillm.text.tokenizer import Tokenizer, load_tokenizer, make_tokenizer, slices

_FORMAT = 3
_KEEP_CACHED = 16
_BPE_SMALL, _BPE_LARGE, _LARGE_TEXT = 512, 1024, 500_000


@dataclass(frozen=True)
class TokenFiles:
    """A tokenized corpus. `train` and `val` are 1-D arrays of ids; `val` may be empty.

    `val_bytes` is the number of UTF-8 bytes behind `val`: what bits per byte divide by. When
    nothing is held out, `val` is the training text itself.
    """

    tokenizer: Tokenizer
    train: np.ndarray
    val: np.ndarray
    val_bytes: int
    notes: tuple[str, ...]


def tokenize(corpus: Corpus, config: TrainConfig) -> TokenFiles:
    """Return the tokens of a corpus, from the cache when its contents were tokenized before.

    Raises TuillmError when the text is too short to learn from.
    """
    kind, vocab_size = choose_tokenizer(corpus, config)
    recipe = f"{_FORMAT} {corpus.sha256} {kind} {vocab_size} {config.val_fraction!r}"
    root = ensure_dir(cache_dir() / "tokens")
    folder = root / hashlib.sha256(recipe.encode()).hexdigest()[:24]
    if not (folder / "meta.json").exists():
        _write(folder, corpus, kind, vocab_size, config.val_fraction)
        _forget_old(root, folder)
    return _open(folder)


def choose_tokenizer(corpus: Corpus, config: TrainConfig) -> tuple[str, int]:
    """Return the kind and the vocabulary size for a corpus: what `auto` stands for.

    Measured: on one book 1,024 pieces learn best, 512 below half a megabyte; on less than
    10 KB there is too little to learn pieces from.
    """
    size = corpus.bytes
    kind = config.tokenizer
    if kind == "auto":
        kind = "bpe" if size >= 10_000 else "char"
    if kind != "bpe":
        return kind, 0
    return kind, config.vocab_size or (_BPE_LARGE if size >= _LARGE_TEXT else _BPE_SMALL)


def split(corpus: Corpus, val_fraction: float) -> tuple[list[str], list[str]]:
    """Cut the documents after the first (1 - val_fraction) of all characters, exactly."""
    cut = int(corpus.characters * (1 - val_fraction))
    train, val, position = [], [], 0
    for document in corpus.documents:
        here = min(max(cut - position, 0), len(document))
        train += [document[:here]] if here else []
        val += [document[here:]] if here < len(document) else []
        position += len(document)
    return train, val


def _write(folder: Path, corpus: Corpus, kind: str, vocab_size: int, val_fraction: float) -> None:
    train_text, val_text = split(corpus, val_fraction)
    # bpe learns from the training part alone; a set of characters gives nothing away
    tokenizer = make_tokenizer(kind, corpus.documents if kind == "char" else train_text, vocab_size)
    several = len(corpus.documents) > 1
    # the document that the split cuts in two ends in the second part only
    cut = len(train_text) + len(val_text) > len(corpus.documents)
    train = _encode(tokenizer, train_text, len(train_text) - cut if several else 0)
    val = _encode(tokenizer, val_text, len(val_text) if several else 0)
    if len(train) < 2:
        raise TuillmError(f"{corpus.label} is too short to learn from: {len(train)} token")
    with new_folder(folder) as staging:
        tokenizer.save(staging, context=0)
        _save(staging / "train.npy", train)
        _save(staging / "val.npy", val)
        measured = val_text if len(val) >= 2 else train_text
        val_bytes = sum(len(text.encode()) for text in measured)
        write_json(staging / "meta.json", {"val_bytes": val_bytes})


def _encode(tokenizer: Tokenizer, documents: list[str], ends: int) -> np.ndarray:
    """Return the ids of documents one after the other, the first `ends` with an end of text."""
    dtype = np.uint16 if tokenizer.n_vocab <= 1 << 16 else np.uint32
    parts = []
    for number, document in enumerate(documents):
        parts += [np.array(tokenizer.encode(part), dtype) for part in slices(document)]
        if number < ends and tokenizer.eot is not None:
            parts.append(np.array([tokenizer.eot], dtype))
    return np.concatenate(parts) if parts else np.empty(0, dtype)


def _save(path: Path, ids: np.ndarray) -> None:
    """Write what np.save writes, which would not say why a disk refuses it."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(ids))
        file.write(ids.data)


def _open(folder: Path) -> TokenFiles:
    train = np.load(folder / "train.npy", mmap_mode="r")
    val = np.load(folder / "val.npy", mmap_mode="r")
    notes = []
    if len(val) == 0:
        val = train
        notes.append("nothing is held out: losses are of the training text itself")
    elif len(val) < 2:
        val = train
        notes.append("the text is too short to hold out a part: losses are of the training text")
    val_bytes = int(read_json(folder / "meta.json")["val_bytes"])
    return TokenFiles(load_tokenizer(folder), train, val, val_bytes, tuple(notes))


def _forget_old(root: Path, keep: Path) -> None:
    """Keep the cache to its newest entries: token files can always be made again."""
    entries = sorted((entry for entry in root.iterdir() if not entry.name.startswith(".")),
                     key=lambda entry: entry.stat().st_mtime, reverse=True)
    for entry in entries[_KEEP_CACHED:]:
        if entry != keep:
            shutil.rmtree(entry, ignore_errors=True)

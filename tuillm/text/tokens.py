"""Token files: the corpus as ids on disk, split exactly, memory-mapped, made once.

Knows ids and files; does not know batches. The last `val_fraction` of the characters is held
out. An end-of-text id stands before the first document to learn and behind each that is whole;
among those held out only behind each of several.
"""

import hashlib
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tuillm.config import TrainConfig
from tuillm.errors import DiskError, TuillmError, UsageError
from tuillm.store.files import new_folder, read_json, write_json
from tuillm.store.paths import cache_dir, ensure_dir, passing_dir
from tuillm.store.temp_files import clear_leftovers
from tuillm.text.corpus import Corpus
from tuillm.text.new_tokenizer import make_tokenizer
from tuillm.text.progress_tick import Tick, unwatched
from tuillm.text.tokenizer import Tokenizer, load_tokenizer

_FORMAT = 4
_KEEP_CACHED = 16
_BPE_SMALL, _BPE_LARGE, _LARGE_TEXT = 512, 1024, 500_000


@dataclass(frozen=True)
class TokenFiles:
    """A tokenized corpus. `train` and `val` are 1-D arrays of ids; `val` may be empty.

    `val_bytes` is the number of UTF-8 bytes behind `val`: what bits per byte divide by. Of them
    `left_out` characters, `left_out_bytes` bytes, are not in the vocabulary and so not in `val`.
    When nothing is held out, `val` is the training text itself.
    """

    tokenizer: Tokenizer
    train: np.ndarray
    val: np.ndarray
    val_bytes: int
    notes: tuple[str, ...]
    left_out: int = 0
    left_out_bytes: int = 0

    @property
    def measured(self) -> np.ndarray:
        """The ids of `val` without the end of text at either end, which is not in the text."""
        begin, end = (int(id == self.tokenizer.eot) for id in (self.val[0], self.val[-1]))
        return self.val[begin : len(self.val) - end]


def tokenize(
    corpus: Corpus, config: TrainConfig, tokenizer: Tokenizer | None = None, tick: Tick = unwatched
) -> TokenFiles:
    """Return the tokens of a corpus, from the cache when its contents were tokenized before.

    They are those of `tokenizer`, or of one made for this corpus. Raises TuillmError when the
    text is too short to learn from, and UsageError when `config` asks for another kind. `tick` is
    told how far the work is; what it raises ends it, and nothing half-made stays behind.
    """
    tick("hashing the text", 0.0)
    root, made = cache_dir() / "tokens", choose_tokenizer(corpus, config)
    folder = root / _recipe(corpus, config, " ".join(map(str, made)))
    if tokenizer:
        refuse_other_kind(tokenizer, config)
        if not _is_of(folder, tokenizer):
            folder = root / _recipe(corpus, config, f"given {tokenizer.sha256}")
    if (folder / "meta.json").exists():
        # damaged, it is made again
        with suppress(OSError, EOFError, ValueError, KeyError, TypeError, TuillmError):
            return _open(folder, tokenizer)
    try:
        ensure_dir(root)
        _write(folder, corpus, config, tokenizer, tick)
        _forget_old(root, folder)
    except DiskError:  # read-only or full: what reads a text needs no cache of ours
        folder = passing_dir() / folder.name
        _write(folder, corpus, config, tokenizer, tick)
    return _open(folder, tokenizer)


def _recipe(corpus: Corpus, config: TrainConfig, maker: str) -> str:
    """Return the name of the folder for the tokens that `maker` makes of a corpus."""
    recipe = f"{_FORMAT} {corpus.sha256} {maker} {config.val_fraction!r}"
    return hashlib.sha256(recipe.encode()).hexdigest()[:24]


def _is_of(folder: Path, tokenizer: Tokenizer) -> bool:
    """Whether a folder holds the tokens of this tokenizer, as when a run is taken up again."""
    try:
        return (folder / "meta.json").exists() and (
            load_tokenizer(folder).sha256 == tokenizer.sha256
        )
    except TuillmError:
        return False


def refuse_other_kind(tokenizer: Tokenizer, config: TrainConfig) -> None:
    """Raise UsageError when a model's tokenizer is not of the kind that was asked for."""
    if config.tokenizer not in ("auto", tokenizer.kind):
        raise UsageError(
            f"tokenizer cannot be {config.tokenizer!r}: the model {config.init_from!r} has "
            f"{tokenizer.kind!r}",
            "leave it out, or train without --from",
        )


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


def _write(
    folder: Path, corpus: Corpus, config: TrainConfig, given: Tokenizer | None, tick: Tick
) -> None:
    train_text, val_text = split(corpus, config.val_fraction)
    tokenizer = given or _tokenizer_for(corpus, config, train_text, tick)
    several = len(corpus.documents) > 1
    # the document that the split cuts in two ends in the second part only
    cut = len(train_text) + len(val_text) > len(corpus.documents)
    train = _encode(tokenizer, train_text, len(train_text) - cut, tick, begin=True)
    val = _encode(tokenizer, val_text, len(val_text) if several else 0, tick)
    learned = np.count_nonzero(train != tokenizer.eot) if len(train) else 0
    if learned < 2:
        unwritten = sum(tokenizer.left_out(text)[0] for text in train_text)
        raise TuillmError(
            f"{corpus.label} is too short to learn from: {learned} token"
            + (
                f", as {unwritten:,} of its characters are not in the vocabulary"
                if unwritten
                else ""
            )
        )
    with new_folder(folder) as staging:
        if not given:
            tokenizer.save(staging, context=0)
        _save(staging / "train.npy", train)
        _save(staging / "val.npy", val)
        measured = val_text if len(val) >= 2 else train_text
        lacking = [tokenizer.left_out(text) for text in measured]
        write_json(
            staging / "meta.json",
            {
                "val_bytes": sum(len(text.encode()) for text in measured),
                "left_out": sum(characters for characters, _ in lacking),
                "left_out_bytes": sum(size for _, size in lacking),
            },
        )


def _tokenizer_for(
    corpus: Corpus, config: TrainConfig, train_text: list[str], tick: Tick
) -> Tokenizer:
    kind, vocab_size = choose_tokenizer(corpus, config)
    # bpe learns from the training part alone; a set of characters gives nothing away
    texts = corpus.documents if kind == "char" else train_text
    return make_tokenizer(kind, texts, vocab_size, tick)


def _encode(
    tokenizer: Tokenizer, documents: list[str], ends: int, tick: Tick, *, begin: bool = False
) -> np.ndarray:
    """Return the ids of documents one after the other, the first `ends` with an end of text.

    With `begin` one stands before the first document as well, as behind it the others begin.
    """
    dtype = np.uint16 if tokenizer.n_vocab <= 1 << 16 else np.uint32
    parts = [np.array([tokenizer.eot], dtype)] if begin and tokenizer.eot is not None else []
    done, total = 0, max(sum(map(len, documents)), 1)
    for number, document in enumerate(documents):
        for part in tokenizer.slices(document):
            tick("encoding the text", done / total)
            parts.append(np.array(tokenizer.encode(part), dtype))
            done += len(part)
        if number < ends and tokenizer.eot is not None:
            parts.append(np.array([tokenizer.eot], dtype))
    return np.concatenate(parts) if parts else np.empty(0, dtype)


def _save(path: Path, ids: np.ndarray) -> None:
    """Write what np.save writes, which would not say why a disk refuses it."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(ids))
        file.write(ids.data)


def _open(folder: Path, given: Tokenizer | None) -> TokenFiles:
    train = np.load(folder / "train.npy", mmap_mode="r")
    val = np.load(folder / "val.npy", mmap_mode="r")
    notes = []
    if len(val) == 0:
        val = train
        notes.append("nothing is held out: losses are of the training text itself")
    elif len(val) < 2:
        val = train
        notes.append("the text is too short to hold out a part: losses are of the training text")
    told = read_json(folder / "meta.json")
    val_bytes, left_out, left_out_bytes = (
        int(told[name]) for name in ("val_bytes", "left_out", "left_out_bytes")
    )
    if left_out:
        notes.append(left_out_note(left_out))
    return TokenFiles(
        given or load_tokenizer(folder),
        train,
        val,
        val_bytes,
        tuple(notes),
        left_out,
        left_out_bytes,
    )


def left_out_note(count: int) -> str:
    """Say what becomes of so many characters of a measured text that no ids stand for."""
    return (
        f"{count:,} character{'s' if count > 1 else ''} of the text measured cannot be written "
        "in this vocabulary: left out, and counted at 8 bits a byte"
    )


def _forget_old(root: Path, keep: Path) -> None:
    """Keep the cache to its newest entries: token files can always be made again."""
    clear_leftovers(root, before=True)
    with suppress(OSError):  # another worker tidies, too
        entries = sorted(
            (entry for entry in root.iterdir() if not entry.name.startswith(".")),
            key=lambda entry: entry.stat().st_mtime,
            reverse=True,
        )
        for entry in entries[_KEEP_CACHED:]:
            if entry != keep:
                shutil.rmtree(entry, ignore_errors=True)

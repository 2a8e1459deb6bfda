"""Token files: the corpus as ids on disk, split exactly, memory-mapped, made once.

Knows ids and files; does not know batches. An end-of-text id stands before the first document to
learn and behind each that is whole; among those held out behind each of several. Conversations
end as their chat template has it, and a mask tells what of them is learned.
"""

import hashlib
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tuillm.config import TrainConfig
from tuillm.errors import DiskError, TuillmError, UsageError
from tuillm.store.files import new_folder, read_json, write_json
from tuillm.store.locks import Lock, Taken, take
from tuillm.store.paths import cache_dir, ensure_dir, passing_dir
from tuillm.store.temp_files import clear_leftovers
from tuillm.text.choose_tokenizer import Choice, choice_key, tokenizer_for
from tuillm.text.corpus import Corpus
from tuillm.text.encode_spans import Job, encode_spans, token_dtype
from tuillm.text.progress_tick import Tick, unwatched
from tuillm.text.spans import Spans
from tuillm.text.split import Split, split_store
from tuillm.text.tokenizer import Tokenizer
from tuillm.text.tokenizer_figures import TokenizerFigures
from tuillm.text.tokenizer_files import load_tokenizer
from tuillm.units import several, size

_FORMAT = 6
_KEEP_CACHED = 16
# a corpus beyond this size is encoded in a folder that survives a kill
_LARGE = 1 << 26
# the longest run in bytes that pieces are looked for in: it takes some ten seconds and 600 MB
_LONGEST_RUN = 12_000_000


@dataclass(frozen=True)
class TokenFiles:
    """A tokenized corpus. `train` and `val` are 1-D arrays of ids; `val` may be empty.

    Masks are arrays of the same lengths that tell which tokens are to be predicted, None where all
    are. `val_bytes` is the number of UTF-8 bytes behind these in `val`: what bits per byte divide
    by. Of them `left_out` characters, `left_out_bytes` bytes, are not in the vocabulary and so not
    in `val`. When nothing is held out, `val` is the training text itself. They lie in `folder`,
    `total` of them. `figures` are of the tokenizers that this one was chosen among, if it was.
    """

    tokenizer: Tokenizer
    train: NDArray[np.unsignedinteger]
    val: NDArray[np.unsignedinteger]
    val_bytes: int
    notes: tuple[str, ...]
    left_out: int = 0
    left_out_bytes: int = 0
    train_mask: NDArray[np.bool_] | None = None
    val_mask: NDArray[np.bool_] | None = None
    folder: Path = Path()
    total: int = 0
    figures: tuple[TokenizerFigures, ...] = ()

    @property
    def measured(self) -> np.ndarray:
        """The ids of `val` without the end of text at either end, which is not in the text."""
        if self.val_mask is not None:  # what ends a turn is part of a conversation
            return self.val
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
    tick("looking for its tokens", 0.0)
    root = cache_dir() / "tokens"
    folder = root / _recipe(corpus, config, choice_key(corpus, config))
    if tokenizer:
        refuse_other_kind(tokenizer, config)
        if not _is_of(folder, tokenizer):
            folder = root / _recipe(corpus, config, f"given {tokenizer.sha256}")
    if tokenizer and corpus.template:
        tokenizer = tokenizer.with_template(corpus.template)
    if (folder / "meta.json").exists():
        # damaged, it is made again
        with suppress(OSError, EOFError, ValueError, KeyError, TypeError, TuillmError):
            return _open(folder, tokenizer)
    _refuse_long_runs(corpus, tokenizer.kind if tokenizer else config.tokenizer)
    try:
        ensure_dir(root)
        _write(folder, corpus, config, tokenizer, tick)
        _forget_old(root, folder)
    except DiskError:  # read-only or full: what reads a text needs no cache of ours
        folder = passing_dir() / folder.name
        _write(folder, corpus, config, tokenizer, tick)
    return _open(folder, tokenizer)


def tokenizer_of(
    corpus: Corpus,
    config: TrainConfig,
    split: Split,
    tick: Tick = unwatched,
    choice: Choice | None = None,
) -> Tokenizer:
    """Return the tokenizer that `tokenize` takes where it is given none.

    It is made for this, unless the corpus was tokenized before; by a `choice` if that is known.
    What `tick` raises ends the work.
    """
    recipe = _recipe(corpus, config, choice_key(corpus, config))
    known = _taken_up(cache_dir() / "tokens" / recipe)
    return known or tokenizer_for(corpus, config, split, tick, choice)[0]


def _recipe(corpus: Corpus, config: TrainConfig, maker: str) -> str:
    """Return the name of the folder for the tokens that `maker` makes of a corpus."""
    by = config.split if len(corpus.store) > 1 else "tail"
    recipe = f"{_FORMAT} {corpus.sha256} {maker} {config.val_fraction!r} {by}"
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


def _write(
    folder: Path, corpus: Corpus, config: TrainConfig, given: Tokenizer | None, tick: Tick
) -> None:
    """Make the folder of a corpus; of a large one what is done outlives a kill."""
    if corpus.bytes <= _LARGE:
        with new_folder(folder) as staging:
            _fill(staging, corpus, config, given, tick)
        return
    part = ensure_dir(folder.with_name(f"{folder.name}.part"))
    with _locked(part, tick):
        if not (folder / "meta.json").exists():  # else another process was about it
            _fill(part, corpus, config, given, tick)
            os.rename(part, folder)


def _locked(folder: Path, tick: Tick) -> Lock:
    """Hold a folder's lock; while another process does the same work, wait for it."""
    while True:
        with suppress(Taken):
            return take(folder / "lock")
        tick("waiting for another process that encodes this text", 0.0)


def _fill(
    folder: Path, corpus: Corpus, config: TrainConfig, given: Tokenizer | None, tick: Tick
) -> None:
    split = split_store(corpus.store, config.val_fraction, config.split)
    tokenizer = given or _taken_up(folder)
    if tokenizer is None:
        tokenizer, choice, notes = tokenizer_for(corpus, config, split, tick)
        tokenizer.save(folder, context=0)
        figures = [each.as_json() for each in choice.figures]
        write_json(folder / "notes.json", {"notes": notes, "tokenizers": figures})
    jobs = (
        Job("train", split.train, opens=True),
        Job("val", split.val, opens=split.by == "documents"),
    )
    encode_spans(corpus.store, jobs, tokenizer, folder, tick)
    train, val = (_array(folder / f"{job.name}.bin", token_dtype(tokenizer)) for job in jobs)
    _refuse_too_short(corpus, split, tokenizer, train)
    measured = split.val if len(val) >= 2 else split.train
    lacking = _left_out(corpus, tokenizer, measured)
    write_json(
        folder / "meta.json",
        {
            "corpus": corpus.sha256,
            "tokenizer": tokenizer.sha256,
            "dtype": train.dtype.name,
            "val_bytes": _measured_bytes(corpus, tokenizer, measured, folder, len(val) >= 2),
            "left_out": lacking[0],
            "left_out_bytes": lacking[1],
        },
    )


def _refuse_long_runs(corpus: Corpus, kind: str) -> None:
    """Raise for what is one word to a vocabulary of pieces: all of it is in memory many times."""
    if kind != "char" and (longest := corpus.store.longest_run(_LONGEST_RUN)):
        raise TuillmError(
            f"{corpus.label} has a run of {size(longest)} in which no word ends, too long to be "
            "cut into pieces",
            "break it into lines (fold -s -w 1000 IN > OUT), or --tokenizer char",
        )


def _taken_up(folder: Path) -> Tokenizer | None:
    """Return the tokenizer of a folder whose making was broken off, if it got so far."""
    with suppress(TuillmError):
        if (folder / "notes.json").exists():  # which is written last
            return load_tokenizer(folder)
    return None


def _refuse_too_short(
    corpus: Corpus, split: Split, tokenizer: Tokenizer, train: NDArray[np.unsignedinteger]
) -> None:
    head = train[:4]  # more than an end of text at either end
    learned = len(train) if len(train) > len(head) else np.count_nonzero(head != tokenizer.eot)
    if learned < 2:
        unwritten = _left_out(corpus, tokenizer, split.train)[0]
        count = f"{learned} token{'' if learned == 1 else 's'}"
        raise TuillmError(
            f"{corpus.label} is too short to learn from: {count}"
            + (
                f", as {unwritten:,} of its characters are not in the vocabulary"
                if unwritten
                else ""
            )
        )


def _measured_bytes(
    corpus: Corpus, tokenizer: Tokenizer, spans: Spans, folder: Path, held_out: bool
) -> int:
    """Return the bytes of text behind the tokens that are measured; special ones are none."""
    if corpus.store.learned is None:
        return spans.bytes
    name = "val" if held_out else "train"
    ids = _array(folder / f"{name}.bin", token_dtype(tokenizer))
    mask = np.memmap(folder / f"{name}.mask", np.bool_, "r")
    lengths = np.array([len(tokenizer.token_bytes(id)) for id in range(tokenizer.vocab_size)])
    piece = 1 << 22
    return sum(
        int(lengths[ids[at : at + piece][mask[at : at + piece]]].sum())
        for at in range(0, len(ids), piece)
    )


def _left_out(corpus: Corpus, tokenizer: Tokenizer, spans: Spans) -> tuple[int, int]:
    """Return how many characters of spans no ids stand for, and how many bytes."""
    characters = size = 0
    if tokenizer.lacks_characters:
        for span in spans:
            for begin, end in corpus.store.cuts(span.begin, span.end):
                found = tokenizer.left_out(corpus.store.text(begin, end))
                characters, size = characters + found[0], size + found[1]
    return characters, size


def _array(path: Path, dtype: np.typing.DTypeLike) -> NDArray[np.unsignedinteger]:
    """Map a file of ids; one without any cannot be mapped."""
    if not path.stat().st_size:
        return np.empty(0, dtype)
    return np.memmap(path, dtype, "r")


def _open(folder: Path, given: Tokenizer | None) -> TokenFiles:
    told = read_json(folder / "meta.json")
    train, val = (_array(folder / f"{name}.bin", told["dtype"]) for name in ("train", "val"))
    masks = [
        np.memmap(path, np.bool_, "r") if (path := folder / f"{name}.mask").exists() else None
        for name in ("train", "val")
        if (folder / f"{name}.bin").stat().st_size
    ]
    total = len(train) + len(val)
    said = read_json(folder / "notes.json") if not given else {"notes": [], "tokenizers": []}
    notes = list(said["notes"])
    if len(val) < 2:
        if len(val):
            notes.append(
                "the text is too short to hold out a part: losses are of the training text"
            )
        else:
            notes.append("nothing is held out: losses are of the training text itself")
        val, masks = train, masks[:1] * 2
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
        train_mask=masks[0] if masks else None,
        val_mask=masks[1] if len(masks) > 1 else None,
        folder=folder,
        total=total,
        figures=tuple(map(TokenizerFigures.from_json, said["tokenizers"])),
    )


def left_out_note(count: int) -> str:
    """Say what becomes of so many characters of a measured text that no ids stand for."""
    return (
        f"{several(count, 'character')} of the text measured cannot be written "
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

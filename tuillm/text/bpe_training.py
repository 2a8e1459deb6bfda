"""Learns the pieces of a byte-level BPE vocabulary from a text; can be ended at any time.

A long text is learned from in a process of its own, `python -P -m tuillm.text.bpe_training
ENTRIES PARENT`: the library cannot be interrupted, a process can. Knows characters and merges;
knows no ids of others.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tuillm.errors import TuillmError
from tuillm.formats.json_text import JsonObject
from tuillm.store.files import disk_error
from tuillm.store.workers.json_lines import last_line, read_answer
from tuillm.store.workers.processes import module_command, module_environment
from tuillm.text.long_blanks import BLANKS
from tuillm.text.progress_tick import Tick, unwatched

# learning takes time with the square of a run's length: longer ones are learned from in parts
# (how a text is *encoded* has no such bound, so ids are what any library makes of the file)
LONGEST_RUN = 256
_KINDS = (r"[^\W\d_]", r"\d", r"[^\w\s]|_", r"\s")
_RUN = re.compile("|".join(rf"(?:{kind}){{{LONGEST_RUN}}}(?={kind})" for kind in _KINDS))
# the library's kinds differ for some signs ("½1½1" is one run for it): this many without a blank
# are the longest of any kind
_UNBROKEN = 4 * LONGEST_RUN
_WORD = re.compile(rf"(?<![^{BLANKS}])[^{BLANKS}]{{{_UNBROKEN + 1},}}+")
# characters that are learned from in less than a second
_INLINE = 500_000
_STAGE = "learning pieces"
_TOLD = 1 << 20


def learn_pieces(
    documents: Sequence[str],
    entries: int,
    cut: Callable[[str], Iterator[str]],
    tick: Tick = unwatched,
) -> JsonObject:
    """Return the vocabulary and merges of `entries` pieces, as `tokenizer.json` holds a model.

    `cut` divides a long text where no piece can span. What `tick` raises ends the work within a
    second or so.
    """
    tick(_STAGE, 0.0)
    if sum(map(len, documents)) <= _INLINE:
        parts = (part for document in documents for part in cut(document))
        return _learn(_bounded(parts), entries)
    return _learn_elsewhere(documents, entries, cut, tick)


def _learn(parts: Iterator[str], entries: int) -> JsonObject:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    trainable = Tokenizer(models.BPE())
    trainable.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=entries,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    trainable.train_from_iterator(parts, trainer)
    model: JsonObject = json.loads(trainable.to_str())["model"]
    return model


def _bounded(parts: Iterator[str]) -> Iterator[str]:
    """Cut runs of one kind of character after every `LONGEST_RUN` of them."""
    for part in _without_long_words(parts):
        start = 0
        for run in _RUN.finditer(part):
            yield part[start : run.end()]
            start = run.end()
        yield part[start:]


def _without_long_words(parts: Iterator[str]) -> Iterator[str]:
    """Cut what has no blank after every `_UNBROKEN` characters."""
    for part in parts:
        start = 0
        for word in _WORD.finditer(part):
            for end in range(word.start() + _UNBROKEN, word.end(), _UNBROKEN):
                yield part[start:end]
                start = end
        yield part[start:]


def _learn_elsewhere(
    documents: Sequence[str], entries: int, cut: Callable[[str], Iterator[str]], tick: Tick
) -> JsonObject:
    with _scratch() as text, _scratch() as told, _scratch() as errors:
        total = _write_parts(text, documents, cut, tick)
        process = subprocess.Popen(
            module_command(__name__, str(entries), str(os.getpid())),
            env=module_environment(),
            stdin=text,
            stdout=told,
            stderr=errors,
        )
        try:
            while process.poll() is None:
                # its place in the text: the two processes share the open file; merging comes after
                tick(_STAGE, min(0.8 * os.lseek(text.fileno(), 0, os.SEEK_CUR) / total, 0.8))
                time.sleep(0.05)
        finally:
            process.kill()
            process.wait()
        if process.returncode:
            raise TuillmError(
                f"learning the pieces broke off (exit code {process.returncode}): "
                f"{last_line(errors) or 'it said nothing'}",
                "is there enough memory? --tokenizer char needs little",
            )
        told.seek(0)
        return read_answer(
            (line.decode("utf-8", "replace") for line in told), "learning the pieces"
        )


@contextmanager
def _scratch() -> Iterator[BinaryIO]:
    """A file without a name; what the disk refuses in the block is a DiskError."""
    folder = Path(tempfile.gettempdir())
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            yield file
    except OSError as error:
        raise disk_error(error, folder) from None


def _write_parts(
    file: BinaryIO, documents: Sequence[str], cut: Callable[[str], Iterator[str]], tick: Tick
) -> int:
    """Write each part behind its length in bytes, and go back to the beginning."""
    told = 0
    for document in documents:
        for part in cut(document):
            content = part.encode()
            file.write(len(content).to_bytes(8, "little"))
            file.write(content)
            if file.tell() - told > _TOLD:  # there may be many short documents
                told = file.tell()
                tick(_STAGE, 0.0)
    total = file.tell()
    file.seek(0)
    return total


def _read_parts(file: BinaryIO) -> Iterator[str]:
    while length := file.read(8):
        yield file.read(int.from_bytes(length, "little")).decode()


def _end_with(parent: int) -> None:
    """End this process when its parent was killed: nobody waits for what it learns."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def main(arguments: list[str]) -> int:
    """Read the parts of a text on stdin, print the model as JSON; return the exit code."""
    threading.Thread(target=_end_with, args=(int(arguments[1]),), daemon=True).start()
    parts = _bounded(_read_parts(open(0, "rb", closefd=False)))
    print(json.dumps(_learn(parts, int(arguments[0]))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

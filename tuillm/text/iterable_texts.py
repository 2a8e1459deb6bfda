"""Texts that a program of a person's own has: an iterable of strings or records as a corpus.

They are written to a table in the cache, as pipes are, and the settings of a run name that file:
whatever reads it later, in other processes too, needs to know nothing of Python. Knows settings and
plain values; reads no text.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tuillm.config import TrainConfig, build_train
from tuillm.config.resolve import ShapeOf
from tuillm.errors import UsageError, brief, one_line
from tuillm.formats.json_text import finite
from tuillm.text.encodings import HALF
from tuillm.text.sources.open_item import LONGEST, MB
from tuillm.text.sources.source_names import PYTHON_TEXTS
from tuillm.text.stdin_pipes import keep_pieces

# paths and addresses as a person names them in Python
Sources = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
Texts = Iterable[str] | Iterable[Mapping[str, object]]

_FIELD = "text"
_BATCH = 1 << 20
_EXAMPLE = 'texts=["one text", "another"], or a generator of them; a file is corpus="book.txt"'


def config_for(
    corpus: Sources,
    texts: Texts | None,
    settings: Mapping[str, object],
    shape_of: ShapeOf | None = None,
) -> TrainConfig:
    """Return the settings of a run on a corpus, or on texts, which are read to their end now.

    Each string is a document, each mapping a record, as a line of a JSONL file would be; halves of
    surrogate pairs become U+FFFD. The settings are checked first. Raises UsageError where neither
    or both are given, for an iterable with nothing in it and for items that are no texts, and as
    `build_train` does; DiskError where the cache has no room. What iterating raises is not caught.
    """
    if texts is None:
        if not corpus:
            raise UsageError("no text was named", _EXAMPLE)
        return build_train({"corpus": corpus} | dict(settings), shape_of=shape_of)
    if corpus:
        raise UsageError("corpus and texts cannot both be given", "leave one of them out")
    _refuse_other(texts)
    config = build_train(settings, shape_of=shape_of)
    lines = _Lines(texts)
    kept: dict[str, object] = {"corpus": (keep_pieces(lines, PYTHON_TEXTS),), "encoding": "utf-8"}
    if lines.kind is str:
        kept |= {"text_field": config.text_field or _FIELD, "as_text": False}
        kept |= {"documents": "record"} if config.documents == "auto" else {}
    return config.model_copy(update=kept)


def _refuse_other(texts: object) -> None:
    """Raise UsageError for what is no iterable, or gives something else than it seems to."""
    if type(texts).__name__ == "DataFrame":
        raise UsageError(
            "texts cannot be a DataFrame, which gives the names of its columns",
            'one column: texts=frame["text"]; all: texts=frame.to_dict("records")',
        )
    if isinstance(texts, str | bytes | Mapping) or not isinstance(texts, Iterable):
        raise UsageError(f"texts cannot be {one_line(brief(texts))}", _EXAMPLE)


class _Lines:
    """The lines of JSON for some texts, in pieces of a megabyte; `kind` is known at the end."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts
        self.kind: type | None = None

    def __iter__(self) -> Iterator[bytes]:
        lines: list[str] = []
        size = 0
        for number, item in enumerate(self._texts, 1):
            lines.append(self._line(item, number))
            size += len(lines[-1])
            if size > _BATCH:
                yield "".join(lines).encode()
                lines, size = [], 0
        if self.kind is None:
            raise UsageError(
                "there is nothing in texts", "a generator can be read only once: make a new one"
            )
        yield "".join(lines).encode()

    def _line(self, item: object, number: int) -> str:
        kind = str if isinstance(item, str) else Mapping if isinstance(item, Mapping) else None
        if kind is None:
            raise UsageError(
                f"item {number:,} of texts is {one_line(brief(item))}",
                "each is a string and a document, or each is a dict and a record",
            )
        self.kind = self.kind or kind
        if kind is not self.kind:
            raise UsageError(
                f"item {number:,} of texts is a {'string' if kind is str else 'dict'}, "
                "unlike those before it",
                "all are strings, or all are dicts",
            )
        try:
            value = finite({_FIELD: item} if isinstance(item, str) else _plain(item))
            line = json.dumps(value, ensure_ascii=False, default=_plain)
        except (TypeError, ValueError, RecursionError) as error:
            raise UsageError(
                f"item {number:,} of texts cannot be written as JSON: {error}",
                "its keys are strings; what it holds are strings, numbers, lists and dicts",
            ) from None
        if len(line) > LONGEST:
            raise UsageError(
                f"item {number:,} of texts is longer than {LONGEST // MB} MB",
                "write it to a file, and name that: corpus=PATH",
            )
        return HALF.sub("\ufffd", line) + "\n"


def _plain(value: object) -> object:
    """Return what JSON has no word for as something that it has: dates, arrays and the like."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    to_list = getattr(value, "tolist", None)  # numpy's numbers and arrays, torch's tensors
    return to_list() if callable(to_list) else str(value)

"""nanoGPT's `meta.pkl`, the characters of a vocabulary, read without unpickling it.

A pickle is a program for a small machine, and some of its steps call whatever they name. Here a
machine of our own knows the few steps that build dictionaries, texts and numbers, and stops at
any other, so nothing in the file can act. Knows nothing of models.
"""

import pickletools
from pathlib import Path
from typing import Any

from tuillm.errors import TuillmError

_CONSTANTS = {"BINUNICODE", "SHORT_BINUNICODE", "UNICODE", "BININT", "BININT1", "BININT2", "INT",
              "LONG1", "LONG"}
_PUT, _GET = {"BINPUT", "LONG_BINPUT", "PUT"}, {"BINGET", "LONG_BINGET", "GET"}
_MARK = object()
_LARGEST = 64 << 20


def read_characters(path: Path) -> list[str]:
    """Return the characters of a `meta.pkl` in the order of their ids.

    Raises TuillmError for a file that is missing, damaged, or holds anything but dictionaries,
    texts and numbers.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise TuillmError(f"{path} is too large for the characters of a text")
        by_id = _plain(path.read_bytes())["itos"]
        characters = [by_id[id] for id in range(len(by_id))]
    except OSError as error:
        raise TuillmError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise TuillmError(f"{path} is not nanoGPT's list of characters: {error}",
                          "name the text itself with --corpus") from None
    if not all(isinstance(each, str) and len(each) == 1 for each in characters):
        raise TuillmError(f"{path} is no vocabulary of single characters")
    if len(set(characters)) < len(characters):
        raise TuillmError(f"{path} gives two ids to one character")
    return characters


def _plain(content: bytes) -> Any:
    """Return what a pickle of plain values builds; raises ValueError at any other step."""
    stack: list[Any] = []
    memo: dict[Any, Any] = {}
    for step, value, _ in pickletools.genops(content):
        name = step.name
        if name in _CONSTANTS:
            stack.append(value)
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "SETITEM":
            item = stack.pop()
            key = stack.pop()
            stack[-1][key] = item
        elif name in ("SETITEMS", "DICT"):
            _set_items(stack, new=name == "DICT")
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in _PUT:
            memo[value] = stack[-1]
        elif name in _GET:
            stack.append(memo[value])
        elif name == "STOP":
            return stack.pop()
        elif name not in ("PROTO", "FRAME"):
            raise ValueError(f"its step {name} builds no plain value")
    raise ValueError("it is cut short")


def _set_items(stack: list[Any], new: bool) -> None:
    """Take keys and values down to the mark and put them into the dictionary below it."""
    items: list[Any] = []
    while (top := stack.pop()) is not _MARK:
        items.append(top)
    items.reverse()
    if new:
        stack.append({})
    stack[-1].update(zip(items[::2], items[1::2], strict=True))

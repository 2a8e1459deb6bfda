"""Pickles of plain values, read without unpickling them: nothing in one can act.

A pickle is a program for a small machine, and some of its steps call whatever they name. Here a
machine of our own knows the steps that build dictionaries, lists, texts and numbers, takes only so
many of them, and looks no name up. What the others shall mean, if anything, its caller decides.
Knows nothing of tensors or of models.
"""

import pickletools
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any, NamedTuple

# what a pickle builds: plain values, and what its caller makes of others; nothing is checked
PickleValue = Any
# a checkpoint of GPT-2 XL with its optimizer takes 50,000; a dictionary takes 64 bytes
MOST_STEPS = 500_000
_CONSTANTS = {
    "BINUNICODE",
    "SHORT_BINUNICODE",
    "BINUNICODE8",
    "UNICODE",
    "STRING",
    "BINSTRING",
    "SHORT_BINSTRING",
    "BININT",
    "BININT1",
    "BININT2",
    "INT",
    "LONG",
    "LONG1",
    "FLOAT",
    "BINFLOAT",
    "BINBYTES",
    "SHORT_BINBYTES",
}
_PLAIN = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_PUT, _GET = {"BINPUT", "LONG_BINPUT", "PUT"}, {"BINGET", "LONG_BINGET", "GET"}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MARK = object()
_LARGEST_KEY = 1 << 60  # beyond, numbers can be chosen so that a dictionary becomes slow


class Named(NamedTuple):
    """What a pickle calls by module and name; it is not looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Forbidden(ValueError):
    """The pickle calls something by name, `named`, that is no part of plain values."""

    def __init__(self, named: object) -> None:
        super().__init__(f"it calls {named}")
        self.named = named


Call = Callable[[Named, tuple[PickleValue, ...]], PickleValue]


def read_pickle(
    content: BytesIO,
    call: Call | None = None,
    stored: Callable[[PickleValue], PickleValue] | None = None,
) -> PickleValue:
    """Return what the pickle at the place of `content` builds, and go on to behind it.

    `call` gives the value of what it calls by name, or raises Forbidden; `stored` that of what lies
    outside the pickle. Without them such steps are refused. Raises ValueError, KeyError,
    IndexError, TypeError or AttributeError for one that is damaged, has other steps or too many.
    """
    machine = _Machine(call, stored)
    for count, (step, value, _) in enumerate(pickletools.genops(content)):
        if count > MOST_STEPS:
            raise ValueError(f"it takes more than {MOST_STEPS:,} steps")
        if step.name == "STOP":
            return machine.stack.pop()
        machine.take(step.name, value)
    raise ValueError("it is cut short")


class _Machine:
    """The stack and the memory of one pickle."""

    def __init__(
        self, call: Call | None, stored: Callable[[PickleValue], PickleValue] | None
    ) -> None:
        self.stack: list[PickleValue] = []
        self._memo: dict[int, PickleValue] = {}
        self._call, self._stored = call, stored

    def take(self, step: str, value: PickleValue) -> None:
        """Do one step; raises ValueError for one that builds no plain value."""
        stack, memo = self.stack, self._memo
        if step in _CONSTANTS:
            stack.append(value)
        elif step in _PLAIN:
            stack.append(_PLAIN[step])
        elif step in _PUT:
            memo[value] = stack[-1]
        elif step in _GET:
            stack.append(memo[value])
        elif step == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif step == "MARK":
            stack.append(_MARK)
        elif not (self._build(step) or self._refer(step, value)) and step not in ("PROTO", "FRAME"):
            raise ValueError(f"its step {step} builds no plain value")

    def _build(self, step: str) -> bool:
        """Make a list, a tuple or a dictionary, or add to one; False for another step."""
        stack = self.stack
        if step == "EMPTY_DICT":
            stack.append({})
        elif step == "EMPTY_LIST":
            stack.append([])
        elif step in _TUPLES:
            items = [stack.pop() for _ in range(_TUPLES[step])]
            stack.append(tuple(reversed(items)))
        elif step == "TUPLE":
            stack.append(tuple(self._to_mark()))
        elif step == "LIST":
            stack.append(self._to_mark())
        elif step == "DICT":
            stack.append(dict(_pairs(self._to_mark())))
        elif step == "SETITEM":
            item, key = stack.pop(), stack.pop()
            stack[-1].update(_pairs([key, item]))
        elif step == "SETITEMS":
            items = self._to_mark()
            stack[-1].update(_pairs(items))
        elif step == "APPEND":
            item = stack.pop()
            stack[-1].append(item)
        elif step == "APPENDS":
            items = self._to_mark()
            stack[-1].extend(items)
        else:
            return False
        return True

    def _refer(self, step: str, value: PickleValue) -> bool:
        """Do a step about something outside plain values, where there may be such."""
        stack = self.stack
        if self._call is None or self._stored is None:
            return False
        if step == "GLOBAL":
            stack.append(Named(*value.split(" ", 1)))
        elif step == "STACK_GLOBAL":
            name, module = stack.pop(), stack.pop()
            stack.append(Named(str(module), str(name)))
        elif step == "REDUCE":
            arguments, what = stack.pop(), stack.pop()
            if not isinstance(what, Named) or not isinstance(arguments, tuple):
                raise Forbidden("what is no name")
            stack.append(self._call(what, arguments))
        elif step == "BINPERSID":
            stack.append(self._stored(stack.pop()))
        elif step == "BUILD":
            stack.pop()  # what stands in an object beside its values
        else:
            return False
        return True

    def _to_mark(self) -> list[PickleValue]:
        """Take what lies above the mark, and the mark."""
        items: list[PickleValue] = []
        while (top := self.stack.pop()) is not _MARK:
            items.append(top)
        items.reverse()
        return items


def _pairs(items: list[PickleValue]) -> Iterator[tuple[str | int, PickleValue]]:
    """Pair keys and values; a key is a name or a number, so that none is slow to look up."""
    for key, item in zip(items[::2], items[1::2], strict=True):
        if not (type(key) is str or type(key) is int and abs(key) < _LARGEST_KEY):
            raise ValueError(f"a key of its dictionaries is a {type(key).__name__}")
        yield key, item

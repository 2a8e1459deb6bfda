"""What a word that nothing here is called most likely means: ours for it, why it is not, a slip.

Knows how an answer is worded; the words of other programs are data in `foreign_words`, and what
there is in a context is told by whoever asks.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING

from tuillm.config import foreign_words
from tuillm.errors import nearest

_NOTHING: dict[str, str] = {}


def pointer(word: str, here: Mapping[str, str], elsewhere: Mapping[str, str] = _NOTHING) -> str:
    """Return words that answer an unknown `word`, or '' when nobody can know what is meant.

    `here` says for each name of ours in this context how it is written there ('--top-k'),
    `elsewhere` for names of other places where they belong ('--top-k of tuillm generate').
    """
    name = plain(word)
    if name in here:
        return f"did you mean {here[name]!r}?"
    for each in (name, name.removeprefix("no_")):
        meant = [each, *_table("OURS").get(each, ())]
        if found := [here[one] for one in meant if one in here]:
            return f"here it is {' or '.join(found)}"
        if reason := _table("NOT_HERE").get(each):
            return f"not here: {reason[0]}"
        if found := [elsewhere[one] for one in meant if one in elsewhere]:
            return f"that is {found[0]}"
    match = nearest(word, here)
    begun = [each for each in here if len(name) > 2 and each.startswith(name)]
    meant = [match] if match else begun if len(begun) < 4 else []
    return f"did you mean {' or '.join(repr(here[each]) for each in meant)}?" if meant else ""


def meant_name(word: str, known: Iterable[str]) -> str:
    """Return the one name of `known` that a word is short or another word for, or ''.

    >>> meant_name("temp", ["temperature", "top_k", "top_p"])
    'temperature'
    """
    name, names = plain(word), list(known)
    begun = [each for each in names if each.startswith(name)] if len(name) > 1 else []
    ours = [each for each in _table("OURS").get(name, ()) if each in names]
    for found in ([name] if name in names else [], ours, begun):
        if len(found) == 1:
            return found[0]
    return ""


def command_pointer(word: str, group: str) -> str:
    """Return the command for a verb of another program that `group` does not have, or ''."""
    found = _read(foreign_words.VERBS.get(group, _NOTHING)).get(plain(word))
    return _as_hint(found[0]) if found else ""


def chat_pointer(word: str) -> str:
    """Return what the chat has for a slash command of another program, or ''."""
    found = _table("CHAT").get(plain(word))
    return found[0] if found else ""


def python_pointer(owner: str, name: str, known: Iterable[str]) -> str:
    """Return words for an attribute that `owner`, the package or one of its classes, lacks."""
    found = _read(foreign_words.PYTHON.get(owner, _NOTHING)).get(name.lower())
    match = "" if found else nearest(name, known)
    return _as_hint(found[0]) if found else f"did you mean {match!r}?" if match else ""


class Answering(type):
    """The type of a class that answers for attributes it lacks, as `Sampler.generate_text`.

    Its instances do so too. Nothing else changes: what is missing is an AttributeError as ever.
    """

    if not TYPE_CHECKING:  # else no checker would find a wrong attribute any more

        def __new__(mcs, name, bases, namespace):
            namespace.setdefault("__getattr__", lambda self, name: _lacks(type(self), name))
            return super().__new__(mcs, name, bases, namespace)

        def __getattr__(cls, name):
            _lacks(cls, name)


def _lacks(owner: type, name: str) -> None:
    """Raise the AttributeError for what a class and its instances lack."""
    known = [each for each in dir(owner) if not each.startswith("_")]
    hint = "" if name.startswith("_") else python_pointer(owner.__name__, name, known)
    words = f"{owner.__name__!r} has no attribute {name!r}" + (f" ({hint})" if hint else "")
    raise AttributeError(words, name=name)  # named already: Python adds no guess of its own


def plain(word: str) -> str:
    """Return a word as the tables have it: in small letters, without dashes before it."""
    return word.strip().lstrip("-/").lower().replace("-", "_").replace(".", "_")


def is_foreign(word: str) -> bool:
    """Whether the tables know a word."""
    return plain(word) in _table("OURS") or plain(word) in _table("NOT_HERE")


def _as_hint(meaning: str) -> str:
    """A sentence stands for itself; what can be typed is introduced."""
    return meaning if meaning.startswith(("there is", "nothing is")) else f"here it is {meaning}"


@cache
def _table(name: str) -> dict[str, list[str]]:
    """A table word by word: names of ours one by one, sentences as they are."""
    table = _read(getattr(foreign_words, name))
    if name != "OURS":
        return table
    return {word: list(dict.fromkeys(" ".join(ours).split())) for word, ours in table.items()}


def _read(rows: Mapping[str, str]) -> dict[str, list[str]]:
    table: dict[str, list[str]] = {}
    for words, meaning in rows.items():
        for word in words.split():
            table.setdefault(word, []).append(meaning)
    return table

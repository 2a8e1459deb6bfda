"""Conversations that are kept: one JSON file each, whose first line is enough to list it.

A file that is not the one its chat has read or written last is never replaced: that chat's
conversation gets an id of its own. Knows names, times and files; what stands in the tree is
`chat`'s business. A damaged file is listed with what is wrong with it and never hides the others.
"""

import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from itertools import count
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from tuillm.errors import TuillmError, UsageError, did_you_mean, one_line
from tuillm.formats.bounded_read import open_regular
from tuillm.formats.json_text import JsonObject, to_json
from tuillm.store.defer_signals import uninterrupted
from tuillm.store.files import hold, write_bytes, write_new
from tuillm.store.paths import data_dir, ensure_dir
from tuillm.store.registry import WEIGHTS, Model

_LONGEST_HEAD = 1 << 16
_LONGEST_NAME = 80
_PATIENCE = 10.0  # seconds; saving takes some milliseconds
# what a head has that does not stand in its file
_NOT_WRITTEN = ("id", "problem", "stamp")


@dataclass(frozen=True)
class SessionHead:
    """What a list of conversations shows of one.

    `weights` and `tokenizer` tell models and vocabularies apart, `mode` is completion or chat,
    `name` is what the person calls it, or '', `title` its first words, `nodes` counts texts and
    replies, times are seconds since 1970. `problem` says in words why it cannot be read, or is ''.
    `stamp` tells the contents of the file that was read or written whole; '' where only the head
    was.
    """

    id: str = ""
    model: str = ""
    weights: str = ""
    tokenizer: str = ""
    mode: str = "completion"
    title: str = ""
    nodes: int = 0
    created: float = 0.0
    updated: float = 0.0
    problem: str = ""
    name: str = ""
    stamp: str = field(default="", compare=False)

    @property
    def label(self) -> str:
        """Its name, if it has one, and its first words."""
        return f"{self.name}: {self.title}" if self.name and self.title else self.name or self.title


@dataclass(frozen=True)
class SavedSession:
    """A whole conversation: its head, the sampling settings, and the tree as JSON."""

    head: SessionHead
    settings: JsonObject = field(default_factory=dict)
    tree: JsonObject = field(default_factory=dict)


def save_session(session: SavedSession) -> SavedSession:
    """Write a conversation in one step and return it with its id, times and stamp.

    Without an id it gets a new one, such as `book-2026-11-21-1`; so it does, and loses its name,
    when the file of its id is not the one that its stamp tells, as another chat has written it
    since. Raises TuillmError when the disk refuses.
    """
    now = time.time()
    head = replace(session.head, updated=now, created=session.head.created or now)
    with uninterrupted(), sessions_lock():
        if head.id and not _is_ours(head):
            head = replace(head, id="", name="")
        content = _content(replace(session, head=head))
        if head.id:
            write_bytes(session_path(head.id), content, private=True)
        else:
            head = replace(head, id=write_under_new_id(content, head.model, now))
    return replace(session, head=replace(head, stamp=_stamp(content)))


def list_sessions(model: str | None = None) -> list[SessionHead]:
    """Return all conversations, or those with one model, the newest first.

    Reads only the first line of each file.
    """
    try:
        entries = [
            entry
            for entry in os.scandir(sessions_dir())
            if entry.name.endswith(".json") and not entry.name.startswith(".")
        ]
    except OSError:
        return []
    heads = [head for entry in entries if (head := _head(Path(entry.path)))]
    chosen = [head for head in heads if model is None or head.model == model]
    return sorted(chosen, key=lambda head: (head.updated, head.id), reverse=True)


def latest(model: str | None = None) -> SessionHead | None:
    """Return the conversation that was saved last and can be read, if there is one."""
    return next((head for head in list_sessions(model) if not head.problem), None)


def find_session(id_or_name: str) -> SessionHead:
    """Return the conversation of this id or name; raises TuillmError naming the nearest."""
    heads = list_sessions()
    wanted = id_or_name.casefold()
    found = (
        [head for head in heads if head.id == id_or_name]
        or [head for head in heads if head.name == id_or_name]
        or [head for head in heads if head.name and head.name.casefold() == wanted]
    )
    if len(found) > 1:
        raise TuillmError(
            f"{len(found)} conversations are named {id_or_name!r}",
            f"by their ids: {', '.join(head.id for head in found)}",
        )
    if not found:
        raise _unknown(id_or_name, heads)
    return found[0]


def load_session(id: str) -> SavedSession:
    """Return one conversation; raises TuillmError naming the nearest, or what is damaged."""
    path = _found(id)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TuillmError(f"cannot read {path}: {error.strerror}") from None
    read = session_of(content, path)
    return replace(read, head=replace(read.head, id=id, stamp=_stamp(content)))


def session_of(content: bytes, path: Path) -> SavedSession:
    """Return the conversation in the contents of a file; raises TuillmError for a damaged one."""
    try:
        values = json.loads(content)
        head = _checker().validate_python(values["session"])
        settings, tree = dict(values["settings"]), dict(values["tree"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise TuillmError(f"{path} is damaged: {_words(error)}") from None
    return SavedSession(replace(head, problem="", stamp=""), settings, tree)


def check_session_name(name: str, of: SessionHead | None = None) -> str:
    """Return a name that the conversation `of` may have, on one line.

    Raises UsageError for one that is too long, or that another conversation has.
    """
    name = one_line(name)
    if not 0 < len(name) <= _LONGEST_NAME:
        raise UsageError(f"{name!r} cannot be a name", f"1 to {_LONGEST_NAME} characters")
    for head in list_sessions():
        if name.casefold() in (head.id.casefold(), head.name.casefold()) and (
            of is None or head.id != of.id
        ):
            raise UsageError(f"{name!r} is the name of {head.id} already", "choose another name")
    return name


def remove_session(id: str) -> None:
    """Remove one conversation for good; raises TuillmError naming the nearest."""
    path = _found(id)
    try:
        path.unlink()
    except OSError as error:
        raise TuillmError(f"cannot remove {path}: {error.strerror}") from None


@contextmanager
def sessions_lock() -> Iterator[None]:
    """Hold what whoever writes a conversation holds; raises TuillmError when that takes long."""
    busy = TuillmError("another tuillm is writing conversations", "try again")
    with hold(ensure_dir(data_dir()) / "chats.lock", lambda: busy, _PATIENCE):
        yield


def write_under_new_id(content: bytes, model: str, now: float) -> str:
    """Write a conversation with a model under a free id, which is returned.

    The id is taken by the whole file, where the disk knows links; else an empty one comes first.
    """
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", model[:64]).strip(".-") or "chat"
    day = time.strftime("%Y-%m-%d", time.localtime(now))
    ids = (f"{name}-{day}-{number}" for number in count(1))
    return next(
        id
        for id in ids
        if not os.path.lexists(session_path(id))
        and write_new(session_path(id), content, private=True)
    )


def weights_of(model: Model) -> str:
    """Return what tells a model's weights from those it has after another training.

    A model that is renamed or copied stays the same.
    """
    card = model.card
    if card.created:
        return f"{card.run or card.origin} {card.created:.3f}"
    try:
        found = (model.path / WEIGHTS).stat()
    except OSError:
        return ""
    return f"{found.st_size} bytes of {found.st_mtime:.3f}"


def sessions_dir() -> Path:
    """Where conversations are."""
    return data_dir() / "chats"


def session_path(id: str) -> Path:
    """The file of a conversation, which may not be there."""
    return sessions_dir() / f"{id}.json"


def _is_ours(head: SessionHead) -> bool:
    """Whether a conversation's file is the one that its chat knows, or has gone."""
    path = session_path(head.id)
    try:
        return _stamp(path.read_bytes()) == head.stamp
    except FileNotFoundError:
        return True
    except OSError as error:
        raise TuillmError(f"cannot read {path}: {error.strerror}") from None


def _content(session: SavedSession) -> bytes:
    known = {key: value for key, value in asdict(session.head).items() if key not in _NOT_WRITTEN}
    # the first line, up to its comma, is a JSON object but for the last bracket
    lines = [
        f'{{"session": {to_json(known)}',
        f'"settings": {to_json(session.settings)}',
        f'"tree": {to_json(session.tree)}}}\n',
    ]
    return ",\n".join(lines).encode()


def _stamp(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _found(id: str) -> Path:
    if id != Path(id).name or id.startswith(".") or not os.path.isfile(session_path(id)):
        raise _unknown(id, list_sessions())
    return session_path(id)


def _unknown(id: str, heads: list[SessionHead]) -> TuillmError:
    known = [name for head in heads for name in (head.id, head.name) if name]
    short = id if len(id) <= _LONGEST_NAME else f"{id[:_LONGEST_NAME]}…"
    return TuillmError(
        f"no conversation {short!r}",
        did_you_mean(id[:_LONGEST_NAME], known, "those there are: /sessions in the chat"),
    )


def _head(path: Path) -> SessionHead | None:
    """Return the head of a file from its first line, or from all of it if another wrote it."""
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            line = file.readline(_LONGEST_HEAD)
        if not line:
            return None
        try:
            values = json.loads(line.rstrip().removesuffix(b",") + b"}")
        except (ValueError, RecursionError):
            return replace(session_of(path.read_bytes(), path).head, id=path.stem)
        known = _checker().validate_python(values["session"])
        return replace(known, id=path.stem, problem="", stamp="")
    except TuillmError as error:
        problem = error.message
    except OSError as error:
        problem = f"{path} cannot be read: {error.strerror}"
    except (ValidationError, KeyError, TypeError) as error:
        problem = f"{path} is damaged: {_words(error)}"
    return SessionHead(id=path.stem, problem=problem)


@cache
def _checker() -> TypeAdapter[SessionHead]:
    """Return what checks heads; making it takes longer than reading a file."""
    return TypeAdapter(SessionHead)


def _words(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return f"{error} is missing" if isinstance(error, KeyError) else "it is no conversation"

"""Conversations that are kept: one JSON file each, whose first line is enough to list it.

Knows names, times and files; what stands in the tree is `chat`'s business. A damaged file is
listed with what is wrong with it and never hides the others.
"""

import json
import os
import re
import time
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tuillm.errors import TuillmError, did_you_mean
from tuillm.store.files import disk_error, read_json, write_text
from tuillm.store.models import WEIGHTS, Model
from tuillm.store.paths import data_dir, ensure_dir

_LONGEST_HEAD = 1 << 16


@dataclass(frozen=True)
class SessionHead:
    """What a list of conversations shows of one.

    `weights` and `tokenizer` tell models and vocabularies apart, `mode` is completion or chat,
    `nodes` counts texts and replies, times are seconds since 1970. `problem` says in words why it
    cannot be read, or is ''.
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


@dataclass(frozen=True)
class SavedSession:
    """A whole conversation: its head, the sampling settings, and the tree as JSON."""

    head: SessionHead
    settings: dict[str, Any] = field(default_factory=dict)
    tree: dict[str, Any] = field(default_factory=dict)


def save_session(session: SavedSession) -> SavedSession:
    """Write a conversation in one step and return it with its id and times.

    Without an id it gets a new one, such as `book-2026-11-21-1`. Raises TuillmError when the disk
    refuses.
    """
    now = time.time()
    head = replace(session.head, updated=now, created=session.head.created or now)
    if not head.id:
        head = replace(head, id=_claim(head.model, now))
    known = {key: value for key, value in asdict(head).items() if key not in ("id", "problem")}
    # the first line, up to its comma, is a JSON object but for the last bracket
    lines = [f'{{"session": {_plain(known)}', f'"settings": {_plain(session.settings)}',
             f'"tree": {_plain(session.tree)}}}\n']
    write_text(_path(head.id), ",\n".join(lines))
    return replace(session, head=head)


def list_sessions(model: str | None = None) -> list[SessionHead]:
    """Return all conversations, or those with one model, the newest first.

    Reads only the first line of each file.
    """
    try:
        entries = [entry for entry in os.scandir(_folder())
                   if entry.name.endswith(".json") and not entry.name.startswith(".")]
    except OSError:
        return []
    heads = [head for entry in entries if (head := _head(Path(entry.path)))]
    chosen = [head for head in heads if model is None or head.model == model]
    return sorted(chosen, key=lambda head: (head.updated, head.id), reverse=True)


def latest(model: str | None = None) -> SessionHead | None:
    """Return the conversation that was saved last and can be read, if there is one."""
    return next((head for head in list_sessions(model) if not head.problem), None)


def load_session(id: str) -> SavedSession:
    """Return one conversation; raises TuillmError naming the nearest, or what is damaged."""
    path = _found(id)
    values = read_json(path)
    try:
        head = _checker().validate_python(values["session"])
        settings, tree = dict(values["settings"]), dict(values["tree"])
    except (ValidationError, KeyError, TypeError, ValueError) as error:
        raise TuillmError(f"{path} is damaged: {_words(error)}") from None
    return SavedSession(replace(head, id=id, problem=""), settings, tree)


def remove_session(id: str) -> None:
    """Remove one conversation for good; raises TuillmError naming the nearest."""
    path = _found(id)
    try:
        path.unlink()
    except OSError as error:
        raise TuillmError(f"cannot remove {path}: {error.strerror}") from None


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


def _folder() -> Path:
    return data_dir() / "chats"


def _path(id: str) -> Path:
    return _folder() / f"{id}.json"


def _found(id: str) -> Path:
    if id != Path(id).name or id.startswith(".") or not _path(id).is_file():
        known = [head.id for head in list_sessions()]
        raise TuillmError(f"no conversation {id!r}",
                          did_you_mean(id, known, "those there are: /sessions in the chat"))
    return _path(id)


def _claim(model: str, now: float) -> str:
    """Return a free id and take it by an empty file, which lists pass over."""
    ensure_dir(_folder())
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", model).strip(".-") or "chat"
    day = time.strftime("%Y-%m-%d", time.localtime(now))
    number = 1
    while True:
        id = f"{name}-{day}-{number}"
        try:
            os.close(os.open(_path(id), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
            return id
        except FileExistsError:
            number += 1
        except OSError as error:
            raise disk_error(error, _path(id)) from None


def _head(path: Path) -> SessionHead | None:
    """Return the head of a file from its first line, or from all of it if another wrote it."""
    try:
        with path.open("rb") as file:
            line = file.readline(_LONGEST_HEAD)
        if not line:
            return None
        try:
            values = json.loads(line.rstrip().removesuffix(b",") + b"}")
        except ValueError:
            values = read_json(path)
        known = _checker().validate_python(values["session"])
        return replace(known, id=path.stem, problem="")
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


def _plain(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace").decode()  # a path may hold what is no text


def _words(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return f"{error} is missing" if isinstance(error, KeyError) else "it is no conversation"

"""Finds what a person's words for a text lead to: files, folders, archives, addresses, pipes.

The order is that of the words, of names in folders, of the list in archives: the same on every
machine. Knows places and what a text begins like; reads none.
"""

import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

from tuillm.errors import TuillmError
from tuillm.text.encodings import looks_like_text
from tuillm.text.file_types import recognize, recognize_binary
from tuillm.text.progress_tick import Enough, Tick, unwatched
from tuillm.text.sources.archives import HEAD, archive_entries, archive_kind, hidden, zip_document
from tuillm.text.sources.items import Item, Skipped, shown_path
from tuillm.text.sources.name_patterns import path_matcher
from tuillm.text.sources.seekable import DiskFile, UnreadableError
from tuillm.text.sources.source_names import kind_words, missing_source, no_file, shown_source
from tuillm.text.web_cache import DAY, charset_of, download
from tuillm.urls import is_dataset, is_url
from tuillm.user_paths import user_path

_STAGE = "looking for texts"


def find_items(
    sources: Sequence[str],
    pattern: str = "",
    tick: Tick = unwatched,
    *,
    as_text: bool = False,
    max_age: float = DAY,
    note: Callable[[str], None] = lambda words: None,
) -> tuple[list[Item], list[Skipped]]:
    """Return the texts that the sources lead to, and the files among them that are none.

    `pattern` (see `path_matcher`) chooses from what folders and archives hold. `as_text` passes
    over nothing that is text by its bytes (RTF, SVG), and takes a web page for what was asked for.
    Of an address the server is asked again when the copy of it is older than `max_age` seconds;
    `note` is told when it could not be asked, and the copy is taken. `tick` may end the work, by
    `Enough` with what was found so far.

    Raises TuillmError for a source that is missing or cannot be read, a pipe or device, a folder or
    archive without a text, an archive that `archive_entries` refuses, an address that `download`
    refuses; UsageError for a pattern that cannot be.
    """
    finder = _Finder(pattern, as_text)
    with suppress(Enough):
        for number, source in enumerate(sources):
            finder.tick = partial(tick, _STAGE, number / len(sources))
            finder.tick()
            if is_dataset(source):
                finder.items.append(Item(shown_source(source), partial(_no_bytes, source)))
            elif is_url(source):
                path = download(source, as_text=as_text, max_age=max_age, note=note)
                finder.add(path, shown_source(source), charset_of(source))
            else:
                finder.add(user_path(source), shown_source(source), "")
        tick(_STAGE, 1.0)
    return finder.items, finder.skipped


def _no_bytes(source: str) -> BinaryIO:
    raise TuillmError(f"{source} has records and no bytes")


class _Finder:
    """What has been found so far."""

    def __init__(self, pattern: str, as_text: bool) -> None:
        self.items: list[Item] = []
        self.skipped: list[Skipped] = []
        self.tick: Callable[[], None] = lambda: None
        self._pattern, self._as_text = pattern, as_text
        self._wanted = path_matcher(pattern)

    def add(self, path: Path, shown: str, charset: str) -> None:
        """Add what one source leads to; raises for what is nothing."""
        before, passed = len(self.items), len(self.skipped)
        try:
            found = os.stat(path)
            if stat.S_ISDIR(found.st_mode):
                self._add_folder(path, shown.rstrip("/") or shown)
            elif not stat.S_ISREG(found.st_mode):
                raise no_file(found.st_mode, shown)
            elif not self._add_archive(file := DiskFile(path, shown), found.st_size):
                self.items.append(Item(shown, file, found.st_size, charset))
        except FileNotFoundError:
            raise missing_source(path, shown) from None
        except OSError as error:
            raise TuillmError(f"cannot read {shown}: {error.strerror}") from None
        if len(self.items) == before:
            raise self._nothing(shown, self.skipped[passed:])

    def _add_folder(self, folder: Path, shown: str) -> None:
        for path, inside, reason in _files_below(folder):
            self.tick()
            name = f"{shown.rstrip('/')}/{shown_path(inside)}"
            if not reason:
                try:
                    reason = self._add_file(path, inside, name)
                except OSError as error:
                    reason = f"cannot be read: {error.strerror}"
                except UnreadableError as error:
                    reason = error.reason(name)
            if reason:
                self.skipped.append(Skipped(name, reason))

    def _add_file(self, path: Path, inside: str, name: str) -> str:
        """Add a file of a folder, or return why not; '' also for one that is not wanted."""
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            return kind_words(found.st_mode)
        file = DiskFile(path, name)
        if self._add_archive(file, found.st_size, inside) or not self._wanted(inside):
            return ""
        if reason := self._no_text(_head(file)):
            return reason
        self.items.append(Item(name, file, found.st_size, named=False))
        return ""

    def _add_archive(self, file: DiskFile, size: int, inside: str = "") -> bool:
        """Add what a file holds, which was named, or lies `inside` a folder.

        Return False for one that is no archive.
        """
        kind = archive_kind(_head(file))
        document = zip_document(file) if kind == "zip" else None
        if document and inside and not document.readable:
            if self._wanted(inside):
                self.skipped.append(Skipped(file.shown, document.what))
            return True
        if not kind or document:
            return False
        items, skipped = [], []
        for entry in archive_entries(file, size, kind, self._no_text, self.tick):
            if isinstance(entry, Skipped):
                skipped.append(entry)
            elif self._is_meant(inside, entry.paths):
                alone = not inside and len(entry.paths) == 1 and entry.size is None
                items.append(Item(entry.name, entry.open, entry.size, named=alone))
        # only now: of one that is damaged nothing is taken
        self.items += items
        self.skipped += skipped
        return True

    def _is_meant(self, inside: str, paths: Sequence[str]) -> bool:
        """Whether the pattern is for a file in an archive, or for the archive itself."""
        if not inside:
            return any(map(self._wanted, paths))
        return self._wanted(inside) or any(self._wanted(f"{inside}/{path}") for path in paths)

    def _no_text(self, head: bytes) -> str:
        """Say why a file that begins so is passed over, or ''."""
        if not head:
            return "empty"
        text = looks_like_text(head)
        if found := recognize_binary(head) if text and self._as_text else recognize(head):
            return "" if found.readable else found.what
        return "" if text else "binary"

    def _nothing(self, shown: str, skipped: Sequence[Skipped]) -> TuillmError:
        counts = Counter(one.reason for one in skipped).most_common(4)
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in counts)
        what = f"no text that {self._pattern!r} is for" if self._pattern else "no text"
        return TuillmError(
            f"{shown} holds {what}",
            f"passed over: {reasons}" if reasons else "name a file, or another folder",
        )


def _files_below(folder: Path) -> Iterator[tuple[Path, str, str]]:
    """Yield each file below a folder, its path inside, and why it is passed over, or ''.

    Links to files are followed, those to folders are not, so that none leads in a circle. Raises
    OSError for the folder itself.
    """
    waiting = _below(folder, "")[::-1]
    while waiting:
        path, inside, reason = waiting.pop()
        try:
            if not reason and stat.S_ISDIR(os.lstat(path).st_mode):
                waiting += _below(path, f"{inside}/")[::-1]
                continue
        except OSError as error:
            reason = f"cannot be read: {error.strerror}"
        yield path, inside, reason


def _below(folder: Path, inside: str) -> list[tuple[Path, str, str]]:
    """Return what a folder holds, by name: a name of equal letters is in the same place always."""
    names = sorted(os.listdir(folder), key=lambda name: (unicodedata.normalize("NFC", name), name))
    return [(folder / name, inside + name, _passed_over(folder / name)) for name in names]


def _passed_over(path: Path) -> str:
    if hidden(path.name):
        return "hidden"
    if path.is_symlink():
        try:
            return "a link to a folder" if stat.S_ISDIR(os.stat(path).st_mode) else ""
        except OSError:
            return "a link that leads nowhere"
    return ""


def _head(file: DiskFile) -> bytes:
    with file.open() as stream:
        return stream.read(HEAD)

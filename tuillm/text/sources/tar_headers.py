"""The list of a tar archive: what is in it, and at which byte of it.

Written for archives of strangers: a header of any length or nesting costs no more than it has
bytes, where the library's reader takes it all into memory. Knows ustar, GNU's and the POSIX (pax)
format; takes out nothing.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from tuillm.text.sources.items import shown_path
from tuillm.text.sources.seekable import UnreadableError

BLOCK = 512
_LONGEST_HEADER = 1 << 20
_KINDS = {
    **dict.fromkeys("0\0" + "7", "file"),
    **dict.fromkeys("12", "a link"),
    **dict.fromkeys("346", "a device"),
    "5": "folder",
    "S": "a sparse file",
}
_SPARSE = b"GNU.sparse."
_RECORD = re.compile(rb"(\d{1,7}) ([^=]{1,200})=")


class Forward(Protocol):
    """Bytes in order: `read` the next ones, or `go_to` a position, which tells if there is one."""

    def read(self, size: int) -> bytes: ...
    def go_to(self, offset: int) -> bool: ...


@dataclass(frozen=True)
class TarMember:
    """Something in a tar archive; `kind` is `file`, `folder`, or what it is instead."""

    path: str
    kind: str
    offset: int
    size: int


def is_tar(head: bytes) -> bool:
    """Whether a file that begins with these bytes, of which 512 are wanted, is a tar archive."""
    return len(head) >= BLOCK and _checked(head[:BLOCK]) and any(head[:100])


def tar_members(archive: Forward, shown: str) -> Iterator[TarMember]:
    """Yield what is in a tar archive; whoever takes a member may read on from its `offset`.

    Raises UnreadableError where it is damaged or cut off.
    """
    at, path = 0, ""
    told: dict[bytes, bytes] = {}
    everywhere: dict[bytes, bytes] = {}
    while True:
        if not archive.go_to(at):
            raise _cut(shown, path)
        header = archive.read(BLOCK)
        if not any(header):  # its end, or that of the file
            return
        if len(header) < BLOCK:
            raise _cut(shown, path)
        if not _checked(header):
            raise UnreadableError(f"{shown} is damaged{_behind(path)}", "fetch or copy it again")
        kind, size = chr(header[156]), _number(header[124:136], shown)
        at += BLOCK
        if kind in "xXgLK":
            about = _long(archive, size, shown, path)
            at += _blocks(size)
            if kind in "xX":
                told = told | _records(about)
            elif kind == "g":
                everywhere = everywhere | _records(about)
            elif kind == "L":
                told = told | {b"path": about.split(b"\0")[0]}
            continue
        facts, told = everywhere | told, {}
        path = _text(facts.get(b"path") or _name(header))
        size = _told_size(facts, size)
        if kind == "S":
            at = _behind_sparse_map(archive, header, at)
        yield TarMember(path, _kind(kind, path, facts), at, size)
        if kind not in "123456":  # which have no content, whatever their headers say
            at += _blocks(size)


def _kind(kind: str, path: str, facts: dict[bytes, bytes]) -> str:
    if _SPARSE in facts:
        return "a sparse file"
    found = _KINDS.get(kind, "no file")
    return "folder" if found == "file" and path.endswith("/") else found


def _long(archive: Forward, size: int, shown: str, path: str) -> bytes:
    """Return what stands in a header that is longer than a block."""
    if size > _LONGEST_HEADER:
        raise UnreadableError(f"{shown} is damaged: the name of a file in it has {size:,} bytes")
    content = archive.read(size)
    if len(content) < size:
        raise _cut(shown, path)
    return content


def _records(content: bytes) -> dict[bytes, bytes]:
    """Return what counts of the records `LENGTH KEY=VALUE` of a pax header."""
    records, at = {}, 0
    while found := _RECORD.match(content, at):
        end = at + int(found[1])
        if end <= found.end():
            break
        key = _SPARSE if found[2].startswith(_SPARSE) else found[2]
        if key in (b"path", b"size", _SPARSE):
            records[key] = content[found.end() : end - 1]
        at = end
    return records


def _told_size(facts: dict[bytes, bytes], size: int) -> int:
    told = facts.get(b"size", b"")
    return int(told) if re.fullmatch(rb"\d{1,18}", told) else size


def _behind_sparse_map(archive: Forward, header: bytes, at: int) -> int:
    """Return where the content of a sparse file in GNU's old form begins."""
    more = header[482]
    while more:
        block = archive.read(BLOCK)
        at += BLOCK
        more = block[504] if len(block) == BLOCK else 0
    return at


def _name(header: bytes) -> bytes:
    name, prefix = header[:100].split(b"\0")[0], header[345:500].split(b"\0")[0]
    return prefix + b"/" + name if prefix and header[257:263] == b"ustar\0" else name


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _number(field: bytes, shown: str) -> int:
    """Return a size: octal digits, or GNU's and star's form for large ones."""
    if field[0] == 0x80 and not any(field[1:4]):
        return int.from_bytes(field[4:], "big") & (1 << 62) - 1
    digits = field.strip(b" \0")
    if not re.fullmatch(rb"[0-7]*", digits):
        raise UnreadableError(f"{shown} is damaged: it tells an odd size of a file")
    return int(digits or b"0", 8)


def _checked(header: bytes) -> bool:
    """Whether a header's checksum is right, which old programs made with signed bytes."""
    told = re.fullmatch(rb" *([0-7]+)[ \0]*", header[148:156])
    if not told:
        return False
    fields = header[:148] + b" " * 8 + header[156:]
    high = sum(fields.count(byte) for byte in range(128, 256)) if max(fields) > 127 else 0
    return int(told[1], 8) in (sum(fields), sum(fields) - 256 * high)


def _blocks(size: int) -> int:
    """Return the length of some content with what fills its last block."""
    return -(-size // BLOCK) * BLOCK


def _cut(shown: str, path: str) -> UnreadableError:
    return UnreadableError(f"{shown} is cut off{_behind(path)}", "fetch or copy it again")


def _behind(path: str) -> str:
    return f" in or behind {shown_path(path)}" if path else ""

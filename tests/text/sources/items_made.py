"""Items out of bytes and files, as the tests of their readers need them."""

from io import BytesIO
from pathlib import Path

from tuillm.text.sources.items import Item


def item_of(content, name="table.jsonl", charset=""):
    """An item that holds some bytes, or a text as UTF-8."""
    content = content.encode() if isinstance(content, str) else content
    return Item(name, lambda: BytesIO(content), len(content), charset)


def item_at(path):
    """The item that a file on the disk is."""
    path = Path(path)
    return Item(path.name, lambda: path.open("rb"), path.stat().st_size)


class Dribble(BytesIO):
    """A stream that cannot be sought in and gives a few bytes at a time, as connections do."""

    def read(self, most=-1):
        return super().read(min(most, 7919) if most >= 0 else most)

    def seekable(self):
        return False

    def seek(self, *place):
        raise OSError("this stream has no places")


def dribbling(content, name):
    """An item whose bytes come as from a connection."""
    return Item(name, lambda: Dribble(content))

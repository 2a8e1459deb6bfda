"""Which version a server has called a cached file, kept beside it.

Knows one small file; asks nobody.
"""

from pathlib import Path

from tuillm.errors import TuillmError
from tuillm.formats.bounded_read import MB, read_object
from tuillm.formats.json_text import to_json
from tuillm.text.web_remote import Version

_FILE = ".version"


def keep_version(target: Path, version: Version) -> None:
    """Note the version of a file, or that its server has named none; raises OSError."""
    path = target.parent / _FILE
    if version == Version():
        path.unlink(missing_ok=True)
    else:
        told = {"etag": version.etag, "modified": version.modified}
        path.write_text(to_json(told), encoding="utf-8")


def kept_version(target: Path) -> Version:
    """Return the version of a cached file; an empty one where it is not known."""
    try:
        told = read_object(target.parent / _FILE, MB)
    except TuillmError:
        return Version()
    values = [told.get(key) for key in ("etag", "modified")]
    return Version(*(value if isinstance(value, str) else "" for value in values))

"""Finds the tokens of a corpus again, by the contents of the text and by the tokenizer.

Knows the folders of the cache that `tokens` writes; makes none.
"""

from dataclasses import dataclass
from pathlib import Path

from tuillm.errors import TuillmError
from tuillm.store.files import read_json
from tuillm.store.paths import cache_dir

_DTYPES = ("uint8", "uint16", "uint32")


@dataclass(frozen=True)
class TokenFolder:
    """A folder with the file `train` of a corpus's ids to learn, which are of this `dtype`."""

    folder: Path
    dtype: str

    @property
    def train(self) -> Path:
        """The file of ids."""
        return self.folder / "train.bin"


def token_folders(corpus_sha256: str, tokenizer_sha256: str) -> list[TokenFolder]:
    """Return the folders in the cache with a corpus in the tokens of a tokenizer.

    They differ in what is held out. Those that cannot be read are left out.
    """
    found = []
    try:
        entries = sorted((cache_dir() / "tokens").glob("*/meta.json"))
    except OSError:
        return []
    for path in entries:
        try:
            told = read_json(path)
        except (TuillmError, OSError):
            continue
        same = (told.get("corpus"), told.get("tokenizer")) == (corpus_sha256, tokenizer_sha256)
        if same and told.get("dtype") in _DTYPES:
            found.append(TokenFolder(path.parent, str(told["dtype"])))
    return found

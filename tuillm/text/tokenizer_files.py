"""The tokenizer of a model folder, of whichever kind its files are.

Knows files and which kind reads them; cuts no text.
"""

from contextlib import suppress
from pathlib import Path

from tuillm.errors import TuillmError
from tuillm.formats.bounded_read import VOCABULARY_BYTES, read_bounded
from tuillm.formats.json_text import JsonObject
from tuillm.store.chat_template import read_template
from tuillm.store.files import read_json
from tuillm.text.eos_ids import added_of_older, ends_named
from tuillm.text.library_tokenizer import LibraryTokenizer
from tuillm.text.tiktoken_tokenizer import TiktokenTokenizer
from tuillm.text.tokenizer import Tokenizer
from tuillm.text.tokenizer_json import byte_level_spec

# what contents that are no tokenizer's come to
_ODD = (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)


def load_tokenizer(folder: Path, file: Path | None = None) -> Tokenizer:
    """Return the tokenizer of a model folder.

    Reads `tokenizer.json`, or GPT-2's older pair `vocab.json` and `merges.txt`, or `file`, one of
    the first kind; what ends a text, the files of the folder tell. Raises TuillmError when they
    are missing, damaged or of a kind tuillm does not know.
    """
    whole, older = file or folder / "tokenizer.json", folder / "merges.txt"
    what = str(whole)
    try:
        if whole.exists() or not older.exists():
            return _with_ends(read_json(whole, VOCABULARY_BYTES), folder)
        what = f"{older} or vocab.json beside it"
        merges = read_bounded(older, VOCABULARY_BYTES).decode()
        vocab = read_json(folder / "vocab.json", VOCABULARY_BYTES)
        spec = byte_level_spec(vocab, merges)
        known = {entry["content"] for entry in spec["added_tokens"]}
        spec["added_tokens"] += [
            entry for entry in added_of_older(folder) if entry["content"] not in known
        ]
        return _with_ends(spec, folder)
    except _ODD as error:
        raise TuillmError(f"{what} is damaged: {type(error).__name__}: {error!s:.200}") from None


def _with_ends(spec: JsonObject, folder: Path) -> Tokenizer:
    """Return the tokenizer of a `tokenizer.json` whose end the files of a folder tell."""
    kind, tokenizer = _kind(spec)
    ids = spec["model"]["vocab"] | {name: id for id, name in tokenizer.names.items()}
    ends = ends_named(folder, ids.get, tokenizer.is_mark)
    if ends and ends != (tokenizer.eot,):
        tokenizer = kind(spec, ends)
    if isinstance(tokenizer, LibraryTokenizer):
        tokenizer.open(folder / "tokenizer_config.json")
    template = ""
    with suppress(TuillmError):  # a template that cannot be used is as good as none
        template = read_template(folder)
    return tokenizer.with_template(template)


def _kind(spec: JsonObject) -> tuple[type[TiktokenTokenizer | LibraryTokenizer], Tokenizer]:
    """Return which kind computes it, and that: ours where it can, for it is the faster one."""
    try:
        return TiktokenTokenizer, TiktokenTokenizer(spec)
    except TuillmError:
        return LibraryTokenizer, LibraryTokenizer(spec)

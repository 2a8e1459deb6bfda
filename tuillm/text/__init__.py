"""From a person's text to tokens on disk: sources, tokenizer, token files.

Knows bytes, characters and ids; knows neither torch nor models. The names are imported on first
use, so that whoever only looks at a text loads no tokenizer.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tuillm.text.corpus import Corpus, read_corpus
    from tuillm.text.new_tokenizer import make_tokenizer
    from tuillm.text.tokenizer import Tokenizer
    from tuillm.text.tokenizer_files import load_tokenizer
    from tuillm.text.tokens import TokenFiles, tokenize

__all__ = [
    "Corpus",
    "TokenFiles",
    "Tokenizer",
    "load_tokenizer",
    "make_tokenizer",
    "read_corpus",
    "tokenize",
]
_HOMES = {
    "Corpus": "corpus",
    "TokenFiles": "tokens",
    "Tokenizer": "tokenizer",
    "load_tokenizer": "tokenizer_files",
    "make_tokenizer": "new_tokenizer",
    "read_corpus": "corpus",
    "tokenize": "tokens",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

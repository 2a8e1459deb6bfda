"""From a person's text to tokens on disk: sources, tokenizer, token files.

Knows bytes, characters and ids; knows neither torch nor models.
"""

from tuillm.text.new_tokenizer import make_tokenizer
from tuillm.text.sources import Corpus, read_corpus
from tuillm.text.tokenizer import Tokenizer, load_tokenizer
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

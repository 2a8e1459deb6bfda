"""What a tokenizer is to the rest of the program: text to ids and back, whatever cuts the text.

Two kinds of them: tuillm's own and GPT-2's (`tiktoken_tokenizer`), and those of other families, as
the `tokenizers` library computes them (`library_tokenizer`). Tokens are byte strings, not
characters: only a decoder that keeps state may turn them into text one by one.
"""

import codecs
import copy
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import tiktoken

from tuillm.errors import TuillmError
from tuillm.formats.json_text import JsonObject
from tuillm.text.added_tokens import AddedToken
from tuillm.text.tokenizer_json import END_OF_TEXT

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SLICE = 1 << 20
# or before a mark that ends a clause where no blanks are written
_BEHIND_WORD = re.compile(r"\S[ \n]|\w[。，、！？；：]")


class Tokenizer(ABC):
    """Text to ids and back.

    `kind` is char, bpe or gpt2 for our own, hf for those of other families; `spec` is what stands
    in its `tokenizer.json`. `eot` is the id that ends a text, or None; `ends` are all that end a
    reply; `names` are the contents of added tokens by id. `n_vocab` is one more than the largest
    id that a text, or its end, can come to; `vocab_size` counts special tokens as well.
    `chat_template` is the Jinja program that lies beside it, or "".
    """

    kind: str
    spec: JsonObject
    n_vocab: int
    vocab_size: int
    chat_template = ""

    def _take_marks(
        self, ids: Mapping[str, int], added: Sequence[AddedToken], ends: Sequence[int] | None
    ) -> None:
        """Set which ids end a text, and the names of those that stand for no piece of text.

        `ids` is the vocabulary; without `ends` the end is '<|endoftext|>', if it is added.
        """
        default = tuple(token.id for token in added if token.content == END_OF_TEXT)
        ends = default if ends is None else tuple(ends)
        self.eot, self.ends = next(iter(ends), None), frozenset(ends)
        self._told = "" if default[:1] == ends[:1] else str(self.eot)
        names = {id: content for content, id in ids.items() if id in self.ends}
        self.names = names | {token.id: token.content for token in added}

    @property
    @abstractmethod
    def sha256(self) -> str:
        """Hash of all that decides the ids, that of an end included."""

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Return the ids of a text; the name of a special token in it is plain text like any other.

        Added tokens that are not special become their ids. Characters that no ids stand for are
        left out, see `left_out`.
        """

    @abstractmethod
    def encode_special(self, text: str) -> list[int]:
        """Return the ids of what a chat template wrote: names of special tokens are those."""

    def encode_located(self, text: str) -> "tuple[list[int], NDArray[np.int64] | None]":
        """Return the same ids, and where each begins and ends in the text's bytes, [2, N].

        None where the bytes of tokens, one behind the other, are the text.
        """
        return self.encode_special(text), None

    @abstractmethod
    def token_bytes(self, token: int) -> bytes:
        """Return the bytes one id stands for; special and unused ids stand for none."""

    @abstractmethod
    def is_mark(self, token: int) -> bool:
        """Whether an id stands for no piece of text, but for itself alone."""

    @abstractmethod
    def unused(self, size: int) -> list[int]:
        """Return those of `size` ids that stand for nothing: rows that pad a model's table."""

    @abstractmethod
    def tokens_spelling(self, rest: bytes) -> list[int]:
        """Return the ids whose bytes begin with `rest`, and those that `rest` begins with."""

    @abstractmethod
    def slices(self, text: str) -> Iterator[str]:
        """Cut a long text where that changes no id; see the function of this name."""

    @abstractmethod
    def save(self, folder: Path, context: int) -> None:
        """Write the files that `transformers.AutoTokenizer` reads; `context` is in tokens."""

    @property
    def encoding(self) -> tiktoken.Encoding | None:
        """What cuts texts into pieces by itself, for whole files at once; None: nothing does."""
        return None

    @property
    def lacks_characters(self) -> bool:
        """Whether there are characters that no ids stand for."""
        return False

    def left_out(self, text: str) -> tuple[int, int]:
        """Return how many characters of a text no ids stand for, and how many UTF-8 bytes."""
        return 0, 0

    def with_template(self, chat_template: str) -> "Tokenizer":
        """Return the same tokenizer with another chat template."""
        other = copy.copy(self)
        other.chat_template = chat_template
        return other

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids; bytes that are no UTF-8 become U+FFFD, special tokens nothing."""
        return b"".join(map(self.token_bytes, ids)).decode("utf-8", "replace")

    def refuse_beyond(self, rows: int, path: object) -> None:
        """Raise TuillmError where a text can come to ids that a model of `rows` does not have."""
        if self.n_vocab > rows:
            raise TuillmError(
                f"the tokenizer of {path} has ids up to {self.n_vocab - 1:,}, its "
                f"weights only {rows:,} rows"
            )

    def text_decoder(self) -> codecs.IncrementalDecoder:
        """Return a decoder to feed token bytes to, which holds back characters still incomplete."""
        return codecs.getincrementaldecoder("utf-8")("replace")


def slices(text: str, size: int = _SLICE) -> Iterator[str]:
    """Cut a long text where no token of any kind can span: before the blank after a word.

    Encoding slice by slice gives the very ids of encoding the whole. (Behind a blank would be
    wrong: GPT-2's pattern takes the last one before a word apart, and at an end it does not.) A
    run without any blank stays whole, however long.
    """
    start = 0
    while start < len(text):
        found = _BEHIND_WORD.search(text, start + size - 1)
        end = found.start() + 1 if found else len(text)
        yield text[start:end]
        start = end

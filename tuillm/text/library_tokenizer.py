"""Tokenizers of other families, as the `tokenizers` library computes them from their own file.

Each has its way of cutting a text (a regular expression, blanks as "▁", single digits) and special
tokens of its own; the library knows them all. Known here is what it has no word for: the bytes of
an id, and which ids of a text are typed and which are a template's.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tuillm.errors import TuillmError, brief
from tuillm.formats.bounded_read import TOKENIZER_CONFIG_BYTES, read_object
from tuillm.formats.jinja_chat import TEMPLATE_FILE
from tuillm.formats.json_text import JsonObject
from tuillm.store.files import write_json, write_text
from tuillm.text.added_tokens import added_tokens
from tuillm.text.tokenizer import Tokenizer, slices
from tuillm.text.tokenizer_json import byte_table, vocabulary_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Library

# what stands beside a tokenizer.json and belongs to it
_CONFIG = "tokenizer_config.json"
_BLANK = "\u2581"  # as SentencePiece writes a blank


class LibraryTokenizer(Tokenizer):
    """A BPE tokenizer of any family; its files are written again as they were read."""

    kind = "hf"

    def __init__(self, spec: JsonObject, ends: Sequence[int] | None = None) -> None:
        """Build from the contents of a `tokenizer.json`, see TiktokenTokenizer.

        Raises TuillmError for a kind that is no BPE. The library reads it in `open`.
        """
        self.spec = spec
        if (found := spec["model"].get("type", "BPE")) != "BPE":
            raise TuillmError(f"this tokenizer is of kind {brief(found)}; tuillm reads BPE")
        vocab, added = vocabulary_of(spec), added_tokens(spec)
        self._take_marks(vocab, added, ends)
        self._by_bytes = _is_byte_level(spec)
        self._content = {id: content for content, id in vocab.items()}
        texts = {token.id: token.content for token in added if not token.special}
        self._marks = self.names.keys() - texts.keys() | self.ends
        self._texts = texts
        self.n_vocab = 1 + max([*vocab.values(), *texts, *self.ends])
        self.vocab_size = max([self.n_vocab, *(id + 1 for id in self.names)])
        self._config: JsonObject = {}

    @property
    def sha256(self) -> str:
        told = json.dumps(self.spec, sort_keys=True)
        return hashlib.sha256(f"hf {told}{self._told}".encode()).hexdigest()

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self._plain.encode(text, add_special_tokens=False).ids
        return ids

    def encode_special(self, text: str) -> list[int]:
        ids: list[int] = self._marked.encode(text, add_special_tokens=False).ids
        return ids

    def encode_located(self, text: str) -> tuple[list[int], NDArray[np.int64]]:
        found = self._marked.encode(text, add_special_tokens=False)
        points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        sizes = 1 + (points >= 0x80) + (points >= 0x800) + (points >= 0x10000)
        in_bytes = np.concatenate([[0], np.cumsum(sizes)])
        offsets = in_bytes[np.array(found.offsets, np.int64).reshape(-1, 2)]
        return found.ids, offsets.T

    def token_bytes(self, token: int) -> bytes:
        if token in self._marks:
            return b""
        if (text := self._texts.get(token)) is not None:
            return text.encode()
        content = self._content.get(token)
        return b"" if content is None else self._piece_bytes(content)

    def is_mark(self, token: int) -> bool:
        return token in self.names

    def unused(self, size: int) -> list[int]:
        return [id for id in range(size) if id not in self._content and id not in self.names]

    def tokens_spelling(self, rest: bytes) -> list[int]:
        shorter = (self._pieces.get(rest[:size]) for size in range(1, len(rest)))
        longer = [token for piece, token in self._pieces.items() if piece.startswith(rest)]
        return [token for token in shorter if token is not None] + longer

    def slices(self, text: str) -> Iterator[str]:
        """Cut a long text before a blank, where these split anyhow; others may not be cut."""
        cuttable = self._by_bytes and not self._texts
        return slices(text) if cuttable else iter([text] if text else [])

    def open(self, path: Path) -> None:
        """Let the library read it, and take over a `tokenizer_config.json`, to write it again.

        Raises TuillmError for contents that the library refuses.
        """
        self._plain  # noqa: B018
        if path.is_file():
            self._config = read_object(path, TOKENIZER_CONFIG_BYTES)

    def save(self, folder: Path, context: int) -> None:
        write_json(folder / "tokenizer.json", self.spec)
        end = None if self.eot is None else self.names.get(self.eot)
        usual = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": end}
        own = {"model_max_length": context, "clean_up_tokenization_spaces": False}
        write_json(folder / _CONFIG, usual | self._config | own)
        if self.chat_template:
            write_text(folder / TEMPLATE_FILE, self.chat_template)

    def _library(self) -> "Library":
        from tokenizers import Tokenizer as Library

        try:
            made: Library = Library.from_str(json.dumps(self.spec))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # what it panics at is no Exception
            raise TuillmError(f"this tokenizer cannot be read: {brief(str(error))}") from None
        made.no_padding()
        made.no_truncation()
        return made

    @cached_property
    def _plain(self) -> "Library":
        """The library's tokenizer to which names of special tokens are plain text."""
        made = self._library()
        made.encode_special_tokens = True
        return made

    @cached_property
    def _marked(self) -> "Library":
        """The library's tokenizer that takes the names of special tokens for these."""
        return self._library()

    @cached_property
    def _pieces(self) -> dict[bytes, int]:
        """Ids by what they spell, the piece of most bytes for each."""
        ids = (id for id in self._content if id not in self.names)
        return {piece: id for id in ids if (piece := self._piece_bytes(self._content[id]))}

    def _piece_bytes(self, content: str) -> bytes:
        if self._by_bytes:
            table = _BYTES
            return b"".join(
                bytes([table[each]]) if each in table else each.encode() for each in content
            )
        if len(content) == 6 and content.startswith("<0x") and content.endswith(">"):
            return bytes([int(content[3:5], 16)])
        return content.replace(_BLANK, " ").encode()


_BYTES = byte_table()


def _is_byte_level(spec: JsonObject) -> bool:
    """Whether tokens are written in stand-ins for bytes; raises TuillmError where none can tell."""
    kinds = {part.get("type") for part in _parts(spec.get("decoder"))}
    if "ByteLevel" in kinds:
        return True
    if kinds & {"ByteFallback", "Metaspace"}:
        return False
    raise TuillmError("this tokenizer does not say how its tokens become text")


def _parts(step: Any) -> Iterator[JsonObject]:
    """The steps of a decoder, one by one."""
    if isinstance(step, dict):
        yield step
        for each in step.get("decoders") or ():
            yield from _parts(each)

"""Tokenizers of three kinds, one at run time (tiktoken) and one on disk (`tokenizer.json`).

    char   every character of the corpus is a token; unseen ones fall back to their bytes
    bpe    byte-level pieces learned from the corpus
    gpt2   GPT-2's own vocabulary of 50,257 pieces

The file is Hugging Face's format and gives the same ids in `transformers`. Tokens are byte
strings, not characters: only a decoder that keeps state may turn them into text one by one.
"""

import codecs
import copy
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import tiktoken

from tuillm.errors import TuillmError
from tuillm.formats.bounded_read import VOCABULARY_BYTES, read_bounded
from tuillm.formats.jinja_chat import LONGEST_TEMPLATE, TEMPLATE_FILE
from tuillm.formats.json_text import JsonObject
from tuillm.store.files import read_json, write_json, write_text
from tuillm.text.added_tokens import AddedTexts, added_tokens
from tuillm.text.eos_ids import added_of_older, ends_named
from tuillm.text.long_blanks import encode_ordinary
from tuillm.text.tokenizer_json import (
    END_OF_TEXT,
    byte_level_spec,
    gpt2_pattern,
    kind_of,
    pair_of,
    ranks_of,
    spare_bytes,
    unknown_to,
    vocabulary_of,
)

GPT2_ENTRIES = 50_257
_SLICE = 1 << 20
# or before a mark that ends a clause where no blanks are written
_BEHIND_WORD = re.compile(r"\S[ \n]|\w[。，、！？；：]")


class Tokenizer:
    """Text to ids and back.

    `eot` is the id that ends a text, or None; `ends` are all that end a reply; `names` are the
    contents of added tokens by id. `n_vocab` is one more than the largest id that a text, or its
    end, can come to; `vocab_size` counts special tokens as well. `chat_template` is the Jinja
    program that lies beside it, or "".
    """

    def __init__(self, spec: JsonObject, ends: Sequence[int] | None = None) -> None:
        """Build from the contents of a `tokenizer.json`; raises TuillmError for other kinds.

        `ends` are the ids that end a reply, the first of them a text; by default that is
        '<|endoftext|>', if it is an added token. Damaged contents raise whatever they come to.
        """
        self.spec = spec
        self.chat_template = ""
        self.kind = kind_of(spec)
        vocab, added = vocabulary_of(spec), added_tokens(spec)
        default = tuple(token.id for token in added if token.content == END_OF_TEXT)
        ends = default if ends is None else tuple(ends)
        self.eot, self.ends = next(iter(ends), None), frozenset(ends)
        self._told = "" if default[:1] == ends[:1] else str(self.eot)
        names = {id: content for content, id in vocab.items() if id in self.ends}
        self.names = names | {token.id: token.content for token in added}
        self._special_ids = {content: id for id, content in self.names.items()}
        longest = sorted(filter(None, self._special_ids), key=len, reverse=True)
        self._special_names = (
            re.compile("(" + "|".join(map(re.escape, longest)) + ")") if longest else None
        )
        beside = set(self.names.values())
        ranks = ranks_of(spec, self.kind, beside)
        texts = [token for token in added if not (token.special or token.id in self.ends)]
        self._texts = AddedTexts(texts)
        plain = {token.id: token.content.encode() for token in texts}
        self._spare = spare_bytes(spec, ranks) | dict.fromkeys(self.names, b"") | plain
        self.n_vocab = 1 + max([*vocab.values(), *plain, *self.ends])
        self.vocab_size = max([self.n_vocab, *(id + 1 for id in self.names)])
        self._ids_by_bytes = ranks
        self._unknown = unknown_to(ranks)
        self._encoding = tiktoken.Encoding(
            f"tuillm-{self.kind}",
            pat_str="(?s:.)" if self.kind == "char" else gpt2_pattern(),
            mergeable_ranks=ranks,
            special_tokens={},
        )

    @property
    def sha256(self) -> str:
        """Hash of all that decides the ids, that of an end included."""
        told = json.dumps(self.spec, sort_keys=True)
        return hashlib.sha256(f"{told}{self._told}".encode()).hexdigest()

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text; '<|endoftext|>' in it is plain text like any other.

        So are all special tokens; added ones that are not special become their ids. Characters
        that a vocabulary of characters alone does not have are left out, see `left_out`.
        """
        if self._unknown is not None:
            text = self._unknown.sub("", text)
        if not self._texts:
            return encode_ordinary(self._encoding, text)
        ids: list[int] = []
        for part in self._texts.split(text):
            ids += [part] if isinstance(part, int) else encode_ordinary(self._encoding, part)
        return ids

    def with_template(self, chat_template: str) -> "Tokenizer":
        """Return the same tokenizer with another chat template."""
        other = copy.copy(self)
        other.chat_template = chat_template
        return other

    def encode_special(self, text: str) -> list[int]:
        """Return the ids of what a chat template wrote: names of special tokens are those."""
        ids: list[int] = []
        for part in self._special_names.split(text) if self._special_names else [text]:
            own = self._special_ids.get(part)
            ids += [own] if own is not None else self.encode(part) if part else []
        return ids

    @property
    def encoding(self) -> tiktoken.Encoding:
        """What cuts texts into pieces; special and other added tokens apart."""
        return self._encoding

    @property
    def is_plain(self) -> bool:
        """Whether ids are those of `encoding` alone, and no character is left out."""
        return self._unknown is None and not self._texts

    @property
    def lacks_characters(self) -> bool:
        """Whether there are characters that no ids stand for."""
        return self._unknown is not None

    def left_out(self, text: str) -> tuple[int, int]:
        """Return how many characters of a text no ids stand for, and how many UTF-8 bytes."""
        if self._unknown is None:
            return 0, 0
        lacking = "".join(self._unknown.findall(text))
        return len(lacking), len(lacking.encode("utf-8", "replace"))

    def slices(self, text: str) -> Iterator[str]:
        """Cut a long text where that changes no id; see the function of this name."""
        return iter([text] if text else []) if self._texts.tear else slices(text)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids; bytes that are no UTF-8 become U+FFFD, special tokens nothing."""
        return b"".join(map(self.token_bytes, ids)).decode("utf-8", "replace")

    def token_bytes(self, token: int) -> bytes:
        """Return the bytes one id stands for; special and unused ids stand for none."""
        if (as_bytes := self._spare.get(token)) is not None:
            return as_bytes
        try:
            return self._encoding.decode_single_token_bytes(token)
        except (KeyError, OverflowError):
            return b""

    def is_mark(self, token: int) -> bool:
        """Whether an id stands for no piece of text, but for itself alone."""
        return token in self.names or token in self._spare

    def unused(self, size: int) -> list[int]:
        """Return those of `size` ids that stand for nothing: rows that pad a model's table."""
        used = set(self._ids_by_bytes.values()) | self._spare.keys()
        return [id for id in range(size) if id not in used]

    def refuse_beyond(self, rows: int, path: object) -> None:
        """Raise TuillmError where a text can come to ids that a model of `rows` does not have."""
        if self.n_vocab > rows:
            raise TuillmError(
                f"the tokenizer of {path} has ids up to {self.n_vocab - 1:,}, its "
                f"weights only {rows:,} rows"
            )

    def tokens_spelling(self, rest: bytes) -> list[int]:
        """Return the ids whose bytes begin with `rest`, and those that `rest` begins with."""
        shorter = (self._ids_by_bytes.get(rest[:size]) for size in range(1, len(rest)))
        longer = [
            token for as_bytes, token in self._ids_by_bytes.items() if as_bytes.startswith(rest)
        ]
        return [token for token in shorter if token is not None] + longer

    def text_decoder(self) -> codecs.IncrementalDecoder:
        """Return a decoder to feed token bytes to, which holds back characters still incomplete."""
        return codecs.getincrementaldecoder("utf-8")("replace")

    def save(self, folder: Path, context: int) -> None:
        """Write the files that `transformers.AutoTokenizer` reads; `context` is in tokens."""
        write_json(folder / "tokenizer.json", self.spec)
        end = None if self.eot is None else self.names.get(self.eot)
        named = {} if end is None else dict.fromkeys(("bos_token", "eos_token", "unk_token"), end)
        write_json(
            folder / "tokenizer_config.json",
            named
            | {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "model_max_length": context,
                "clean_up_tokenization_spaces": False,
            },
        )
        if self.chat_template:
            write_text(folder / TEMPLATE_FILE, self.chat_template)
        if self.kind != "char":
            vocab = self.spec["model"]["vocab"]
            write_json(folder / "vocab.json", vocab | ({} if end is None else {end: self.eot}))
            merges = [" ".join(pair_of(merge)) for merge in self.spec["model"]["merges"]]
            write_text(folder / "merges.txt", "\n".join(["#version: 0.2", *merges]) + "\n")


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
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise TuillmError(f"{what} is damaged: {type(error).__name__}: {error!s:.200}") from None


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


def _with_ends(spec: JsonObject, folder: Path) -> Tokenizer:
    """Return the tokenizer of a `tokenizer.json` whose end the files of a folder tell."""
    tokenizer = Tokenizer(spec)
    ids = spec["model"]["vocab"] | {name: id for id, name in tokenizer.names.items()}
    ends = ends_named(folder, ids.get, tokenizer.is_mark)
    if ends and ends != (tokenizer.eot,):
        tokenizer = Tokenizer(spec, ends)
    template = folder / TEMPLATE_FILE
    if not template.is_file():
        return tokenizer
    text = read_bounded(template, LONGEST_TEMPLATE).decode("utf-8", "replace")
    return tokenizer.with_template(text)

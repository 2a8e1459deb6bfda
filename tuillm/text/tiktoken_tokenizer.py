"""Tokenizers of three kinds, one at run time (tiktoken) and one on disk (`tokenizer.json`).

    char   every character of the corpus is a token; unseen ones fall back to their bytes
    bpe    byte-level pieces learned from the corpus
    gpt2   GPT-2's own vocabulary of 50,257 pieces

The file is Hugging Face's format and gives the same ids in `transformers`.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import tiktoken

from tuillm.formats.jinja_chat import TEMPLATE_FILE
from tuillm.formats.json_text import JsonObject
from tuillm.store.files import write_json, write_text
from tuillm.text.added_tokens import AddedTexts, added_tokens
from tuillm.text.long_blanks import encode_ordinary
from tuillm.text.tokenizer import Tokenizer, slices
from tuillm.text.tokenizer_json import (
    gpt2_pattern,
    kind_of,
    pair_of,
    ranks_of,
    spare_bytes,
    unknown_to,
    vocabulary_of,
)

GPT2_ENTRIES = 50_257


class TiktokenTokenizer(Tokenizer):
    """A tokenizer of tuillm's own or GPT-2's."""

    def __init__(self, spec: JsonObject, ends: Sequence[int] | None = None) -> None:
        """Build from the contents of a `tokenizer.json`; raises TuillmError for other kinds.

        `ends` are the ids that end a reply, the first of them a text; by default that is
        '<|endoftext|>', if it is an added token. Damaged contents raise whatever they come to.
        """
        self.spec = spec
        self.kind = kind_of(spec)
        vocab, added = vocabulary_of(spec), added_tokens(spec)
        self._take_marks(vocab, added, ends)
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
        told = json.dumps(self.spec, sort_keys=True)
        return hashlib.sha256(f"{told}{self._told}".encode()).hexdigest()

    def encode(self, text: str) -> list[int]:
        if self._unknown is not None:
            text = self._unknown.sub("", text)
        if not self._texts:
            return encode_ordinary(self._encoding, text)
        ids: list[int] = []
        for part in self._texts.split(text):
            ids += [part] if isinstance(part, int) else encode_ordinary(self._encoding, part)
        return ids

    def encode_special(self, text: str) -> list[int]:
        ids: list[int] = []
        for part in self._special_names.split(text) if self._special_names else [text]:
            own = self._special_ids.get(part)
            ids += [own] if own is not None else self.encode(part) if part else []
        return ids

    @property
    def encoding(self) -> tiktoken.Encoding | None:
        whole = self._unknown is None and not self._texts
        return self._encoding if whole else None

    @property
    def lacks_characters(self) -> bool:
        return self._unknown is not None

    def left_out(self, text: str) -> tuple[int, int]:
        if self._unknown is None:
            return 0, 0
        lacking = "".join(self._unknown.findall(text))
        return len(lacking), len(lacking.encode("utf-8", "replace"))

    def slices(self, text: str) -> Iterator[str]:
        return iter([text] if text else []) if self._texts.tear else slices(text)

    def token_bytes(self, token: int) -> bytes:
        if (as_bytes := self._spare.get(token)) is not None:
            return as_bytes
        try:
            return self._encoding.decode_single_token_bytes(token)
        except (KeyError, OverflowError):
            return b""

    def is_mark(self, token: int) -> bool:
        return token in self.names or token in self._spare

    def unused(self, size: int) -> list[int]:
        used = set(self._ids_by_bytes.values()) | self._spare.keys()
        return [id for id in range(size) if id not in used]

    def tokens_spelling(self, rest: bytes) -> list[int]:
        shorter = (self._ids_by_bytes.get(rest[:size]) for size in range(1, len(rest)))
        longer = [
            token for as_bytes, token in self._ids_by_bytes.items() if as_bytes.startswith(rest)
        ]
        return [token for token in shorter if token is not None] + longer

    def save(self, folder: Path, context: int) -> None:
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

"""The tokenizer in a GGUF file's entries, as the contents of a Hugging Face folder's files.

llama.cpp's 'gpt2' is BPE over bytes, cut first by one of the patterns in `gguf_splitting`; its
'llama' is SentencePiece's BPE over characters, with bytes to fall back on. Knows names and ids;
knows no weights.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tuillm.convert.gguf import ADDED, BYTE, CONTROL, UNUSED
from tuillm.convert.gguf_merges import listed_merges, merges_by_score
from tuillm.convert.gguf_reading import GGUFFile
from tuillm.convert.gguf_splitting import splitting_of
from tuillm.errors import TuillmError, brief
from tuillm.formats.jinja_chat import LONGEST_TEMPLATE
from tuillm.formats.json_text import JsonObject
from tuillm.text.tokenizer_json import BYTE_LEVEL, bpe_model, byte_table

NORMAL, UNKNOWN = 1, 2
_BLANK = "\u2581"
_PREFIX = "tokenizer.ggml."
_MOST_ADDED = 20_000  # each text is looked through for all of them
_BYTES_BACK = {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]}
# what ends a reply where a file names one end of several, as llama.cpp has them
_ENDS = (
    "<|eot_id|>",
    "<|eom_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<end_of_turn>",
    "</s>",
)


@dataclass(frozen=True)
class GGUFTokenizer:
    """A tokenizer's files, but for their writing: `tokenizer.json`, its configuration, a template.

    `ends` are all ids that end a reply, that of a text first. `notes` are sentences for a person.
    """

    spec: JsonObject
    config: JsonObject
    chat_template: str
    bos: int | None
    ends: tuple[int, ...]
    notes: list[str] = field(default_factory=list)


def tokenizer_of_gguf(file: GGUFFile, rows: int) -> GGUFTokenizer:
    """Return the tokenizer of a file whose model has `rows` rows in its vocabulary.

    Raises TuillmError for a tokenizer that tuillm does not know, and for a damaged one.
    """
    tokens = _Tokens(file, rows)
    kind = file.text(f"{_PREFIX}model")
    if kind == "gpt2":
        spec, adds_bos = _byte_level(tokens)
    elif kind == "llama":
        spec, adds_bos = _sentencepiece(tokens), True
    else:
        raise TuillmError(
            f"{file.path} has a tokenizer of kind {brief(kind)}; tuillm reads gpt2 and llama"
        )
    by_default = (1, 2) if kind == "llama" else (None, None)
    bos, eos = tokens.id("bos", by_default[0]), tokens.id("eos", by_default[1])
    spec["added_tokens"] = list(tokens.added({bos, eos}))
    spec["post_processor"] = _post_processor(tokens, adds_bos, bos, eos)
    template = tokens.template()
    return GGUFTokenizer(
        spec, _config(tokens, bos, eos), template, bos, tokens.ends(eos), tokens.notes
    )


class _Tokens:
    """The tokens of a file by id, their kinds, and what else it says of them."""

    def __init__(self, file: GGUFFile, rows: int) -> None:
        self.file, self.path, self.notes = file, file.path, list[str]()
        self.names: list[str] = self.texts("tokens")
        count = len(self.names)
        if not count:
            raise TuillmError(f"{self.path} has no tokenizer")
        if count > rows:
            raise self.damaged(f"its tokenizer has {count:,} entries, its weights {rows:,}")
        kinds = self._numbers("token_type", count)
        self.kinds: list[int] = [NORMAL] * count if kinds is None else kinds.tolist()
        self.scores = self._numbers("scores", count)
        # a piece without letters is none, and neither are those that fill the table up
        self.ids = {
            name: id
            for id, name in enumerate(self.names)
            if name and not (self.kinds[id] == UNUSED and self.scores is None)
        }
        empty = sum(not name for name in self.names)
        unused = self.kinds.count(UNUSED) if self.scores is None else 0
        if len(self.ids) + empty + unused < count:
            raise self.damaged("two of its tokens are the same")

    def get(self, key: str) -> Any:
        """Return the entry of a key, or None."""
        return self.file.entries.get(_PREFIX + key)

    def texts(self, key: str) -> list[str]:
        """Return a list of texts, an empty one where there is none."""
        value = self.get(key)
        if value is None or (isinstance(value, np.ndarray) and not len(value)):
            return []
        if not isinstance(value, list):
            raise self.damaged(f"{_PREFIX}{key} is no list of texts")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """Return whether something is told to be so."""
        value = self.get(key)
        if value is None:
            return default
        if type(value) is not bool:
            raise self.damaged(f"{_PREFIX}{key} is {brief(value)}")
        return value

    def id(self, name: str, default: int | None = None) -> int | None:
        """Return the id of a token with a role; one beyond the vocabulary is that by default."""
        value = self.get(f"{name}_token_id")
        for each in (value, default):
            if type(each) is int and 0 <= each < len(self.names) and self.names[each]:
                return each
        return None

    def added(self, always: set[int | None]) -> Iterator[JsonObject]:
        """Yield tokens that are found in a text before it is cut: special ones, and a person's."""
        beside = sum(kind in (CONTROL, UNKNOWN, ADDED) for kind in self.kinds)
        if beside > _MOST_ADDED:
            raise self.damaged(
                f"it has {beside:,} added tokens, where {_MOST_ADDED:,} are the most"
            )
        for id, name in enumerate(self.names):
            special = self.kinds[id] in (CONTROL, UNKNOWN) or id in always
            if name and (special or self.kinds[id] == ADDED):
                yield {
                    "id": id,
                    "content": name,
                    "single_word": False,
                    "lstrip": False,
                    "rstrip": False,
                    "normalized": False,
                    "special": special,
                }

    def ends(self, eos: int | None) -> tuple[int, ...]:
        """Return all ids that end a reply, that of a text first."""
        named = [eos, self.id("eot"), self.id("eom")]
        named += [id for name in _ENDS if self._is_control(id := self.ids.get(name, -1))]
        return tuple(dict.fromkeys(id for id in named if id is not None))

    def template(self) -> str:
        """Return the chat template, or "" without one."""
        value = self.file.text("tokenizer.chat_template") or ""
        others = [key for key in self.file.entries if key.startswith("tokenizer.chat_template.")]
        if others:
            self.notes.append(
                f"of its {len(others) + bool(value)} chat templates only the first was taken"
            )
        if len(value) > LONGEST_TEMPLATE:
            self.notes.append(f"its chat template of {len(value):,} characters was left out")
            return ""
        return value

    def damaged(self, reason: str) -> TuillmError:
        """Return the error that says so of the file."""
        return TuillmError(f"{self.path} is damaged: {reason}")

    def _is_control(self, id: int) -> bool:
        return id >= 0 and self.kinds[id] == CONTROL

    def _numbers(self, key: str, count: int) -> Any:
        value = self.get(key)
        if value is None:
            return None
        if not isinstance(value, np.ndarray) or len(value) < count:
            raise self.damaged(f"{_PREFIX}{key} does not tell it of every token")
        return value[:count]


def _byte_level(tokens: _Tokens) -> tuple[JsonObject, bool]:
    """Return the `tokenizer.json` of a 'gpt2', and whether a text begins with bos by default."""
    family = tokens.file.text("general.architecture") or ""
    split = splitting_of(tokens.path, tokens.file.text(f"{_PREFIX}pre"), family)
    tokens.notes += split.notes
    listed = tokens.texts("merges")
    if (characters := _characters(tokens, listed)) is not None:
        model = bpe_model(characters, [], byte_fallback=True)
        return _spec(model, None, None, _BYTES_BACK), False
    merges = listed_merges(tokens.path, listed, tokens.ids)
    model = bpe_model(tokens.ids, merges, byte_fallback=False)
    model["ignore_merges"] = split.whole_words
    normalizer = {"type": "NFC"} if split.nfc else None
    return _spec(model, normalizer, split.pre_tokenizer, BYTE_LEVEL), split.adds_bos


def _sentencepiece(tokens: _Tokens) -> JsonObject:
    """Return the `tokenizer.json` of a 'llama': what merges is what the scores tell."""
    if tokens.scores is None:
        raise tokens.damaged(f"{_PREFIX}scores is missing")
    pieces = {
        name: id
        for name, id in tokens.ids.items()
        if tokens.kinds[id] not in (CONTROL, UNKNOWN, BYTE)
    }
    merges = merges_by_score(tokens.path, pieces, tokens.scores)
    prefix = tokens.flag("add_space_prefix", True)
    if not merges and not prefix and " " not in tokens.ids:  # characters, as tuillm exports them
        own = {" " if name == _BLANK else name: id for name, id in tokens.ids.items()}
        return _spec(bpe_model(own, [], byte_fallback=True), None, None, _BYTES_BACK)
    model = bpe_model(tokens.ids, merges, byte_fallback=True)
    unknown = tokens.id("unknown", 0)
    if unknown is not None and tokens.kinds[unknown] == UNKNOWN:
        model["unk_token"] = tokens.names[unknown]
    model["fuse_unk"] = True
    blanks: JsonObject = {"type": "Replace", "pattern": {"String": " "}, "content": _BLANK}
    normalizer = blanks
    decoders: list[JsonObject] = [
        {"type": "Replace", "pattern": {"String": _BLANK}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    if prefix:
        before = {"type": "Prepend", "prepend": _BLANK}
        normalizer = {"type": "Sequence", "normalizers": [before, blanks]}
        decoders.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return _spec(model, normalizer, None, {"type": "Sequence", "decoders": decoders})


def _characters(tokens: _Tokens, merges: list[str]) -> dict[str, int] | None:
    """Return the ids of characters where each piece is one, and merges only spell them; or None.

    Such are vocabularies of characters as tuillm exports them.
    """
    parts = merges[0].split(" ") if merges else []
    if not parts or all(part in tokens.ids for part in parts):
        return None
    latin = str.maketrans({stand_in: chr(byte) for stand_in, byte in byte_table().items()})
    found: dict[str, int] = {}
    for name, id in tokens.ids.items():
        try:
            spelled = name.translate(latin).encode("latin-1").decode()
        except UnicodeError:
            spelled = ""
        if tokens.kinds[id] == NORMAL and len(spelled) != 1:
            return None
        found[spelled if tokens.kinds[id] == NORMAL else name] = id
    return found


def _spec(
    model: JsonObject, normalizer: object, pre_tokenizer: object, decoder: object
) -> JsonObject:
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": None,
        "decoder": decoder,
        "model": model,
    }


def _post_processor(
    tokens: _Tokens, adds_bos: bool, bos: int | None, eos: int | None
) -> JsonObject | None:
    """Return what stands before and behind every text, or None for nothing."""
    around: list[list[int]] = [[], []]
    for place, name, id, default in ((0, "bos", bos, adds_bos), (1, "eos", eos, False)):
        if not tokens.flag(f"add_{name}_token", default):
            continue
        if id is None:
            tokens.notes.append(f"it wants a token {name} with every text, and has none")
        else:
            around[place].append(id)
    if not any(around):
        return None

    def pieces(number: int, text: str) -> list[JsonObject]:
        special = [
            [{"SpecialToken": {"id": tokens.names[id], "type_id": number}} for id in ids]
            for ids in around
        ]
        return [*special[0], {"Sequence": {"id": text, "type_id": number}}, *special[1]]

    named = {
        tokens.names[id]: {"id": tokens.names[id], "ids": [id], "tokens": [tokens.names[id]]}
        for ids in around
        for id in ids
    }
    return {
        "type": "TemplateProcessing",
        "single": pieces(0, "A"),
        "pair": [*pieces(0, "A"), *pieces(1, "B")],
        "special_tokens": named,
    }


def _config(tokens: _Tokens, bos: int | None, eos: int | None) -> JsonObject:
    """Return the `tokenizer_config.json`, whose class takes `tokenizer.json` as it stands."""
    roles = {
        "bos_token": bos,
        "eos_token": eos,
        "unk_token": tokens.id("unknown"),
        "pad_token": tokens.id("padding"),
    }
    return {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False} | {
        role: tokens.names[id] for role, id in roles.items() if id is not None
    }

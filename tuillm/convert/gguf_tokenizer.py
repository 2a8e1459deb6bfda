"""The tokenizer in a GGUF file's entries, as the contents of a Hugging Face folder's files.

llama.cpp's 'gpt2' is BPE over bytes, cut first by one of the patterns in `gguf_splitting`; its
'llama' is SentencePiece's BPE over characters, with bytes to fall back on. Knows names and ids;
knows no weights.
"""

from dataclasses import dataclass, field

from tuillm.convert.gguf_merges import listed_merges, merges_by_score
from tuillm.convert.gguf_names import BLANK, BYTE, CONTROL, NORMAL, PREFIX, UNKNOWN
from tuillm.convert.gguf_reading import GGUFFile
from tuillm.convert.gguf_splitting import splitting_of
from tuillm.convert.gguf_tokens import GGUFTokens
from tuillm.errors import TuillmError, brief
from tuillm.formats.json_text import JsonObject
from tuillm.text.tokenizer_json import BYTE_LEVEL, bpe_model, byte_table

_BYTES_BACK = {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]}


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
    tokens = GGUFTokens(file, rows)
    kind = file.text(f"{PREFIX}model")
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


def _byte_level(tokens: GGUFTokens) -> tuple[JsonObject, bool]:
    """Return the `tokenizer.json` of a 'gpt2', and whether a text begins with bos by default."""
    family = tokens.file.text("general.architecture") or ""
    split = splitting_of(tokens.path, tokens.file.text(f"{PREFIX}pre"), family)
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


def _sentencepiece(tokens: GGUFTokens) -> JsonObject:
    """Return the `tokenizer.json` of a 'llama': what merges is what the scores tell."""
    if tokens.scores is None:
        raise tokens.damaged(f"{PREFIX}scores is missing")
    pieces = {
        name: id
        for name, id in tokens.ids.items()
        if tokens.kinds[id] not in (CONTROL, UNKNOWN, BYTE)
    }
    merges = merges_by_score(tokens.path, pieces, tokens.scores)
    prefix = tokens.flag("add_space_prefix", True)
    if not merges and not prefix and " " not in tokens.ids:  # characters, as tuillm exports them
        own = {" " if name == BLANK else name: id for name, id in tokens.ids.items()}
        return _spec(bpe_model(own, [], byte_fallback=True), None, None, _BYTES_BACK)
    model = bpe_model(tokens.ids, merges, byte_fallback=True)
    unknown = tokens.id("unknown", 0)
    if unknown is not None and tokens.kinds[unknown] == UNKNOWN:
        model["unk_token"] = tokens.names[unknown]
    model["fuse_unk"] = True
    blanks: JsonObject = {"type": "Replace", "pattern": {"String": " "}, "content": BLANK}
    normalizer = blanks
    decoders: list[JsonObject] = [
        {"type": "Replace", "pattern": {"String": BLANK}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    if prefix:
        before = {"type": "Prepend", "prepend": BLANK}
        normalizer = {"type": "Sequence", "normalizers": [before, blanks]}
        decoders.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return _spec(model, normalizer, None, {"type": "Sequence", "decoders": decoders})


def _characters(tokens: GGUFTokens, merges: list[str]) -> dict[str, int] | None:
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
    tokens: GGUFTokens, adds_bos: bool, bos: int | None, eos: int | None
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


def _config(tokens: GGUFTokens, bos: int | None, eos: int | None) -> JsonObject:
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

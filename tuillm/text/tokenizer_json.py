"""What a `tokenizer.json` says of its vocabulary: its kind, the bytes of its tokens, its ids;
and such a file's contents for a vocabulary of ours.

Whatever would give other ids than the library that wrote the file is refused. Knows the file's
contents; cuts no text.
"""

import re
from collections.abc import Sequence, Set

from tuillm.errors import TuillmError
from tuillm.formats.json_text import JsonObject
from tuillm.text.added_tokens import LARGEST_ID

END_OF_TEXT = "<|endoftext|>"


def kind_of(spec: JsonObject) -> str:
    """Return 'char', 'bpe' or 'gpt2'; raises TuillmError for a tokenizer of another kind."""
    model = spec["model"]
    is_bpe = model.get("type", "BPE") == "BPE"
    if is_bpe and model.get("byte_fallback") and not model["merges"]:
        return "char"
    pre = spec.get("pre_tokenizer") or {}
    if not is_bpe or pre.get("type") != "ByteLevel":
        raise TuillmError("this tokenizer is neither byte-level BPE nor one of tuillm's own")
    if pre.get("add_prefix_space") or spec.get("normalizer"):
        raise TuillmError("this tokenizer changes the text before it cuts it; tuillm does not")
    if not pre.get("use_regex", True):
        raise TuillmError("this tokenizer cuts the text otherwise than GPT-2's does")
    return "gpt2" if model["vocab"].get("Ġgazed") == 50_255 else "bpe"


def vocabulary_of(spec: JsonObject) -> dict[str, int]:
    """Return the ids of a vocabulary; raises ValueError for ids that are none, or stand twice."""
    vocab: dict[str, int] = spec["model"]["vocab"]
    for token, id in vocab.items():
        if type(id) is not int or not 0 <= id < LARGEST_ID:
            raise ValueError(f"the id of {token!r:.40} is {id!r:.40}")
    if len(set(vocab.values())) < len(vocab):
        raise ValueError("two of its tokens have one id")
    return vocab


def ranks_of(spec: JsonObject, kind: str, beside: Set[str]) -> dict[bytes, int]:
    """Return tiktoken's ranks: the bytes of each token that a text can come to, to its id.

    Those are the bytes and what merges make of them; `beside` are tokens that are no pieces.
    """
    vocab = spec["model"]["vocab"]
    if kind == "char":
        ranks = {_char_bytes(token): id for token, id in vocab.items() if token not in beside}
        if len(ranks) < len(vocab.keys() - beside):
            raise ValueError("two of its tokens are of the same bytes")
        return ranks
    made = {"".join(pair_of(merge)): None for merge in spec["model"]["merges"]}
    ids = [vocab[token] for token in made]
    if any(later <= earlier for earlier, later in zip(ids, ids[1:], strict=False)) or (
        len(made) < len(spec["model"]["merges"])
    ):
        raise TuillmError("this tokenizer's merges are not in the order of its ids")
    table = byte_table()
    if not vocab.keys() >= table.keys():
        raise TuillmError("this tokenizer does not know every byte")
    # by way of Latin-1, whose characters are the bytes: ten times faster than one by one
    latin = str.maketrans({stand_in: chr(byte) for stand_in, byte in table.items()})
    return {
        token.translate(latin).encode("latin-1"): vocab[token]
        for token in [*table, *made]
        if token not in beside
    }


def spare_bytes(spec: JsonObject, ranks: dict[bytes, int]) -> dict[int, bytes]:
    """Return the bytes of the ids that no text comes to: what nothing merges into."""
    written = set(ranks.values())
    table = {stand_in: bytes([byte]) for stand_in, byte in byte_table().items()}
    return {
        id: b"".join(table.get(character, character.encode()) for character in token)
        for token, id in spec["model"]["vocab"].items()
        if id not in written
    }


def unknown_to(ranks: dict[bytes, int]) -> re.Pattern[str] | None:
    """Return what finds the characters that no ids spell, or None where every byte has one."""
    lacking = {byte for byte in range(256) if bytes([byte]) not in ranks}
    if not lacking:
        return None
    whole = (as_bytes.decode() for as_bytes in ranks if as_bytes[0] < 128 or len(as_bytes) > 1)
    known = re.escape("".join(character for character in whole if len(character) == 1))
    beyond = "" if lacking & set(range(0x80, 0xF5)) else "\u0080-\U0010ffff"
    return re.compile(f"[^{known}{beyond}]+")


def byte_table() -> dict[str, int]:
    """Return GPT-2's stand-ins for bytes: printable Latin-1 is itself, the rest from U+0100."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {
        chr(256 + index): byte for index, byte in enumerate(others)
    }


def pair_of(merge: str | list[str]) -> list[str]:
    """Return the two tokens of a merge, in either way that they are written."""
    return merge.split(" ") if isinstance(merge, str) else merge


def gpt2_pattern() -> str:
    """Return the pattern by which GPT-2 cuts a text before it looks for pieces."""
    from tiktoken_ext.openai_public import r50k_pat_str

    return str(r50k_pat_str)


def _char_bytes(token: str) -> bytes:
    is_byte = len(token) == 6 and token.startswith("<0x")
    return bytes([int(token[3:5], 16)]) if is_byte else token.encode()


def byte_level_spec(vocab: dict[str, int], merges: str) -> JsonObject:
    """Return a `tokenizer.json` for the contents of `vocab.json` and the text of `merges.txt`."""
    pairs = [line.split(" ") for line in merges.split("\n") if line and line[:8] != "#version"]
    plain = {token: id for token, id in vocab.items() if token != END_OF_TEXT}
    behind = max(plain.values()) + 1
    end = vocab.get(END_OF_TEXT, behind)
    # libraries find an added token behind the others by itself, one before them in the vocabulary
    model = bpe_model(plain if end == behind else vocab, pairs, byte_fallback=False)
    return tokenizer_spec(model, BYTE_LEVEL, BYTE_LEVEL, end)


BYTE_LEVEL = {
    "type": "ByteLevel",
    "add_prefix_space": False,
    "trim_offsets": True,
    "use_regex": True,
}


def bpe_model(vocab: dict[str, int], merges: list[list[str]], byte_fallback: bool) -> JsonObject:
    """Return the `model` of a `tokenizer.json`: ids by token, and pairs to merge, in order."""
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": byte_fallback,
        "ignore_merges": False,
        "vocab": vocab,
        "merges": merges,
    }


def tokenizer_spec(
    model: JsonObject,
    pre: object,
    decoder: object,
    end: int | None = None,
    special: Sequence[str] = (),
) -> JsonObject:
    """Return a `tokenizer.json`; end of text has the id `end`, or the one behind all others.

    `special` are names of further special tokens, behind that.
    """
    id = max(model["vocab"].values()) + 1 if end is None else end
    added = [_special_token(id + n, name) for n, name in enumerate((END_OF_TEXT, *special))]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": pre,
        "post_processor": None,
        "decoder": decoder,
        "model": model,
    }


def _special_token(id: int, content: str) -> JsonObject:
    return {
        "id": id,
        "content": content,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }

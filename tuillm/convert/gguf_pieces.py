"""How a tokenizer comes to its pieces, as llama.cpp does it; those of other families among them.

What a `tokenizer.json` says is looked at step by step: what llama.cpp would compute otherwise is
refused where it changes the ids of ordinary texts, and told where it changes those of few. Knows
steps, names and scores; knows no folder.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tuillm.convert.gguf_merges import scores_by_merges
from tuillm.convert.gguf_names import ADDED, BLANK, BYTE, CONTROL, UNKNOWN
from tuillm.convert.gguf_splitting import name_of_splitting
from tuillm.errors import TuillmError, brief
from tuillm.formats.json_text import JsonObject
from tuillm.text.added_tokens import added_tokens
from tuillm.text.library_tokenizer import LibraryTokenizer
from tuillm.text.tokenizer_json import byte_table, pair_of

_MARK = re.compile(r"[^\w\s]\W*\w(?s:.*)[^\w\s]")
_BLANKS = {"type": "Replace", "pattern": {"String": " "}, "content": BLANK}
_BEFORE = {"type": "Prepend", "prepend": BLANK}


@dataclass(frozen=True)
class Pieces:
    """llama.cpp's way to pieces.

    `model` is 'gpt2' (pieces of bytes, joined by `merges`, of a text cut as `pre` names it) or
    'llama' (characters, and bytes for all others, joined by `scores` by id, where the lowest is
    that of all others). `adds_blank` tells of a blank before every text. `notes` are sentences on
    what is not the same there.
    """

    model: str
    pre: str = "default"
    merges: list[str] = field(default_factory=list)
    scores: dict[int, float] | None = None
    adds_blank: bool = False
    notes: tuple[str, ...] = ()


def library_pieces(
    tokenizer: LibraryTokenizer, names: dict[int, str], kinds: dict[int, int]
) -> Pieces:
    """Return how a tokenizer of another family comes to its pieces.

    `names` and `kinds` are those of its tokens by id; kinds may be changed. Raises TuillmError for
    what llama.cpp would compute otherwise.
    """
    spec, model = tokenizer.spec, tokenizer.spec["model"]
    for name in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(name):
            raise _not_known(f"sets {name} {brief(model[name])}")
    notes = _notes_on_added(spec)
    if any(step.get("type") == "ByteLevel" for step in _steps(spec.get("pre_tokenizer"))):
        return _of_bytes(spec, model, notes)
    if model.get("byte_fallback"):
        return _of_characters(spec, model, names, kinds, notes)
    raise _not_known("has pieces neither of bytes nor with bytes to fall back on")


def _of_bytes(spec: JsonObject, model: JsonObject, notes: list[str]) -> Pieces:
    """Return llama.cpp's 'gpt2' for a byte-level tokenizer."""
    vocab = model["vocab"]
    beside = model.get("unk_token") or model.get("byte_fallback")
    if beside and not vocab.keys() >= byte_table().keys():
        raise _not_known("lacks bytes and has tokens for what is unknown")
    for step in _steps(spec.get("normalizer")):
        if step["type"] != "NFC":
            raise _not_known(f"changes a text by {brief(step['type'])} before it cuts it")
        notes.append(
            "its tokenizer composes characters (NFC), llama.cpp's does not: texts that are "
            "decomposed, which are rare, have other ids there"
        )
    whole_words = bool(model.get("ignore_merges"))
    pre_tokenizer = spec["pre_tokenizer"]
    pre = name_of_splitting(pre_tokenizer, whole_words)
    if pre is None and (pre := name_of_splitting(pre_tokenizer, not whole_words)):
        if not _merges_reach_all(spec):
            raise _not_known("takes words of its vocabulary that its merges do not come to")
    if pre is None:
        raise _not_known("cuts a text in a way that llama.cpp has no name for")
    merges = [" ".join(pair_of(merge)) for merge in model["merges"]]
    return Pieces("gpt2", pre, merges, notes=tuple(notes))


def _of_characters(
    spec: JsonObject,
    model: JsonObject,
    names: dict[int, str],
    kinds: dict[int, int],
    notes: list[str],
) -> Pieces:
    """Return llama.cpp's 'llama' for SentencePiece's BPE, where what scores best is joined."""
    vocab: dict[str, int] = model["vocab"]
    as_bytes = [vocab.get(f"<0x{byte:02X}>") for byte in range(256)]
    if None in as_bytes:
        raise _not_known("lacks some of the 256 bytes to fall back on")
    kinds.update((id, BYTE) for id in as_bytes if id is not None)
    unknown = vocab.get(model.get("unk_token") or "")
    if unknown is not None:
        kinds[unknown] = UNKNOWN
    beside = (CONTROL, ADDED, UNKNOWN, BYTE)
    pieces = {name: id for name, id in vocab.items() if kinds[id] not in beside}
    adds_blank = _blank_before(spec, pieces, notes)
    merges = [pair_of(merge) for merge in model["merges"]]
    scores = scores_by_merges(pieces, merges)
    if scores is None or model.get("ignore_merges") and not _merges_reach_all(spec):
        raise _not_known("joins its pieces otherwise than by a score of each")
    joined = _joined_names(pieces, {id: names[id] for id, kind in kinds.items() if kind == CONTROL})
    if joined:
        notes.append(
            f"llama.cpp takes {', '.join(joined)} in a text for these tokens, tuillm for letters"
        )
    by_id = {vocab[piece]: score for piece, score in scores.items()}
    return Pieces("llama", scores=by_id, adds_blank=adds_blank, notes=tuple(notes))


def _blank_before(spec: JsonObject, pieces: Mapping[str, int], notes: list[str]) -> bool:
    """Return whether a blank is put before every text; what else changes a text is refused."""
    normalizers = list(_steps(spec.get("normalizer")))
    cutting = list(_steps(spec.get("pre_tokenizer")))
    if not cutting and normalizers in ([_BLANKS], [_BEFORE, _BLANKS]):
        return len(normalizers) == 2
    if normalizers or len(cutting) != 1 or cutting[0].get("type") != "Metaspace":
        raise _not_known("changes or cuts a text otherwise than llama.cpp's does")
    step = cutting[0]
    older = "always" if step.get("add_prefix_space", True) else "never"
    scheme = step.get("prepend_scheme", older)
    if step.get("replacement") != BLANK or scheme not in ("always", "first", "never"):
        raise _not_known("changes or cuts a text otherwise than llama.cpp's does")
    if step.get("split", True) and any(BLANK in piece[1:] for piece in pieces):
        raise _not_known("cuts a text before each blank, though some pieces have blanks inside")
    if scheme == "never":
        return False
    notes.append(
        "llama.cpp puts a blank before every text"
        + (", and behind every special token" if scheme == "first" else "")
        + ", this tokenizer only before one that does not begin with a blank"
    )
    return True


def _merges_reach_all(spec: JsonObject) -> bool:
    """Whether every word of a vocabulary is what its merges come to, so that these decide.

    A name like `<|end|>` is never one word, however a text is cut.
    """
    from tokenizers import Tokenizer, models

    model, added = spec["model"], {token.content for token in added_tokens(spec)}
    pairs = [(left, right) for left, right in map(pair_of, model["merges"])]
    library = Tokenizer(models.BPE(model["vocab"], pairs))
    pieces = [name for name in model["vocab"] if not (name in added and _MARK.fullmatch(name))]
    found = library.encode_batch(pieces, add_special_tokens=False)
    return all(
        each.ids == [model["vocab"][piece]] for each, piece in zip(found, pieces, strict=True)
    )


def _joined_names(pieces: Mapping[str, int], control: Mapping[int, str]) -> list[str]:
    """Return names of control tokens that two pieces are together: llama.cpp joins them."""
    return [
        name
        for name in control.values()
        if any(name[:cut] in pieces and name[cut:] in pieces for cut in range(1, len(name)))
    ]


def _notes_on_added(spec: JsonObject) -> list[str]:
    """Return what llama.cpp does not do with added tokens, in a sentence."""
    changes = any(step.get("type") != "NFC" for step in _steps(spec.get("normalizer")))
    odd = [
        token.content
        for token in added_tokens(spec)
        if token.lstrip or token.rstrip or token.single_word or (token.normalized and changes)
    ]
    if not odd:
        return []
    some = ", ".join(odd[:3]) + (f" and {len(odd) - 3} more" if len(odd) > 3 else "")
    return [
        f"llama.cpp looks for added tokens in a text as it is; {some} take blanks around them "
        "along, or are looked for otherwise"
    ]


def _not_known(reason: str) -> TuillmError:
    same = "llama.cpp would not come to the same ids"
    return TuillmError(f"{same}: this tokenizer {reason}", "export it with --to hf")


def _steps(step: Any) -> Iterator[JsonObject]:
    """The steps of a normalizer or pre-tokenizer, one by one; those in a sequence are its own."""
    if not isinstance(step, dict):
        return
    parts = step.get("normalizers", step.get("pretokenizers"))
    if step.get("type") != "Sequence":
        yield step
    for each in parts if isinstance(parts, list) else ():
        yield from _steps(each)

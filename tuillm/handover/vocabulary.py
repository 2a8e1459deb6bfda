"""Our three kinds of tokenizers as llama.cpp's two, so that every text has the ids it has here.

Byte-level pieces and GPT-2's own become its 'gpt2'. Characters become its 'llama', which falls
back to bytes as ours does; with merges instead, the first bytes of a character that is not in the
vocabulary could join those of one that is, and get lost. Knows ids and names; knows no weights.
"""

from tuillm.errors import TuillmError
from tuillm.model.gguf import BYTE, CONTROL, NORMAL, UNUSED, Vocabulary
from tuillm.text.tokenizer import Tokenizer

_BLANK = "\u2581"  # llama.cpp's stand-in for a blank, in texts and in tokens
_BLANK_BYTE = "<0x20>"


def vocabulary_of(tokenizer: Tokenizer, size: int) -> Vocabulary:
    """Return a tokenizer as llama.cpp wants it; a model's rows up to `size` have no text.

    Raises TuillmError for a vocabulary that llama.cpp cannot reproduce: one without an end of
    text, or one of characters of which one is U+2581.
    """
    if tokenizer.eot is None:
        raise TuillmError("llama.cpp wants a token that ends a text, and this vocabulary has none",
                          "export it with --to hf")
    vocab: dict[str, int] = dict(tokenizer.spec["model"]["vocab"])
    names = {id: token for token, id in vocab.items()}
    kinds = {id: NORMAL for id in names}
    for added in tokenizer.spec.get("added_tokens", []):
        names[int(added["id"])], kinds[int(added["id"])] = added["content"], CONTROL
    if tokenizer.kind == "char":
        _name_characters(vocab, names, kinds)
    for id in range(size):
        if id not in names:  # a blank stands in no token, so that this is none of them
            names[id], kinds[id] = f"<unused {id}>", UNUSED
    merges = [merge if isinstance(merge, str) else " ".join(merge)
              for merge in tokenizer.spec["model"]["merges"]]
    ids = range(max(size, max(names) + 1))
    return Vocabulary(
        "llama" if tokenizer.kind == "char" else "gpt2",
        [names[id] for id in ids], [kinds[id] for id in ids], merges, tokenizer.eot,
    )


def _name_characters(vocab: dict[str, int], names: dict[int, str], kinds: dict[int, int]) -> None:
    """Mark the bytes, and give the blank the name llama.cpp looks for."""
    if _BLANK in vocab:
        raise TuillmError("this vocabulary has the character U+2581, which stands for a blank in "
                          "llama.cpp", "export it with --to hf")
    for token, id in vocab.items():
        if len(token) == len(_BLANK_BYTE):
            kinds[id] = BYTE
    blank = vocab.get(" ", vocab.get(_BLANK_BYTE))
    if blank is not None:
        names[blank], kinds[blank] = _BLANK, NORMAL

"""Our tokenizers as llama.cpp's two, so that every text has the ids there that it has here.

Byte-level pieces and GPT-2's own become its 'gpt2'. Characters with bytes to fall back on become
its 'llama', which does the same; with merges instead, the first bytes of a character that is not
in the vocabulary could join those of one that is, and get lost. Where there are no bytes, as in
vocabularies of nanoGPT, lost is what they shall be. Knows ids and names; knows no weights.
"""

from tuillm.convert.gguf import ADDED, BYTE, CONTROL, NORMAL, UNUSED, Vocabulary
from tuillm.errors import TuillmError
from tuillm.text.tokenizer import Tokenizer
from tuillm.text.tokenizer_json import END_OF_TEXT, byte_table

_BLANK = "\u2581"  # llama.cpp's stand-in for a blank, in texts and in tokens
_BLANK_BYTE = "<0x20>"


def vocabulary_of(tokenizer: Tokenizer, size: int) -> Vocabulary:
    """Return a tokenizer as llama.cpp wants it; a model's rows up to `size` have no text.

    llama.cpp cannot do without a token that ends a text: where there is none, one follows behind
    the others, at `size`. Raises TuillmError for characters of which one is U+2581.
    """
    vocab: dict[str, int] = tokenizer.spec["model"]["vocab"]
    names = {id: token for token, id in vocab.items()}
    kinds = {id: NORMAL for id in names}
    for id, name in tokenizer.names.items():
        if id < size:  # a special one beyond can come to be nowhere
            names[id], kinds[id] = name, ADDED if tokenizer.token_bytes(id) else CONTROL
    merges = [
        merge if isinstance(merge, str) else " ".join(merge)
        for merge in tokenizer.spec["model"]["merges"]
    ]
    with_bytes = tokenizer.kind == "char" and "<0xFF>" in vocab
    if with_bytes:
        _name_characters(vocab, names, kinds)
    elif tokenizer.kind == "char":
        merges = _spell_characters(vocab, names)
    for id in range(size):
        if id not in names:  # a blank stands in no token, so that this is none of them
            names[id], kinds[id] = f"<unused {id}>", UNUSED
    end = tokenizer.eot
    if end is None:
        end = size
        names[end], kinds[end] = END_OF_TEXT, CONTROL
    ids = range(max(names) + 1)
    return Vocabulary(
        "llama" if with_bytes else "gpt2",
        [names[id] for id in ids],
        [kinds[id] for id in ids],
        merges,
        end,
        tokenizer.chat_template,
    )


def _name_characters(vocab: dict[str, int], names: dict[int, str], kinds: dict[int, int]) -> None:
    """Mark the bytes, and give the blank the name llama.cpp looks for."""
    if _BLANK in vocab:
        raise TuillmError(
            "this vocabulary has the character U+2581, which stands for a blank in llama.cpp",
            "export it with --to hf",
        )
    for token, id in vocab.items():
        if len(token) == len(_BLANK_BYTE):
            kinds[id] = BYTE
    blank = vocab.get(" ", vocab.get(_BLANK_BYTE))
    if blank is not None:
        names[blank], kinds[blank] = _BLANK, NORMAL


def _spell_characters(vocab: dict[str, int], names: dict[int, str]) -> list[str]:
    """Name characters by their bytes' stand-ins; return the merges that build them of those."""
    stand_ins = {byte: stand_in for stand_in, byte in byte_table().items()}
    # llama.cpp loads no file without merges: this one joins two bytes that stand in no text
    merges: dict[str, None] = {f"{stand_ins[0xFE]} {stand_ins[0xFF]}": None}
    for character, id in vocab.items():
        letters = "".join(stand_ins[byte] for byte in character.encode())
        names[id] = letters
        merges |= {f"{letters[:index]} {letters[index]}": None for index in range(1, len(letters))}
    return list(merges)

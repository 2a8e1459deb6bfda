"""Tokenizers as llama.cpp's two, so that every text has the ids there that it has here.

Our byte-level pieces and GPT-2's own become its 'gpt2'. Characters with bytes to fall back on
become its 'llama', which does the same; with merges instead, the first bytes of a character that
is not in the vocabulary could join those of one that is, and get lost. Where there are no bytes, as
in vocabularies of nanoGPT, lost is what they shall be. How those of other families come to their
pieces `gguf_pieces` knows. Knows ids and names; knows no weights.
"""

from tuillm.convert.gguf import Vocabulary
from tuillm.convert.gguf_names import ADDED, BLANK, BYTE, CONTROL, NORMAL, UNUSED
from tuillm.convert.gguf_pieces import Pieces, library_pieces
from tuillm.convert.gguf_roles import TokenRoles, ends_of
from tuillm.errors import TuillmError
from tuillm.text.library_tokenizer import LibraryTokenizer
from tuillm.text.tokenizer import Tokenizer
from tuillm.text.tokenizer_json import END_OF_TEXT, byte_table, pair_of

_BLANK_BYTE = "<0x20>"
_NO_ROLES = TokenRoles()


def vocabulary_of(tokenizer: Tokenizer, size: int, roles: TokenRoles = _NO_ROLES) -> Vocabulary:
    """Return a tokenizer as llama.cpp wants it; a model's rows up to `size` have no text.

    `roles` is what the files beside it tell. llama.cpp cannot do without a token that ends a text:
    where there is none, one follows behind the others, at `size`. Raises TuillmError for a
    tokenizer whose ids llama.cpp would not come to.
    """
    names = {id: token for token, id in tokenizer.spec["model"]["vocab"].items()}
    kinds = {id: NORMAL for id in names}
    for id, name in tokenizer.names.items():
        if id < size:  # a special one beyond can come to be nowhere
            names[id], kinds[id] = name, ADDED if tokenizer.token_bytes(id) else CONTROL
    if isinstance(tokenizer, LibraryTokenizer):
        pieces = library_pieces(tokenizer, names, kinds)
    else:
        pieces = _own_pieces(tokenizer, names, kinds)
    for id in range(size):
        if id not in names:  # a blank stands in no token, so that this is none of them
            names[id], kinds[id] = f"<unused {id}>", UNUSED
    if tokenizer.eot is None:
        names[size], kinds[size] = END_OF_TEXT, CONTROL
    ends, notes = ends_of(tokenizer, size)
    ids = range(max(names) + 1)
    return Vocabulary(
        pieces,
        tokens=[names[id] for id in ids],
        kinds=[kinds[id] for id in ids],
        ends=ends,
        roles=roles,
        # JSON may hold halves of a character, which no file can
        chat_template=tokenizer.chat_template.encode("utf-8", "replace").decode(),
        notes=(*pieces.notes, *roles.notes, *notes),
    )


def _own_pieces(tokenizer: Tokenizer, names: dict[int, str], kinds: dict[int, int]) -> Pieces:
    """Return how a tokenizer of ours, or GPT-2's, comes to its pieces; may change their names."""
    vocab: dict[str, int] = tokenizer.spec["model"]["vocab"]
    merges = [" ".join(pair_of(merge)) for merge in tokenizer.spec["model"]["merges"]]
    if tokenizer.kind == "char" and "<0xFF>" in vocab:
        _name_characters(vocab, names, kinds)
        return Pieces("llama", scores={})
    if tokenizer.kind == "char":
        merges = _spell_characters(vocab, names)
    return Pieces("gpt2", "gpt-2", merges)


def _name_characters(vocab: dict[str, int], names: dict[int, str], kinds: dict[int, int]) -> None:
    """Mark the bytes, and give the blank the name llama.cpp looks for."""
    if BLANK in vocab:
        raise TuillmError(
            "this vocabulary has the character U+2581, which stands for a blank in llama.cpp",
            "export it with --to hf",
        )
    for token, id in vocab.items():
        if len(token) == len(_BLANK_BYTE):
            kinds[id] = BYTE
    blank = vocab.get(" ", vocab.get(_BLANK_BYTE))
    if blank is not None:
        names[blank], kinds[blank] = BLANK, NORMAL


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

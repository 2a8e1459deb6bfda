"""Makes a tokenizer of each kind: of characters, of BPE pieces learned from a corpus, of GPT-2.

Knows what is written into a `tokenizer.json`; learning the pieces is `text.bpe_training`.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Sequence
from functools import partial

from tuillm.errors import TuillmError
from tuillm.formats.json_text import JsonObject
from tuillm.store.network import check_for_download
from tuillm.text.bpe_training import learn_pieces
from tuillm.text.progress_tick import Tick, unwatched
from tuillm.text.tiktoken_tokenizer import TiktokenTokenizer
from tuillm.text.tokenizer import Tokenizer, slices
from tuillm.text.tokenizer_json import BYTE_LEVEL, bpe_model, byte_level_spec, tokenizer_spec
from tuillm.urls import hide_secrets

# where tiktoken itself finds GPT-2's vocabulary, with the hashes it checks
_GPT2_HOST = "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/"
_GPT2_FILES = {
    "vocab.bpe": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
    "encoder.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
}
_LEARNED_PART = 1 << 14
# twice as many as the largest dictionary of Chinese has; each is a row of the model
MOST_CHARACTERS = 1 << 16


def make_tokenizer(
    kind: str,
    documents: Iterable[str],
    vocab_size: int = 1024,
    tick: Tick = unwatched,
    *,
    special: Sequence[str] = (),
) -> Tokenizer:
    """Return a tokenizer of `kind` ('char', 'bpe' or 'gpt2') for a corpus.

    `vocab_size` counts all entries of a bpe vocabulary: 256 bytes, end of text, and pieces; names
    of `special` tokens come besides, but to GPT-2's. What `tick` raises ends the work. Raises
    TuillmError for more than 65,536 characters, and where GPT-2's vocabulary cannot be fetched.
    """
    if kind == "char":
        return TiktokenTokenizer(_char_spec(documents, tick, special))
    if kind == "bpe":
        return TiktokenTokenizer(_train_bpe(list(documents), vocab_size, tick, special))
    return _gpt2_tokenizer()


def tokenizer_of_characters(characters: Sequence[str]) -> Tokenizer:
    """Return the tokenizer whose ids count these characters, and that has no others.

    Neither bytes nor an end of text: such are the vocabularies of nanoGPT.
    """
    vocab = {character: id for id, character in enumerate(characters)}
    return TiktokenTokenizer(_char_file(vocab) | {"added_tokens": []})


def gpt2_is_cached() -> bool:
    """Whether GPT-2's vocabulary is where tiktoken looks for it before it asks the network."""
    environ, default = os.environ, os.path.join(tempfile.gettempdir(), "data-gym-cache")
    folder = environ.get("TIKTOKEN_CACHE_DIR", environ.get("DATA_GYM_CACHE_DIR", default))
    names = (hashlib.sha1((_GPT2_HOST + name).encode()).hexdigest() for name in _GPT2_FILES)
    return bool(folder) and all(os.path.exists(os.path.join(folder, name)) for name in names)


def _char_spec(documents: Iterable[str], tick: Tick, special: Sequence[str]) -> JsonObject:
    found: set[str] = set()
    for part in (part for document in documents for part in slices(document)):
        tick("collecting characters", 0.0)
        found.update(part)
        if len(found) > MOST_CHARACTERS:
            raise TuillmError(
                f"the text has more than {MOST_CHARACTERS:,} different characters, too many for a "
                "vocabulary of them",
                "is it a text? --tokenizer bpe writes any character in bytes",
            )
    characters = sorted(found)
    seen = {character.encode() for character in characters}
    names = [f"<0x{byte:02X}>" for byte in range(256) if bytes([byte]) not in seen]
    return _char_file({token: id for id, token in enumerate(characters + names)}, special)


def _char_file(vocab: dict[str, int], special: Sequence[str] = ()) -> JsonObject:
    model = bpe_model(vocab, [], byte_fallback=True)
    decoder = {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]}
    return tokenizer_spec(model, None, decoder, special=special)


def _train_bpe(
    documents: Sequence[str], vocab_size: int, tick: Tick, special: Sequence[str]
) -> JsonObject:
    # the library works on 256 parts at once, and takes many times their size for it
    cut = partial(slices, size=_LEARNED_PART)
    model = learn_pieces(documents, vocab_size - 1, cut, tick)  # end of text comes last
    return tokenizer_spec(model, BYTE_LEVEL, BYTE_LEVEL, special=special)


def _gpt2_tokenizer() -> Tokenizer:
    """Return GPT-2's tokenizer from tiktoken's cache, which it fills from the network once."""
    import requests
    from tiktoken.load import read_file_cached

    try:
        merges, vocab = (
            read_file_cached(_GPT2_HOST + name, expected_hash=digest)
            for name, digest in _GPT2_FILES.items()
        )
    except (requests.RequestException, OSError, ValueError) as error:
        check_for_download(_GPT2_HOST)
        reason = (
            "cannot be reached"
            if isinstance(error, requests.RequestException)
            else (hide_secrets(str(error)))
        )
        raise TuillmError(
            f"GPT-2's vocabulary has to be fetched once, and its server {reason}",
            "connect once, or use --tokenizer bpe",
        ) from None
    return TiktokenTokenizer(byte_level_spec(json.loads(vocab), merges.decode()))

"""Tokenizers of three kinds, one at run time (tiktoken) and one on disk (`tokenizer.json`).

    char   every character of the corpus is a token; unseen ones fall back to their bytes
    bpe    byte-level pieces learned from the corpus
    gpt2   GPT-2's own vocabulary of 50,257 pieces

The file is Hugging Face's format and gives the same ids in `transformers`. Tokens are byte
strings, not characters: only a decoder that keeps state may turn them into text one by one.
"""

import codecs
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import tiktoken

from tuillm.errors import TuillmError
from tuillm.store.files import read_json, write_json, write_text
from tuillm.store.network import check_for_download
from tuillm.text.pieces import learn_pieces
from tuillm.text.progress import Tick, unwatched
from tuillm.urls import hide_secrets

END_OF_TEXT = "<|endoftext|>"
GPT2_ENTRIES = 50_257
_SLICE = 1 << 20
# or before a mark that ends a clause where no blanks are written
_BEHIND_WORD = re.compile(r"\S[ \n]|\w[。，、！？；：]")
# where tiktoken itself finds GPT-2's vocabulary, with the hashes it checks
_GPT2_HOST = "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/"
_GPT2_FILES = {
    "vocab.bpe": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
    "encoder.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
}


class Tokenizer:
    """Text to ids and back. `n_vocab` counts the end-of-text token, whose id is `eot` (or None)."""

    def __init__(self, spec: dict[str, Any]) -> None:
        """Build from the contents of a `tokenizer.json`; raises TuillmError for other kinds."""
        self.spec = spec
        self.kind = _kind(spec)
        self.eot = next((int(token["id"]) for token in spec.get("added_tokens", [])
                         if token["content"] == END_OF_TEXT), None)
        ranks = _ranks(spec, self.kind)
        special = {} if self.eot is None else {END_OF_TEXT: self.eot}
        self.n_vocab = len(spec["model"]["vocab"].keys() | special.keys())
        self._ids_by_bytes = ranks
        self._unknown = _unknown(ranks)
        self._encoding = tiktoken.Encoding(
            f"tuillm-{self.kind}",
            pat_str="(?s:.)" if self.kind == "char" else _gpt2_pattern(),
            mergeable_ranks=ranks,
            special_tokens=special,
        )

    @property
    def sha256(self) -> str:
        """Hash of all that decides the ids."""
        return hashlib.sha256(json.dumps(self.spec, sort_keys=True).encode()).hexdigest()

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text; '<|endoftext|>' in it is plain text like any other.

        Characters that a vocabulary of characters alone does not have are left out.
        """
        if self._unknown is not None:
            text = self._unknown.sub("", text)
        return self._encoding.encode_ordinary(text)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids; bytes that are no UTF-8 become U+FFFD."""
        return self._encoding.decode_bytes(list(ids)).decode("utf-8", "replace")

    def token_bytes(self, token: int) -> bytes:
        """Return the bytes one id stands for; end-of-text and unused ids stand for none."""
        if token == self.eot:
            return b""
        try:
            return self._encoding.decode_single_token_bytes(token)
        except KeyError:
            return b""

    def tokens_spelling(self, rest: bytes) -> list[int]:
        """Return the ids whose bytes begin with `rest`, and those that `rest` begins with."""
        shorter = (self._ids_by_bytes.get(rest[:size]) for size in range(1, len(rest)))
        longer = [token for spelt, token in self._ids_by_bytes.items() if spelt.startswith(rest)]
        return [token for token in shorter if token is not None] + longer

    def text_decoder(self) -> codecs.IncrementalDecoder:
        """Return a decoder to feed token bytes to, which holds back characters still incomplete."""
        return codecs.getincrementaldecoder("utf-8")("replace")

    def save(self, folder: Path, context: int) -> None:
        """Write the files that `transformers.AutoTokenizer` reads; `context` is in tokens."""
        write_json(folder / "tokenizer.json", self.spec)
        named = {} if self.eot is None else {
            key: END_OF_TEXT for key in ("bos_token", "eos_token", "unk_token")
        }
        write_json(folder / "tokenizer_config.json", named | {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": context,
            "clean_up_tokenization_spaces": False,
        })
        if self.kind != "char":
            vocab = self.spec["model"]["vocab"]
            write_json(folder / "vocab.json", vocab | ({} if self.eot is None
                                                       else {END_OF_TEXT: self.eot}))
            merges = [" ".join(_pair(merge)) for merge in self.spec["model"]["merges"]]
            write_text(folder / "merges.txt", "\n".join(["#version: 0.2", *merges]) + "\n")


def load_tokenizer(folder: Path) -> Tokenizer:
    """Return the tokenizer of a model folder.

    Reads `tokenizer.json`, or GPT-2's older pair `vocab.json` and `merges.txt`. Raises
    TuillmError when they are missing, damaged or of a kind tuillm does not know.
    """
    whole, older = folder / "tokenizer.json", folder / "merges.txt"
    what = str(whole)
    try:
        if whole.exists() or not older.exists():
            return Tokenizer(read_json(whole))
        what = f"{older} or vocab.json beside it"
        merges = older.read_text(encoding="utf-8")
        return Tokenizer(_byte_level_spec(read_json(folder / "vocab.json"), merges))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TuillmError(f"{what} is damaged: {type(error).__name__}: {error}") from None


def make_tokenizer(
    kind: str, documents: Iterable[str], vocab_size: int = 1024, tick: Tick = unwatched
) -> Tokenizer:
    """Return a tokenizer of `kind` ('char', 'bpe' or 'gpt2') for a corpus.

    `vocab_size` counts all entries of a bpe vocabulary: 256 bytes, end of text, and pieces. What
    `tick` raises ends the work.
    """
    if kind == "char":
        return Tokenizer(_char_spec(documents, tick))
    if kind == "bpe":
        return Tokenizer(_train_bpe(list(documents), vocab_size, tick))
    return _gpt2_tokenizer()


def tokenizer_of_characters(characters: Sequence[str]) -> Tokenizer:
    """Return the tokenizer whose ids are the places of these characters, and that has no others.

    Neither bytes nor an end of text: such are the vocabularies of nanoGPT.
    """
    vocab = {character: id for id, character in enumerate(characters)}
    return Tokenizer(_char_file(vocab) | {"added_tokens": []})


def gpt2_is_cached() -> bool:
    """Whether GPT-2's vocabulary is where tiktoken looks for it before it asks the network."""
    environ, default = os.environ, os.path.join(tempfile.gettempdir(), "data-gym-cache")
    place = environ.get("TIKTOKEN_CACHE_DIR", environ.get("DATA_GYM_CACHE_DIR", default))
    names = (hashlib.sha1((_GPT2_HOST + name).encode()).hexdigest() for name in _GPT2_FILES)
    return bool(place) and all(os.path.exists(os.path.join(place, name)) for name in names)


def byte_table() -> dict[str, int]:
    """Return GPT-2's stand-ins for bytes: printable Latin-1 is itself, the rest from U+0100."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {
        chr(256 + place): byte for place, byte in enumerate(others)
    }


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


def _char_spec(documents: Iterable[str], tick: Tick) -> dict[str, Any]:
    found: set[str] = set()
    for part in (part for document in documents for part in slices(document)):
        tick("collecting characters", 0.0)
        found.update(part)
    characters = sorted(found)
    seen = {character.encode() for character in characters}
    names = [f"<0x{byte:02X}>" for byte in range(256) if bytes([byte]) not in seen]
    return _char_file({token: id for id, token in enumerate(characters + names)})


def _char_file(vocab: dict[str, int]) -> dict[str, Any]:
    model = _bpe_model(vocab, [], byte_fallback=True)
    decoder = {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]}
    return _spec(model, None, decoder)


def _train_bpe(documents: Sequence[str], vocab_size: int, tick: Tick) -> dict[str, Any]:
    model = learn_pieces(documents, vocab_size - 1, slices, tick)  # end of text comes last
    return _spec(model, _BYTE_LEVEL, _BYTE_LEVEL)


def _gpt2_tokenizer() -> Tokenizer:
    """Return GPT-2's tokenizer from tiktoken's cache, which it fills from the network once."""
    import requests
    from tiktoken.load import read_file_cached

    try:
        merges, vocab = (read_file_cached(_GPT2_HOST + name, expected_hash=digest)
                         for name, digest in _GPT2_FILES.items())
    except (requests.RequestException, OSError, ValueError) as error:
        check_for_download(_GPT2_HOST)
        reason = "cannot be reached" if isinstance(error, requests.RequestException) else (
            hide_secrets(str(error)))
        raise TuillmError(
            f"GPT-2's vocabulary has to be fetched once, and its server {reason}",
            "connect once, or use --tokenizer bpe",
        ) from None
    return Tokenizer(_byte_level_spec(json.loads(vocab), merges.decode()))


def _byte_level_spec(vocab: dict[str, int], merges: str) -> dict[str, Any]:
    pairs = [line.split(" ") for line in merges.split("\n") if line and line[:8] != "#version"]
    plain = {token: id for token, id in vocab.items() if token != END_OF_TEXT}
    behind = max(plain.values()) + 1
    end = vocab.get(END_OF_TEXT, behind)
    # libraries find an added token behind the others by itself, one before them in the vocabulary
    model = _bpe_model(plain if end == behind else vocab, pairs, byte_fallback=False)
    return _spec(model, _BYTE_LEVEL, _BYTE_LEVEL, end)


_BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
               "use_regex": True}


def _bpe_model(
    vocab: dict[str, int], merges: list[list[str]], byte_fallback: bool
) -> dict[str, Any]:
    return {"type": "BPE", "dropout": None, "unk_token": None,
            "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False,
            "byte_fallback": byte_fallback, "ignore_merges": False, "vocab": vocab,
            "merges": merges}


def _spec(
    model: dict[str, Any], pre: Any, decoder: Any, end: int | None = None
) -> dict[str, Any]:
    """Return a `tokenizer.json`; end of text has the id `end`, or the one behind all others."""
    id = max(model["vocab"].values()) + 1 if end is None else end
    added = {"id": id, "content": END_OF_TEXT, "single_word": False,
             "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [added],
            "normalizer": None, "pre_tokenizer": pre, "post_processor": None,
            "decoder": decoder, "model": model}


def _kind(spec: dict[str, Any]) -> str:
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


def _ranks(spec: dict[str, Any], kind: str) -> dict[bytes, int]:
    """Return tiktoken's ranks: the bytes of each token, to its id."""
    vocab: dict[str, int] = spec["model"]["vocab"]
    if kind == "char":
        return {_char_bytes(token): id for token, id in vocab.items()}
    ids = [vocab["".join(_pair(merge))] for merge in spec["model"]["merges"]]
    if any(later <= earlier for earlier, later in zip(ids, ids[1:], strict=False)):
        raise TuillmError("this tokenizer's merges are not in the order of its ids")
    table = byte_table()
    if not vocab.keys() >= table.keys():
        raise TuillmError("this tokenizer does not know every byte")
    # by way of Latin-1, whose characters are the bytes: ten times faster than one by one
    latin = str.maketrans({stand_in: chr(byte) for stand_in, byte in table.items()})
    return {token.translate(latin).encode("latin-1"): id
            for token, id in vocab.items() if token != END_OF_TEXT}


def _unknown(ranks: dict[bytes, int]) -> re.Pattern[str] | None:
    """Return what finds the characters that no ids spell, or None where every byte has one."""
    lacking = {byte for byte in range(256) if bytes([byte]) not in ranks}
    if not lacking:
        return None
    known = re.escape("".join(spelt.decode() for spelt in ranks
                              if spelt[0] < 128 or len(spelt) > 1))  # whole characters
    beyond = "" if lacking & set(range(0x80, 0xF5)) else "\u0080-\U0010ffff"
    return re.compile(f"[^{known}{beyond}]+")


def _char_bytes(token: str) -> bytes:
    is_byte = len(token) == 6 and token.startswith("<0x")
    return bytes([int(token[3:5], 16)]) if is_byte else token.encode()


def _pair(merge: str | list[str]) -> list[str]:
    return merge.split(" ") if isinstance(merge, str) else merge


def _gpt2_pattern() -> str:
    from tiktoken_ext.openai_public import r50k_pat_str

    return r50k_pat_str

"""How a byte-level tokenizer of llama.cpp cuts a text before it looks for pieces, by its name.

`tokenizer.ggml.pre` names one of llama.cpp's patterns; each is written here as the tokenizers that
it was named after have it in their `tokenizer.json`. Knows patterns; knows no vocabulary.
"""

from dataclasses import dataclass
from os import PathLike

from tuillm.errors import TuillmError, brief
from tuillm.formats.json_text import JsonObject
from tuillm.text.tokenizer_json import BYTE_LEVEL

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"

# by what each is named after
_GPT2 = ("gpt-2", "phi-2", "olmo", "mpt", "exaone4")
_DIGITS = ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b")
_LLAMA3 = ("llama-bpe", "llama3", "llama-v3", "falcon3", "lfm2", "pixtral")
_LLAMA3_MERGED = ("dbrx", "smaug-bpe")  # the same pattern, where merges decide over words too
_QWEN2 = ("qwen2", "deepseek-r1-qwen", "megrez")


@dataclass(frozen=True)
class Splitting:
    """What stands in a `tokenizer.json` for one of llama.cpp's names.

    `whole_words` tells that a word which is in the vocabulary is it, whatever the merges say, `nfc`
    that texts are composed first, `adds_bos` that they begin with bos where it is not told.
    """

    pre_tokenizer: JsonObject
    whole_words: bool = False
    nfc: bool = False
    adds_bos: bool = False
    notes: tuple[str, ...] = ()


def splitting_of(path: str | PathLike[str], name: str | None, family: str) -> Splitting:
    """Return how a model of a family cuts its text, by `tokenizer.ggml.pre`.

    Raises TuillmError for a name that is not known. Without one, as files had none before April
    2024, that of the family's own models is assumed.
    """
    if name in (None, "default"):
        usual = {"gpt2": "gpt-2", "qwen2": "qwen2", "qwen3": "qwen2"}.get(family)
        if usual is None:
            raise TuillmError(
                f"{path} does not tell how its tokenizer cuts a text: tokenizer.ggml.pre is "
                f"{brief(name)}",
                "convert the model anew with llama.cpp's convert_hf_to_gguf.py",
            )
        found = splitting_of(path, usual, family)
        note = f"how its tokenizer cuts a text is not told: assumed as {usual} does"
        return Splitting(found.pre_tokenizer, nfc=found.nfc, notes=(note,))
    if name in _GPT2:
        return Splitting(BYTE_LEVEL)
    if name in _DIGITS:
        digits = {"type": "Digits", "individual_digits": True}
        return Splitting({"type": "Sequence", "pretokenizers": [digits, BYTE_LEVEL]})
    if name in (*_LLAMA3, *_LLAMA3_MERGED):
        pattern = f"{_CONTRACTIONS}|{_WORDS}|\\p{{N}}{{1,3}}|{_REST}"
        whole_words = name in _LLAMA3
        return Splitting(_pattern(pattern), whole_words, adds_bos=whole_words)
    if name in _QWEN2:  # Qwen's own folders compose characters, which llama.cpp does not
        pattern = f"{_CONTRACTIONS}|{_WORDS}|\\p{{N}}|{_REST}"
        return Splitting(_pattern(pattern), nfc=family != "llama")
    known = ", ".join((*_GPT2, *_DIGITS, *_LLAMA3, *_LLAMA3_MERGED, *_QWEN2))
    raise TuillmError(
        f"{path} has a tokenizer that cuts text as {brief(name)} does, which tuillm does not know",
        f"known: {known}",
    )


def name_of_splitting(pre_tokenizer: object, whole_words: bool) -> str | None:
    """Return llama.cpp's name for how a `pre_tokenizer` cuts a text, or None: it has none.

    `whole_words` is as in `Splitting`. The other direction is `splitting_of`.
    """
    wanted = _plain(pre_tokenizer)
    for name in (_GPT2[0], _DIGITS[0], _LLAMA3[0], _LLAMA3_MERGED[0], _QWEN2[0]):
        found = splitting_of("", name, "")
        if _plain(found.pre_tokenizer) == wanted and found.whole_words == whole_words:
            return name
    return None


def _plain(step: object) -> list[JsonObject]:
    """Return the steps of a pre-tokenizer without what decides no id, defaults written out."""
    if not isinstance(step, dict):
        return []
    if step.get("type") == "Sequence":
        parts = step.get("pretokenizers")
        return [plain for each in parts or () for plain in _plain(each)]
    defaults = {"ByteLevel": {"use_regex": True, "add_prefix_space": True}}
    found = defaults.get(str(step.get("type")), {}) | step
    return [{key: value for key, value in found.items() if key != "trim_offsets"}]


def _pattern(pattern: str) -> JsonObject:
    split = {
        "type": "Split",
        "pattern": {"Regex": pattern},
        "behavior": "Isolated",
        "invert": False,
    }
    # the text is cut already: bytes get their stand-ins
    return {"type": "Sequence", "pretokenizers": [split, BYTE_LEVEL | {"use_regex": False}]}

"""What the ids of a model that comes in stand for: by its files, nanoGPT's, or as a person says.

Knows where tokenizers are kept and how nanoGPT makes them; knows no weights.
"""

from dataclasses import dataclass
from pathlib import Path

from tuillm.errors import TuillmError, UsageError
from tuillm.text import Tokenizer, load_tokenizer, make_tokenizer, read_corpus
from tuillm.text.nanogpt_meta import read_characters
from tuillm.text.new_tokenizer import tokenizer_of_characters
from tuillm.text.stdin_pipes import keep_pipes
from tuillm.text.tiktoken_tokenizer import GPT2_ENTRIES
from tuillm.user_paths import user_path

_META = "meta.pkl"
_CONFIGS = ("tokenizer_config.json", "config.json")
_PAIR = ("vocab.json", "merges.txt")
_GPT2_ROUNDED = 50_304  # to which nanoGPT rounds GPT-2's vocabulary up
_HINT = "--tokenizer gpt2, --tokenizer FOLDER, or --corpus TEXT"


@dataclass(frozen=True)
class Wanted:
    """What a person names: the text whose characters are meant, or 'gpt2' or a path."""

    corpus: str | None = None
    tokenizer: str | None = None


def folder_tokenizer(folder: Path, wanted: Wanted) -> Tokenizer:
    """Return the tokenizer a person names, else that of the folder; TuillmError without either."""
    if (named := _named(wanted, folder)) is not None:
        return named
    if not _has_files(folder):
        raise TuillmError(f"{folder} has no tokenizer", f"name one with {_HINT}")
    return load_tokenizer(folder)


def nanogpt_tokenizer(
    checkpoint: Path, dataset: str | None, size: int, wanted: Wanted
) -> Tokenizer:
    """Return the tokenizer of a checkpoint whose vocabulary has `size` entries.

    Looks beside it, then where nanoGPT keeps its data; without a `meta.pkl` GPT-2's vocabulary
    is meant, as in nanoGPT. Raises TuillmError where that cannot be.
    """
    if (named := _named(wanted, checkpoint.parent)) is not None:
        return named
    if _has_files(checkpoint.parent):
        return load_tokenizer(checkpoint.parent)
    paths = [checkpoint.parent / _META]
    if dataset:
        paths.append(checkpoint.parent.parent / "data" / dataset / _META)
    for path in paths:
        if path.exists():
            return tokenizer_of_characters(read_characters(path))
    if GPT2_ENTRIES <= size <= _GPT2_ROUNDED:
        return make_tokenizer("gpt2", [])
    raise TuillmError(
        f"what the {size:,} ids of {checkpoint} stand for is not told",
        f"lay its {_META} beside it, or name the text with --corpus",
    )


def _named(wanted: Wanted, model: Path) -> Tokenizer | None:
    """Return the tokenizer a person names; a lone file ends texts as the model's folder tells."""
    if wanted.corpus and wanted.tokenizer:
        raise UsageError("--corpus and --tokenizer both name a vocabulary", "give one of them")
    if wanted.corpus:  # as nanoGPT does it
        return tokenizer_of_characters(sorted(set(read_corpus(keep_pipes((wanted.corpus,))).text)))
    if not wanted.tokenizer:
        return None
    if wanted.tokenizer == "gpt2":
        return make_tokenizer("gpt2", [])
    path = user_path(wanted.tokenizer)
    if path.is_file():
        if path.suffix == ".pkl":
            return tokenizer_of_characters(read_characters(path))
        if path.name not in _PAIR:
            beside = any((path.parent / name).exists() for name in _CONFIGS)
            return load_tokenizer(path.parent if beside else model, path)
        path = path.parent
    if not _has_files(path):
        raise TuillmError(f"{wanted.tokenizer} has no tokenizer", f"allowed: {_HINT}")
    return load_tokenizer(path)


def _has_files(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("tokenizer.json", "merges.txt"))

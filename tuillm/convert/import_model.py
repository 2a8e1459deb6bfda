"""Models that come in: Hugging Face folders, GGUF files and nanoGPT's checkpoints.

Whatever comes is read without running anything in it, checked against what it says of itself,
and written anew in our layout, so that a model in the registry looks the same wherever it is from.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from tuillm import __version__
from tuillm.config.gpt_config import GPTConfig
from tuillm.convert.gguf_import import open_gguf_model
from tuillm.convert.hf_weights import read_folder_model
from tuillm.convert.import_tokenizer import Wanted, folder_tokenizer, nanogpt_tokenizer
from tuillm.convert.nanogpt import read_checkpoint
from tuillm.errors import TuillmError, UsageError, did_you_mean
from tuillm.model import GPT, write_model
from tuillm.store.card import ModelCard, read_card
from tuillm.store.entry_names import check_name, name_from
from tuillm.store.model_sampling import begin_id, kept_sampling
from tuillm.store.registry import publish, refuse_if_taken
from tuillm.text import Tokenizer, load_tokenizer
from tuillm.user_paths import user_path

_NO_NAMES = ("ckpt", "model", "pytorch_model", "checkpoint", "config")
_CHECKPOINT = "ckpt.pt"
_WANTED = (
    "a Hugging Face folder, a .safetensors file with its config.json, a .gguf file, or nanoGPT's "
    "ckpt.pt"
)


@dataclass(frozen=True)
class Imported:
    """A model as it came in: its shape, and how many `parameters` it has.

    `padding` rows of its vocabulary, which no text reaches, were cut; `notes` are sentences on what
    else is not as it was.
    """

    name: str
    config: GPTConfig
    parameters: int
    tokenizer: Tokenizer
    padding: int = 0
    notes: tuple[str, ...] = ()


def import_model(
    source: str,
    name: str | None = None,
    *,
    replace: bool = False,
    corpus: str | None = None,
    tokenizer: str | None = None,
) -> Imported:
    """Bring a model into the registry as `name`, by default that of its folder or file.

    `source` is a Hugging Face folder, a weight file with a config.json beside it, a GGUF file, or
    nanoGPT's `ckpt.pt` (or its folder). `corpus` is the text whose characters are the vocabulary;
    `tokenizer` is 'gpt2', or a folder or file that holds one. Raises TuillmError, and changes
    nothing, for what is not there, no model, of another architecture, damaged, unsafe, without
    a tokenizer that fits, and for a name that is taken unless `replace` is given.
    """
    path = _recognised(source)
    name = check_name(name or _name_of(path))
    if not replace:
        refuse_if_taken(name, "name another with --name, or give --replace")
    wanted = Wanted(corpus, tokenizer)
    if path.suffix == ".gguf":
        return _gguf(path, name, wanted, replace)
    model, found, card = (_nanogpt if path.suffix == ".pt" else _folder)(path, name, wanted)
    source_folder = path if path.is_dir() else path.parent
    tokens = found.tokenizer
    with publish(name, card, replace=replace) as folder:
        write_model(
            model,
            folder,
            tokens.eot,
            tokens.ends,
            bos=begin_id(source_folder, tokens.names),
            sampling=kept_sampling(source_folder),
        )
        tokens.save(folder, model.config.block_size)
    return found


def _gguf(path: Path, name: str, wanted: Wanted, replace: bool) -> Imported:
    """Bring a GGUF file in, one tensor after the other: nothing is computed with it."""
    if wanted.corpus or wanted.tokenizer:
        raise UsageError(
            "a GGUF file brings its own tokenizer", "leave out --corpus and --tokenizer"
        )
    found = open_gguf_model(path)
    parameters = found.config.parameter_count
    card = ModelCard(origin="imported", parameters=parameters, tuillm_version=__version__)
    with publish(name, card, replace=replace) as folder:
        found.write_texts(folder)
        tokenizer = load_tokenizer(folder)  # before the weights, as it may be refused
        tokenizer.refuse_beyond(found.config.vocab_size, path)
        card.tokenizer = tokenizer.kind
        found.write_weights(folder)
    return Imported(name, found.config, parameters, tokenizer, notes=tuple(found.notes))


def _folder(path: Path, name: str, wanted: Wanted) -> tuple[GPT, Imported, ModelCard]:
    """Read a folder in Hugging Face's layout, or a weight file in one."""
    folder = path if path.is_dir() else path.parent
    model = read_folder_model(folder, None if path.is_dir() else path)
    tokenizer = folder_tokenizer(folder, wanted)
    tokenizer.refuse_beyond(model.config.vocab_size, folder)
    card = read_card(folder).model_copy(update=_known(model, tokenizer))
    return model, Imported(name, model.config, model.parameter_count, tokenizer), card


def _nanogpt(path: Path, name: str, wanted: Wanted) -> tuple[GPT, Imported, ModelCard]:
    """Read a checkpoint of nanoGPT and find out what its ids mean."""
    checkpoint = read_checkpoint(path)
    rows = checkpoint.config.vocab_size
    tokenizer = nanogpt_tokenizer(path, checkpoint.dataset, rows, wanted)
    if tokenizer.n_vocab > rows or (tokenizer.eot is None and tokenizer.n_vocab != rows):
        raise TuillmError(
            f"{path} has a vocabulary of {rows:,} entries, this tokenizer {tokenizer.n_vocab:,}",
            "name the text it was trained on with --corpus",
        )
    model = checkpoint.model(tokenizer.n_vocab)
    card = ModelCard(
        corpus=checkpoint.dataset, steps=checkpoint.steps, val_loss=checkpoint.val_loss
    )
    padding = rows - tokenizer.n_vocab
    found = Imported(name, model.config, model.parameter_count, tokenizer, padding)
    return model, found, card.model_copy(update=_known(model, tokenizer))


def _known(model: GPT, tokenizer: Tokenizer) -> dict[str, object]:
    """Return what every model that came in says of itself: it was not pulled."""
    return {
        "origin": "imported",
        "source": None,
        "revision": None,
        "base": None,
        "license": None,
        "parent": None,
        "run": None,
        "tokenizer": tokenizer.kind,
        "parameters": model.parameter_count,
        "tuillm_version": __version__,
    }


def _recognised(source: str) -> Path:
    """Return the folder or file to read; a folder that holds nanoGPT's checkpoint is that."""
    path = Path(os.path.abspath(user_path(source)))
    if path.is_dir():
        if (path / "config.json").exists():
            return path
        if (path / _CHECKPOINT).exists():
            return path / _CHECKPOINT
        raise TuillmError(f"the folder {source} holds no model", f"wanted: {_WANTED}")
    if not path.exists():
        beside = path.parent.iterdir() if path.parent.is_dir() else ()
        raise TuillmError(
            f"{source} does not exist",
            did_you_mean(
                path.name,
                [entry.name for entry in beside],
                "models of the hub come with tuillm pull",
            ),
        )
    if path.name == "config.json":
        return path.parent
    if path.suffix not in (".pt", ".gguf", ".safetensors", ".bin"):
        raise TuillmError(f"{source} is no model that tuillm reads", f"wanted: {_WANTED}")
    if path.suffix not in (".pt", ".gguf") and not (path.parent / "config.json").exists():
        raise TuillmError(f"{source} has no config.json beside it", "which tells its shape")
    return path


def _name_of(path: Path) -> str:
    """Return a name from that of a folder, or of a file that is not called as all others are."""
    if path.is_dir() or path.stem.lower() in _NO_NAMES:
        folder = path if path.is_dir() else path.parent
        return name_from(f"{folder.name}.folder")  # whose ending is not part of the name
    return name_from(path.name)

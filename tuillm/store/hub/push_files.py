"""What of a model goes out to the hub: its files, a card for people, and our own without names.

Of a person's own only what a model is made of is sent: no text, no run, no name of a local model,
no path. Knows folders and cards; sends nothing.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from tuillm.errors import TuillmError
from tuillm.formats.bounded_read import TOKENIZER_CONFIG_BYTES, read_object
from tuillm.store.card import CARD, ModelCard
from tuillm.store.copy_files import file_within
from tuillm.store.hub.api import CONFIG, SMALL_FILES
from tuillm.store.hub.base_model import base_of
from tuillm.store.model_card import README, model_readme
from tuillm.store.registry import WEIGHTS, Model

# of our card stays here: what a person calls their texts, runs and models
_PRIVATE = ("run", "corpus", "corpus_sha256", "corpus_bytes", "parent")
# settings in which programs leave where a folder lay, besides those that end in _file
_PATH_SETTINGS = ("_name_or_path", "name_or_path")


@dataclass(frozen=True)
class OutgoingFile:
    """One file by its name there: a path here, or contents that were made for it."""

    name: str
    content: Path | bytes

    @property
    def size(self) -> int:
        """Its length in bytes."""
        if isinstance(self.content, bytes):
            return len(self.content)
        return self.content.stat().st_size


def files_to_push(model: Model, repo: str) -> list[OutgoingFile]:
    """Return what is sent of a model to a repository, small files first.

    Raises TuillmError for links that lead out of its folder, and for damaged files.
    """
    found = []
    for name in (*SMALL_FILES, WEIGHTS):
        path = file_within(model.path, name)
        if path is None or name == CARD:
            continue
        content: Path | bytes = path
        if name in (CONFIG, "tokenizer_config.json", "generation_config.json"):
            content = _without_local_paths(path)
        found.append(OutgoingFile(name, content))
    own = file_within(model.path, README)
    readme = own or model_readme(model, base_of(model), repo).encode()
    made = [OutgoingFile(README, readme), OutgoingFile(CARD, _public_card(model.card))]
    if all(file.name != WEIGHTS for file in found):
        raise TuillmError(f"{model.path / WEIGHTS} is missing")
    return made + found


def _public_card(card: ModelCard) -> bytes:
    told = card.model_dump(mode="json", exclude=set(_PRIVATE), exclude_none=True)
    return (json.dumps(told, indent=2) + "\n").encode()


def _without_local_paths(path: Path) -> Path | bytes:
    """Return a file as it is, or its contents without the local paths in it.

    transformers writes these settings itself, and asks for none of them.
    """
    found = read_object(path, TOKENIZER_CONFIG_BYTES)
    kept = {
        name: value
        for name, value in found.items()
        if name not in _PATH_SETTINGS and not name.endswith("_file")
    }
    return path if len(kept) == len(found) else json.dumps(kept, indent=2).encode()

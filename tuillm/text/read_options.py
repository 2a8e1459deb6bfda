"""How texts are to be read: the settings of a run that decide on its corpus, and its chat template.

Knows settings and model folders; reads no text.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tuillm.config import TrainConfig
from tuillm.errors import TuillmError
from tuillm.formats.jinja_chat import Marks
from tuillm.store.chat_template import jinja_mode, named_marks
from tuillm.store.registry import find_model
from tuillm.text.chat_rendering import TEXT_TEMPLATE, TOKEN_TEMPLATE
from tuillm.text.tokenizer_json import END_OF_TEXT

# the settings of TrainConfig that decide what the documents of a corpus are
READING = (
    "encoding",
    "as_text",
    "glob",
    "documents",
    "format",
    "text_field",
    "question_field",
    "answer_field",
    "context_field",
    "answers",
    "mask_prompt",
    "fraction",
    "limit",
    "normalize",
    "keep_boilerplate",
    "strict",
)


@dataclass(frozen=True)
class ReadOptions:
    """The settings of a run, and the folder of the model whose chat template it writes with."""

    config: TrainConfig
    folder: Path | None = None

    @classmethod
    def of(cls, config: TrainConfig, folder: Path | None = None) -> Self:
        """Return the options of a run; raises TuillmError for a model to start from that is none.

        A run that was begun has its own checkpoint as `folder`: the model that it started from may
        be gone.
        """
        if folder is None and config.init_from is not None:
            folder = find_model(config.init_from).path
        return cls(config, folder)

    @property
    def key(self) -> str:
        """What tells these options from others that give another corpus."""
        config = self.config
        values = [getattr(config, name) for name in READING]
        seed = config.seed if config.fraction < 1 else None
        return repr((values, seed, str(self.folder or config.tokenizer)))

    def template(self) -> tuple[str, Marks, str]:
        """Return the chat template of conversations, its marks, and why it is plain words, or "".

        It has special tokens where the tokenizer is ours, is that of the model in the folder where
        there is one, and has plain words else. Raises TuillmError for a damaged folder.
        """
        if self.folder is None:
            plain = self.config.tokenizer == "gpt2"
            marks = Marks(bos_token="", eos_token=END_OF_TEXT)
            return (TEXT_TEMPLATE if plain else TOKEN_TEMPLATE), marks, ""
        from tuillm.text.tokenizer_files import load_tokenizer

        tokenizer = load_tokenizer(self.folder)
        end = tokenizer.names.get(tokenizer.eot, "") if tokenizer.eot is not None else ""
        named = named_marks(self.folder)
        marks = Marks(bos_token=named["bos_token"], eos_token=named["eos_token"] or end)
        try:
            if tokenizer.chat_template and jinja_mode(tokenizer.chat_template, **marks):
                return tokenizer.chat_template, marks, ""
        except TuillmError as error:
            note = f"conversations are learned as plain words: {error.message}"
            return TEXT_TEMPLATE, marks, note
        return TEXT_TEMPLATE, marks, ""

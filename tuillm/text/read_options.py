"""How a person wants their texts to be read: the settings of a run that decide on its corpus.

Knows settings; reads nothing.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from tuillm.config import TrainConfig
from tuillm.errors import TuillmError
from tuillm.store.chat_template import jinja_mode
from tuillm.store.registry import find_model
from tuillm.text.chat_rendering import TEXT_TEMPLATE, TOKEN_TEMPLATE
from tuillm.text.tokenizer_json import END_OF_TEXT


@dataclass(frozen=True)
class ReadOptions:
    """The settings of `TrainConfig` that say what documents are; its fields have the same names.

    `template` and `eos_token` are what conversations are written with.
    """

    encoding: str = "auto"
    as_text: bool = False
    glob: str | None = None
    documents: Literal["auto", "file", "line", "blank-line", "record", "none"] = "auto"
    format: Literal["auto", "text", "qa", "instruct", "chat"] = "auto"
    text_field: str | None = None
    question_field: str | None = None
    answer_field: str | None = None
    context_field: str | None = None
    answers: Literal["first", "each"] = "first"
    mask_prompt: bool = True
    fraction: float = 1.0
    limit: int | None = None
    seed: int = 0
    normalize: Literal["none", "nfc", "nfkc"] = "none"
    keep_boilerplate: bool = False
    strict: bool = False
    template: str = TOKEN_TEMPLATE
    eos_token: str = END_OF_TEXT

    @classmethod
    def of(cls, config: TrainConfig, folder: Path | None = None) -> Self:
        """Return the options of a run; raises TuillmError for a model to start from that is none.

        Conversations have special tokens where the tokenizer is ours, the template of the model
        that is fine-tuned where it has one, and plain words else. A run that was begun has them as
        its checkpoint in `folder` has: the model that it started from may be gone.
        """
        same = set(cls.__dataclass_fields__) & set(TrainConfig.model_fields)
        known = {name: getattr(config, name) for name in same}
        if folder is None and config.init_from is not None:
            folder = find_model(config.init_from).path
        if folder is not None:
            known["template"], known["eos_token"] = _template_of(folder)
        elif config.tokenizer == "gpt2":
            known["template"] = TEXT_TEMPLATE
        return cls(**known)


def _template_of(folder: Path) -> tuple[str, str]:
    """Return the chat template of a folder, or one of plain words, and what ends its texts."""
    from tuillm.text.tokenizer import load_tokenizer

    tokenizer = load_tokenizer(folder)
    end = tokenizer.names.get(tokenizer.eot, "") if tokenizer.eot is not None else ""
    with suppress(TuillmError):
        if tokenizer.chat_template and jinja_mode(tokenizer.chat_template, end):
            return tokenizer.chat_template, end
    return TEXT_TEMPLATE, end

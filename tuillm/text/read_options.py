"""How a person wants their texts to be read: the settings of a run that decide on its corpus.

Knows settings; reads nothing.
"""

from dataclasses import dataclass
from typing import Literal, Self

from tuillm.config import TrainConfig
from tuillm.formats.jinja_chat import TEMPLATE_FILE
from tuillm.store.chat_template import mode_of
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
    def of(cls, config: TrainConfig) -> Self:
        """Return the options of a run; raises TuillmError for a model to start from that is none.

        Conversations have special tokens where the tokenizer is ours, the template of the model
        that is fine-tuned where it has one, and plain words else.
        """
        same = set(cls.__dataclass_fields__) & set(TrainConfig.model_fields)
        known = {name: getattr(config, name) for name in same}
        if config.init_from is not None:
            known["template"], known["eos_token"] = _template_of(config.init_from)
        elif config.tokenizer == "gpt2":
            known["template"] = TEXT_TEMPLATE
        return cls(**known)


def _template_of(name: str) -> tuple[str, str]:
    """Return the chat template of a model, or one of plain words, and what ends its texts."""
    from tuillm.text.tokenizer import load_tokenizer

    model = find_model(name)
    tokenizer = load_tokenizer(model.path)
    end = tokenizer.names.get(tokenizer.eot, "") if tokenizer.eot is not None else ""
    if (model.path / TEMPLATE_FILE).exists() and mode_of(model).special:
        return tokenizer.chat_template, end
    return TEXT_TEMPLATE, end

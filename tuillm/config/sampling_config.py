"""SamplingConfig: how the next token is chosen and when a reply ends."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, field_validator

from tuillm.config.fields import setting

DEFAULT_PROMPT = "\n"  # what stands for no prompt at all
# replies to one prompt; and the stop strings of one, which are looked for at every token
MOST_SAMPLES = 100_000
_MOST_STOPS, _LONGEST_STOP = 64, 1000
_COLDEST = 1e-9  # dividing by less leaves float32


class SamplingConfig(BaseModel):
    """The settings of one reply; frozen, used by `generate`, the chat and training samples."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    temperature: float = setting(
        0.8, "0 always takes the likeliest token; higher is wilder", group="sampling", ge=0, le=10
    )
    top_k: int = setting(
        200,
        "choose among the k likeliest tokens; 0 among all",
        group="sampling",
        ge=0,
        le=1_000_000,
    )
    top_p: float = setting(
        1.0,
        "choose among the likeliest tokens that make up this probability",
        group="sampling",
        gt=0,
        le=1,
    )
    min_p: float = setting(
        0.0,
        "drop tokens less likely than this share of the likeliest",
        group="sampling",
        ge=0,
        le=1,
    )
    repetition_penalty: float = setting(
        1.0,
        "above 1 makes tokens that already stand in the context less likely",
        group="sampling",
        gt=0,
        le=10,
    )
    stop: tuple[str, ...] = setting(
        (),
        "texts that end the reply and are not part of it; \\n is a line end",
        group="reply",
        escapes=True,
        allowed=f"at most {_MOST_STOPS}, each of at most {_LONGEST_STOP} characters",
    )
    max_new_tokens: int = setting(
        200, "longest reply in tokens", group="reply", ge=1, le=10_000_000
    )
    n_keep: int = setting(
        0,
        "first tokens that stay in view when the context is full",
        group="reply",
        ge=0,
        le=10_000_000,
    )
    heal: bool = setting(
        True, "let the model finish a word that the prompt ends in the middle of", group="reply"
    )
    seed: int | None = setting(
        None, "fixes the draw; auto: a new one each time", group="reply", ge=0, lt=2**63
    )

    lookup: Literal["auto", "on", "off"] = setting(
        "auto",
        "compute several tokens at once where the text so far, or the book, tells what may come: "
        "auto where the text stays the same, on also where bfloat16 and int8 round otherwise",
        group="reply",
    )

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is taken and nothing is drawn."""
        return self.temperature < _COLDEST

    @field_validator("stop", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        """A single text stands for a list of one; an empty text would end every reply at once."""
        texts = (value,) if isinstance(value, str) else value
        return tuple(text for text in texts if text) if isinstance(texts, list | tuple) else texts

    @field_validator("stop")
    @classmethod
    def _bounded(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        if len(texts) > _MOST_STOPS or any(len(text) > _LONGEST_STOP for text in texts):
            raise ValueError("too many or too long")
        return texts

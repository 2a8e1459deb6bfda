"""The families of models: how each is written in a Hugging Face folder, a file a family.

Every model is looked at here before anything is built: in passing when the registry is read, when
it is opened, when it comes in, and one of the hub before its weights are fetched. Knows names and
sizes; knows neither values of weights nor where a file came from.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

from tuillm.config.families import gpt2, llama, qwen2, qwen3
from tuillm.config.families.checks import Where
from tuillm.config.families.tensor_names import Named, misfit
from tuillm.config.gpt_config import GPTConfig
from tuillm.errors import TuillmError, brief
from tuillm.formats.json_text import JsonObject

if TYPE_CHECKING:
    from tuillm.config.train_config import TrainConfig

__all__ = [
    "FAMILIES",
    "Family",
    "Named",
    "family_of",
    "has_learned_positions",
    "new_shape",
    "shape_of_config",
    "weights_misfit",
]


class Family(Protocol):
    """What a module of a family has: `PREFIX` may stand before the names of its tensors.

    `LORA_TARGETS` are the linear layers of its blocks as PEFT calls them, by ends of their names;
    `LORA_DEFAULT` are those that get adapters where nothing else is said. `DROPOUT` is the share
    that its models were trained with: the most that they bear when they learn on.
    """

    MODEL_TYPE: str
    ARCHITECTURES: tuple[str, ...]
    PREFIX: str
    NEXT_LAYER: str
    IGNORED: tuple[str, ...]
    LORA_TARGETS: tuple[str, ...]
    LORA_DEFAULT: tuple[str, ...]
    DROPOUT: float

    def shape(self, found: JsonObject, where: Where) -> GPTConfig: ...

    def new_shape(self, *, bias: bool, **sizes: Any) -> GPTConfig: ...

    def config_json(self, config: GPTConfig) -> JsonObject: ...

    def tensors(self, config: GPTConfig, turned: bool = True) -> Iterator[Named]: ...


FAMILIES: dict[str, Family] = {
    each.MODEL_TYPE: cast(Family, each) for each in (gpt2, llama, qwen2, qwen3)
}


def family_of(config: GPTConfig) -> Family:
    """Return the family of a shape."""
    return FAMILIES[config.family]


def new_shape(
    settings: "TrainConfig", vocab_size: int, block_size: int, dropout: float = 0.0
) -> GPTConfig:
    """Return the shape of a new model: the blocks of `settings.arch` in the sizes of the settings.

    Families whose blocks have no biases leave `settings.bias` out.
    """
    return FAMILIES[settings.arch].new_shape(
        vocab_size=vocab_size,
        block_size=block_size,
        n_layer=settings.n_layer,
        n_head=settings.n_head,
        n_embd=settings.n_embd,
        dropout=dropout,
        bias=settings.bias,
        tie_weights=settings.tie_weights,
    )


def has_learned_positions(arch: str) -> bool:
    """Whether the positions of a new model of this family are vectors that it learns.

    Raises TuillmError for a family that no new model is of.
    """
    sizes = dict(vocab_size=1, block_size=1, n_layer=1, n_head=1, n_embd=2)
    return not FAMILIES[arch].new_shape(bias=False, **sizes).rotary


def shape_of_config(found: JsonObject, where: Where) -> GPTConfig:
    """Return the shape that a parsed `config.json` tells of.

    `where` is how errors call the file. Raises TuillmError for a family that tuillm does not know,
    for a switch that it does not compute, and for values that no model can have.
    """
    kind = found.get("model_type")
    if not isinstance(kind, str) or kind not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise TuillmError(f"{where} is of architecture {brief(kind)}; tuillm computes {known}")
    return FAMILIES[kind].shape(found, where)


def weights_misfit(
    found: Mapping[str, Sequence[int]],
    config: GPTConfig,
    *,
    turned: bool = True,
    strict: bool = False,
) -> str:
    """Return in words why tensors of these sizes, by name, are not those of a shape, or ''.

    Names may stand with the family's prefix. With `strict` a tensor that would be computed with
    elsewhere, and not here, is a reason too.
    """
    family = family_of(config)
    bare = {name.removeprefix(family.PREFIX): sizes for name, sizes in found.items()}
    known = {"lm_head.weight"} if config.tie_weights else set()
    if reason := misfit(bare, family.tensors(config, turned), known):
        return reason
    if (beyond := family.NEXT_LAYER.format(config.n_layer)) in bare:
        return f"{beyond} is one too many: there are more layers than the {config.n_layer}"
    for name in bare if strict else ():
        if name not in known and not name.endswith(family.IGNORED):
            return f"{brief(name)} does not belong to a {config.family} of this shape"
    return ""

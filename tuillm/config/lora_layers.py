"""Which layers of a model get LoRA's adapters, by the names that its family and PEFT have for them.

Some layers of a family are rows of one of ours: q_proj, k_proj and v_proj of `attn.c_attn`, and
gate_proj and up_proj of `mlp.c_fc`. Knows names and sizes; knows no tensor.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tuillm.config.families import FAMILIES, family_of
from tuillm.config.gpt_config import GPTConfig
from tuillm.config.name_lists import ALL_LAYERS, typed_targets
from tuillm.errors import UsageError
from tuillm.formats.user_files import shown


@dataclass(frozen=True)
class LoRAPart:
    """A linear layer of a family that gets an adapter: `target` is what it was chosen by.

    It is `rows` rows, from `begin` on, of our layer `layer` ("h.0.attn.c_attn"), `width` columns
    wide. `name` is its own in the family's folder ("model.layers.0.self_attn.q_proj"), where it is
    kept as [in, out] if it is `turned`.
    """

    target: str
    layer: str
    name: str
    begin: int
    rows: int
    width: int
    turned: bool


def chosen_targets(family: str, wanted: object = None) -> tuple[str, ...]:
    """Return the targets that are meant: `all` and None, the family's usual ones, spelled out.

    Raises UsageError with those that there are for a value that names none.
    """
    known = FAMILIES[family].LORA_TARGETS
    names = typed_targets(wanted)
    if names is None:
        return FAMILIES[family].LORA_DEFAULT
    given: tuple[object, ...] = names if isinstance(names, tuple) and names else (wanted,)
    if ALL_LAYERS in given:
        return known
    for each in given:
        if each not in known:
            raise UsageError(
                f"lora_targets cannot be {shown(each)}",
                f"allowed: {' or '.join(known)} or all, in a {family}",
            )
    return tuple(map(str, given))


def lora_parts(config: GPTConfig, wanted: object = None) -> Iterator[LoRAPart]:
    """Yield the layers of all blocks that get adapters, in the order of the model.

    Names are ends of theirs, as PEFT takes them: "c_attn" is that layer of every block,
    "mlp.c_proj" one of two of that name. Raises UsageError like `chosen_targets`.
    """
    family, targets = family_of(config), chosen_targets(config.family, wanted)
    for named in family.tensors(config):
        begin = 0
        for part, rows in named.parts:
            name = part.removesuffix(".weight")
            if target := next((each for each in targets if name.endswith(f".{each}")), ""):
                layer, whole = named.name.removesuffix(".weight"), family.PREFIX + name
                yield LoRAPart(target, layer, whole, begin, rows, named.shape[1], named.turned)
            begin += rows


def adapter_size(config: GPTConfig, wanted: object, rank: int) -> int:
    """The number of parameters of all adapters of a model."""
    of_one = sum(part.rows + part.width for part in lora_parts(replace(config, n_layer=1), wanted))
    return config.n_layer * rank * of_one

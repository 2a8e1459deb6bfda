"""The tensors of a model by our names, each made of its family's when it is asked for.

What is joined or mapped for one is gone as soon as nobody holds it: of a model that is packed
tensor by tensor no second copy comes into memory. Knows neither files nor what is made of a tensor.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from tuillm.config.families import family_of, weights_misfit
from tuillm.config.gpt_config import GPTConfig
from tuillm.errors import TuillmError


class FamilyWeights(Mapping[str, Tensor]):
    """Tensors by their names in `GPT`, in the precision in which the family's are kept.

    A tied head has no entry. `config` is the shape given, with biases if one of them is not zero.
    """

    def __init__(
        self,
        config: GPTConfig,
        tensors: Mapping[str, Tensor],
        misfit: str,
        *,
        turned: bool = True,
        strict: bool = False,
    ) -> None:
        """Take tensors by their names in the family; see `weights_misfit` for the switches.

        Raises TuillmError, `misfit` and the first tensor that is missing or of another shape.
        """
        family = family_of(config)
        sizes = {name: tensor.shape for name, tensor in tensors.items()}
        if reason := weights_misfit(sizes, config, turned=turned, strict=strict):
            raise TuillmError(f"{misfit}: {reason}")
        self._tensors = tensors
        self._stored = {name.removeprefix(family.PREFIX): name for name in sizes}
        named = family.tensors(config, turned)
        self._named = {each.name: each for each in named if each.parts[0][0] in self._stored}
        optional = [name for name, each in self._named.items() if each.optional]
        self.config = replace(config, bias=any(bool(self[name].any()) for name in optional))

    def __getitem__(self, name: str) -> Tensor:
        """One tensor: a view, where it is made of one."""
        named = self._named[name]
        parts = [self._tensors[self._stored[part]] for part, _ in named.parts]
        parts = [part.t() if named.turned else part for part in parts]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def pieces(self, name: str) -> Iterator[Tensor]:
        """Yield the rows of one matrix in order, where they can be had so without the others."""
        named = self._named[name]
        by_rows = None if named.turned else getattr(self._tensors, "pieces", None)
        for part, _ in named.parts:
            if by_rows is not None:
                yield from by_rows(self._stored[part])
            else:
                tensor = self._tensors[self._stored[part]]
                yield tensor.t() if named.turned else tensor

    def part(self, name: str) -> Tensor | None:
        """One of the family's own tensors as it is kept; None for a bias that there is none of.

        `name` is that in the family, without its prefix.
        """
        stored = self._stored.get(name)
        return None if stored is None else self._tensors[stored]

    def __iter__(self) -> Iterator[str]:
        return iter(self._named)

    def __len__(self) -> int:
        return len(self._named)

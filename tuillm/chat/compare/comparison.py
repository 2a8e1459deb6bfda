"""Several models, one prompt, one seed: replies that grow together, and what each of them cost.

Knows samplers, tokens and clocks, and what the registry says of a model; knows no terminal.
"""

import math
import secrets
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from tuillm.config import SamplingConfig
from tuillm.errors import TuillmError
from tuillm.generation.questions import without_first_blanks
from tuillm.store.paths import models_dir, runs_dir
from tuillm.store.registry import Model
from tuillm.store.run_folder import get_run

if TYPE_CHECKING:
    from tuillm.generation import Sampler, Token


@dataclass(frozen=True)
class OwnPrompt:
    """What one model reads, in its own chat template, and the settings with what ends its reply."""

    prompt: str | list[int]
    config: SamplingConfig


@dataclass
class Result:
    """What one model has said, as far as it has come, and what it cost.

    `finish` is '' until the reply has ended, and stays so when somebody stops it. Seconds are the
    model's own, the turns of the others left out: `first` to the first token, `seconds` from there
    on. `nats` is the surprisal of all tokens to the model itself, before temperature and cuts;
    `bytes` is what they spell. `dropped` ids fell out of the context. `known` is how well the
    model knew its own text, in bits per byte, where that was measured.
    """

    name: str
    seed: int
    parameters: int
    path: Path | None = None
    known: float | None = None
    finish: Literal["", "stop", "length", "end"] = ""
    tokens: int = 0
    bytes: int = 0
    nats: float = 0.0
    first: float | None = None
    seconds: float = 0.0
    dropped: int = 0
    pieces: list[str] = field(default_factory=list, repr=False)

    @property
    def text(self) -> str:
        """The reply, as raw as the model gave it."""
        return "".join(self.pieces)

    @property
    def per_second(self) -> float | None:
        """Tokens a second after the first one, None before the second one."""
        return (self.tokens - 1) / self.seconds if self.tokens > 1 and self.seconds else None

    @property
    def nats_per_token(self) -> float | None:
        """The mean surprisal of the reply, None while there is none."""
        return self.nats / self.tokens if self.tokens else None

    @property
    def bits_per_byte(self) -> float | None:
        """The mean surprisal of the reply's bytes, which compares across tokenizers."""
        return self.nats / math.log(2) / self.bytes if self.bytes else None

    def take(self, token: "Token", seconds: float, size: int) -> None:
        """Add a token of `size` bytes that took so long."""
        if self.first is None:
            self.first = seconds
        else:
            self.seconds += seconds
        self.pieces.append(token.text)
        self.tokens, self.bytes = self.tokens + 1, self.bytes + size
        self.nats -= token.logprob
        self.dropped += token.dropped
        self.finish = token.finish


class Comparison:
    """An iterator of (which, token): the models take turns, and `results` grow.

    It may be closed at any token: what was said stays. `config` holds the seed, drawn if need be.
    Each model continues the `prompt`, or with `prompts`, one a model, answers by these.
    """

    def __init__(
        self,
        samplers: "Sequence[tuple[str, Sampler]]",
        prompt: str,
        config: SamplingConfig,
        prompts: Sequence[OwnPrompt] = (),
    ) -> None:
        seed = secrets.randbits(48) if config.seed is None else config.seed
        self.prompt, self.config = prompt, config.model_copy(update={"seed": seed})
        self.results = [
            Result(name, seed, sampler.model.config.parameter_count, sampler.path)
            for name, sampler in samplers
        ]
        self.asked = bool(prompts)
        self._tokens = self._take_turns([sampler for _, sampler in samplers], prompts)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> "tuple[int, Token]":
        return next(self._tokens)

    def close(self) -> None:
        """Stop all replies."""
        self._tokens.close()

    def run(self) -> list[Result]:
        """Let all replies come to their end, or to Ctrl-C; return the results."""
        try:
            for _ in self:
                pass
        except KeyboardInterrupt:
            self.close()
        return self.results

    def _take_turns(
        self, samplers: "list[Sampler]", prompts: Sequence[OwnPrompt]
    ) -> "Generator[tuple[int, Token], None, None]":
        # each reads the prompt in a context of its own: a chat's stays as it is, one model may
        # stand in several columns, and none has a head start
        own = [
            sampler.of(
                sampler.model,
                sampler.tokenizer,
                at_eot=sampler.at_eot,
                context=sampler.context.block_size,
            )
            for sampler in samplers
        ]
        for ours, sampler in zip(own, samplers, strict=True):
            ours.name = sampler.name  # for what is wrong with it
        if prompts:
            seed = {"seed": self.config.seed}
            streams = [
                without_first_blanks(
                    sampler.stream(each.prompt, each.config.model_copy(update=seed))
                )
                for sampler, each in zip(own, prompts, strict=True)
            ]
        else:
            streams = [sampler.stream(self.prompt, self.config) for sampler in own]
        talking = list(range(len(streams)))
        while talking:
            for which in list(talking):
                began = time.perf_counter()
                token = next(streams[which])
                size = len(samplers[which].tokenizer.token_bytes(token.id))
                self.results[which].take(token, time.perf_counter() - began, size)
                if token.finish:
                    talking.remove(which)
                yield which, token


def compare(
    samplers: "Sequence[tuple[str, Sampler]]",
    prompt: str,
    config: SamplingConfig,
    prompts: Sequence[OwnPrompt] = (),
) -> Comparison:
    """Let models, each with its name, continue a prompt by turns, token by token.

    With `prompts`, one a model, each reads that instead. Each reply is the very one that
    `Sampler.stream` gives alone with that seed, then without blanks at its beginning. The contexts
    of the samplers are left as they are.
    """
    return Comparison(samplers, prompt, config, prompts)


def compare_models(
    models: "Sequence[tuple[Model, Sampler]]",
    prompt: str,
    config: SamplingConfig,
    prompts: Sequence[OwnPrompt] = (),
) -> Comparison:
    """Compare models under the names that tell them apart, with what is known of each."""
    names = names_of([model for model, _ in models])
    samplers = [sampler for _, sampler in models]
    comparison = compare(list(zip(names, samplers, strict=True)), prompt, config, prompts)
    for result, (model, _) in zip(comparison.results, models, strict=True):
        result.path, result.known = model.path, _known_of(model)
    return comparison


def names_of(models: Sequence[Model]) -> list[str]:
    """Return a name for each model: that of the registry, run and folder of a checkpoint.

    Folders of one name are called by their paths.
    """
    names = [
        f"{run}/{model.path.name}" if (run := _run_of(model)) else model.name for model in models
    ]
    paths: dict[str, set[Path]] = {}
    for name, model in zip(names, models, strict=True):
        paths.setdefault(name, set()).add(model.path)
    return [
        name if len(paths[name]) == 1 or model.path.parent == models_dir() else str(model.path)
        for name, model in zip(names, models, strict=True)
    ]


def _run_of(model: Model) -> str:
    """Return the id of the run that a model is a checkpoint of, or ''."""
    return model.path.parent.name if model.path.parent.parent == runs_dir() else ""


def _known_of(model: Model) -> float | None:
    """Return the bits per byte of a model's card; the best checkpoint's stand in its run's status.

    None where neither tells.
    """
    if model.card.bits_per_byte is not None or not _run_of(model) or model.path.name != "best":
        return model.card.bits_per_byte
    try:
        return get_run(_run_of(model)).status().bits_per_byte
    except TuillmError:
        return None

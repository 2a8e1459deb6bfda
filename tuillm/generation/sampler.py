"""Sampler: a model that talks. Loads a folder once, then streams replies token by token.

Used alike by `tuillm generate`, the chat and training samples; knows no terminal.
"""

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import torch
from torch import Tensor

from tuillm.config import SamplingConfig, build_sampling, settings_table
from tuillm.errors import UsageError
from tuillm.generation.context import Context
from tuillm.generation.heal import Reading, read_prompt
from tuillm.generation.sampling import sample
from tuillm.generation.text_stream import TextStream
from tuillm.model import GPT, choose_device, choose_dtype, pack, read_model
from tuillm.store.models import find_model
from tuillm.text import Tokenizer, load_tokenizer

START = "\n"


@dataclass(frozen=True)
class Token:
    """One step of a reply.

    `text` is what may be shown now; it can be empty while a character or a possible stop
    string is incomplete. `logprob` is the model's own log probability (nats) of the id, before
    temperature and cuts. `dropped` ids fell out of the context before this one. The last token
    of a reply has a `finish`: a stop string, the length, or the model's end-of-text token.
    """

    text: str
    id: int
    logprob: float
    index: int
    row: int = 0
    dropped: int = 0
    finish: Literal["", "stop", "length", "end"] = ""


class Sampler:
    """A loaded model and its tokenizer: `Sampler("book").generate("Once upon a time")`."""

    def __init__(
        self, name_or_path: str | os.PathLike[str], device: str = "auto", dtype: str = "auto"
    ) -> None:
        """Load a model of the registry by name, or any GPT-2-shaped Hugging Face folder.

        `dtype` is auto, float32 or bfloat16. Raises TuillmError for an unknown or damaged
        model and UsageError for a device that is not there.
        """
        found = find_model(name_or_path)
        place = choose_device(device)
        model = read_model(found.path)
        kind = choose_dtype(dtype, place, model.parameter_count)
        self._set_up(pack(model.to(place), kind), load_tokenizer(found.path))
        self.name = found.name
        self.path: Path | None = found.path
        self.dtype = kind

    @classmethod
    def of(cls, model: GPT, tokenizer: Tokenizer) -> Self:
        """Return a sampler of a model in memory, used as it is."""
        self = cls.__new__(cls)
        self._set_up(model, tokenizer)
        self.name, self.path, self.dtype = "", None, model.wte.weight.dtype
        return self

    def _set_up(self, model: GPT, tokenizer: Tokenizer) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.context = Context(model)
        self._turn = 0

    @staticmethod
    def help_config() -> None:
        """Print every sampling setting: meaning, range and default."""
        print(settings_table(SamplingConfig))

    def generate(self, prompt: str = START, **settings: Any) -> str:
        """Return the text that continues `prompt`; `settings` are those of SamplingConfig."""
        return "".join(token.text for token in self.stream(prompt, **settings))

    def stream(
        self,
        prompt: str | list[int] = START,
        config: SamplingConfig | None = None,
        num_samples: int = 1,
        **settings: Any,
    ) -> Iterator[Token]:
        """Yield the tokens that continue a prompt (text or ids; empty means a newline).

        `settings` overlay `config`. With several samples the tokens of all replies come in
        turn, told apart by `row`; reply r is the one that seed + r gives alone. The iterator
        may be closed at any token: the next prompt reuses what `context` has read so far.
        """
        config = build_sampling(settings, config) if settings or config is None else config
        if num_samples < 1:
            raise UsageError(f"num_samples cannot be {num_samples}", "allowed: 1 or more")
        if isinstance(prompt, str):
            return self._stream(self.tokenizer.encode(prompt or START), config, num_samples)
        exact = config.model_copy(update={"heal": False})  # ids mean these very ids
        return self._stream(list(prompt) or self.tokenizer.encode(START), exact, num_samples)

    @torch.inference_mode()
    def _stream(
        self, ids: list[int], config: SamplingConfig, num_samples: int
    ) -> Iterator[Token]:
        self._turn += 1
        turn, context = self._turn, self.context
        replies = [_Reply(self.tokenizer, config, row) for row in range(num_samples)]
        generators = _generators(config.seed, num_samples)
        if config.heal:
            reading, logits, dropped = read_prompt(context, self.tokenizer, ids, config.n_keep)
        else:
            reading, (logits, dropped) = Reading(ids), context.read(ids, config.n_keep)
        if num_samples > 1:
            context.widen(num_samples)
            logits = logits.expand(num_samples, -1)
        for index in range(config.max_new_tokens):
            spelt: bytes | None = None
            if index == 0 and reading.last is not None:
                tokens, spelt = [reading.last] * num_samples, reading.extra
                logprobs = [reading.logprob] * num_samples
            else:
                tokens, logprobs = self._draw(logits, config, generators)
            for reply, token, logprob in zip(replies, tokens, logprobs, strict=True):
                if not reply.finished:
                    yield reply.step(token, logprob, index, dropped, spelt)
            if all(reply.finished for reply in replies):
                return
            if turn != self._turn:
                raise RuntimeError("this reply has ended: the sampler went on with another one")
            logits, dropped = context.advance(tokens, config.n_keep)

    def _draw(
        self, logits: Tensor, config: SamplingConfig, generators: list[torch.Generator]
    ) -> tuple[list[int], list[float]]:
        """Return an id a row and its log probability before temperature and cuts."""
        # the list becomes a tensor only for the one option that looks at it
        seen = self.context.rows if config.repetition_penalty != 1 else [[]] * len(generators)
        ids = torch.tensor(seen, dtype=torch.int64, device=logits.device)
        drawn = sample(logits, config, ids, generators)
        chosen = logits.gather(1, drawn[:, None])[:, 0]
        return drawn.tolist(), (chosen - logits.logsumexp(-1)).tolist()


class _Reply:
    """The state of one reply while it grows."""

    def __init__(self, tokenizer: Tokenizer, config: SamplingConfig, row: int) -> None:
        self._stream = TextStream(tokenizer, config.stop)
        self._eot = tokenizer.eot
        self._longest = config.max_new_tokens
        self._row = row
        self.finished = False

    def step(
        self, token: int, logprob: float, index: int, dropped: int, spelt: bytes | None
    ) -> Token:
        """Return the next Token; `spelt` are its bytes where not all of them are new."""
        finish: Literal["", "stop", "length", "end"] = ""
        text = self._stream.push(token) if spelt is None else self._stream.push_bytes(spelt)
        if self._stream.stopped:
            finish = "stop"
        elif token == self._eot or index + 1 == self._longest:
            finish = "end" if token == self._eot else "length"
            text += self._stream.finish()
            finish = "stop" if self._stream.stopped else finish
        self.finished = bool(finish)
        return Token(text, token, logprob, index, self._row, dropped, finish)


def _generators(seed: int | None, count: int) -> list[torch.Generator]:
    first = secrets.randbits(48) if seed is None else seed
    return [torch.Generator().manual_seed(first + row) for row in range(count)]

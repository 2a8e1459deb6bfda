"""Sampler: a model that talks. Loads a folder once, then streams replies token by token.

Used alike by `tuillm generate`, the chat and training samples; knows no terminal.
"""

import math
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, Self, overload

import torch
from torch import Tensor

from tuillm.config import SamplingConfig, build_sampling, settings_table
from tuillm.config.context_memory import DEFAULT_CONTEXT
from tuillm.config.sampling_config import DEFAULT_PROMPT, MOST_SAMPLES
from tuillm.config.suggestions import Answering
from tuillm.errors import UsageError, brief
from tuillm.generation import kernel_refresh
from tuillm.generation.context import Context, Progress
from tuillm.generation.context_window import Keep
from tuillm.generation.detokenizer import TextStream
from tuillm.generation.draft_model import DraftModel, load_draft_model
from tuillm.generation.draft_tokens import ConversationLookup, Drafter
from tuillm.generation.growing_reply import GrowingReply, ReplyState, Token, skip
from tuillm.generation.questions import answer_to
from tuillm.generation.reply_work import reply_work
from tuillm.generation.sampling import not_finite, sample
from tuillm.generation.speculative import Speculation
from tuillm.generation.suffix_index import BookLookup, open_index
from tuillm.generation.token_healing import Reading, read_prompt
from tuillm.model import Decoder, choose_device, choose_dtype, load_decoder, read_config
from tuillm.model.context_size import cache_memory, choose_context
from tuillm.store.model_sampling import model_sampling
from tuillm.store.registry import Model
from tuillm.store.run_checkpoints import resolve_model
from tuillm.text import Tokenizer, load_tokenizer

__all__ = ["ReplyState", "Sampler", "Settings", "Token"]

Settings = Callable[[], SamplingConfig]


class Sampler(metaclass=Answering):
    """A loaded model and its tokenizer: `Sampler("book").generate("Once upon a time")`."""

    def __init__(
        self,
        name_or_path: str | os.PathLike[str],
        device: str = "auto",
        dtype: str = "auto",
        draft: str | os.PathLike[str] | None = None,
        context: int | None = None,
    ) -> None:
        """Load a model of the registry by name, or a Hugging Face folder of a known family.

        `dtype` is auto, float32, bfloat16 or int8; `why_dtype` says in words why auto took a
        smaller one than is usual, or "". `draft` is a smaller model with the same tokenizer, which
        makes replies faster and changes none. `context` is how many positions a conversation has,
        None as many as the model was made for, 8,192 at most, and memory holds. Raises TuillmError
        for an unknown or damaged model and a context that memory does not hold, UsageError for a
        device or precision that is not there, a context that the model was not made for, or a model
        that cannot draft.
        """
        found = resolve_model(name_or_path)
        computing_on = choose_device(device)
        config, tokenizer = read_config(found.path), load_tokenizer(found.path)
        tokenizer.refuse_beyond(config.vocab_size, found.path)
        larger = config.parameter_count
        kind, self.why_dtype = choose_dtype(dtype, computing_on, larger)
        self.name = found.name
        self.path: Path | None = found.path
        self.entry: Model | None = found
        self.dtype = kind
        drafting = draft and load_draft_model(draft, tokenizer, larger, computing_on, dtype)
        chosen = choose_context(context, config, *cache_memory(config, kind, computing_on))
        model = load_decoder(found.path, kind, computing_on)
        kernel_refresh.loaded(model)
        self._set_up(Context(model, *chosen), tokenizer, at_eot=found.card.starts_at_eot)
        if drafting:
            self.speculation.drafters.append(drafting)

    @classmethod
    def of(
        cls,
        model: Decoder,
        tokenizer: Tokenizer,
        *,
        at_eot: bool = False,
        context: int | None = None,
    ) -> Self:
        """Return a sampler of a model in memory, used as it is; `at_eot` as in its card.

        `context` is how many positions there are, None all that the model was made for, or 8,192.
        """
        self = cls.__new__(cls)
        self.name, self.path, self.dtype = "", None, model.dtype
        self.entry = None
        positions = min(context or DEFAULT_CONTEXT, model.config.block_size)
        self._set_up(Context(model, positions), tokenizer, at_eot=at_eot)
        self.why_dtype = ""
        return self

    @property
    def precision(self) -> str:
        """What it computes in, and why when that is less than usual, in words."""
        name = str(self.dtype).removeprefix("torch.")
        return f"{name}: {self.why_dtype}" if self.why_dtype else name

    @property
    def kernel(self) -> str:
        """Which kernel it decodes with on a CPU, in words; see `tuillm bench --kernels`."""
        return kernel_refresh.kernel_words(self.model)

    def watch_reading(self, progress: Progress | None) -> None:
        """Let `progress` be called while long texts are read, None nothing; see `Context`."""
        self.context.progress = progress
        for drafter in self.speculation.drafters:
            if isinstance(drafter, DraftModel):
                drafter.context.progress = progress

    def _set_up(self, context: Context, tokenizer: Tokenizer, *, at_eot: bool) -> None:
        self.context, self.model = context, context.model
        self.tokenizer = tokenizer
        # what an empty prompt is: a newline, or the end of text behind which the book begins
        self.start = tokenizer.encode(DEFAULT_PROMPT)
        self.at_eot = at_eot and tokenizer.eot is not None
        if at_eot and tokenizer.eot is not None:
            self.start = [tokenizer.eot]
        drafters: list[Drafter] = [ConversationLookup()]
        corpus = self.entry.card.corpus_sha256 if self.entry else None
        if corpus and (index := open_index(corpus, tokenizer.sha256)):
            drafters.append(BookLookup(index))
        # the native library computes several positions to the last bit as one by one
        exact = self.dtype == torch.float32 or self.model.kernel == "native"
        self.speculation = Speculation(self.context, drafters, exact=exact)
        unused = tokenizer.unused(self.model.config.vocab_size)  # rows that pad the table
        self._unused = torch.tensor(unused, device=self.model.device) if unused else None
        self._turn = 0

    @property
    def defaults(self) -> SamplingConfig:
        """The settings where none are given: tuillm's, and what the model's folder tells of."""
        return SamplingConfig() if self.path is None else model_sampling(self.path)

    @staticmethod
    def help_config() -> None:
        """Print every sampling setting: meaning, range and default."""
        print(settings_table(SamplingConfig))

    @overload
    def generate(
        self, prompt: str = ..., num_samples: Literal[1] = ..., **settings: Any
    ) -> str: ...

    @overload
    def generate(self, prompt: str, num_samples: int, **settings: Any) -> list[str]: ...

    @overload
    def generate(self, prompt: str = ..., *, num_samples: int, **settings: Any) -> list[str]: ...

    def generate(
        self, prompt: str = DEFAULT_PROMPT, num_samples: int = 1, **settings: Any
    ) -> str | list[str]:
        """Return the text that continues `prompt`; `settings` are those of SamplingConfig.

        With `num_samples` above 1 it is a list of so many texts; text r is the one that seed + r
        gives alone. Raises as `stream` does.
        """
        tokens = self.stream(prompt, num_samples=num_samples, **settings)
        texts = [""] * num_samples
        for token in tokens:
            texts[token.row] += token.text
        return texts if num_samples > 1 else texts[0]

    def stream(
        self,
        prompt: str | list[int] = DEFAULT_PROMPT,
        config: SamplingConfig | Settings | None = None,
        num_samples: int = 1,
        **settings: Any,
    ) -> Iterator[Token]:
        """Yield the tokens that continue a prompt (text or ids); empty, or a newline, is `start`.

        `config` may be a function that gives the settings of the moment: it is asked before each
        token, while stop, heal, n_keep and seed hold from the first time on. `settings` overlay a
        config. With several samples the tokens of all replies come in turn, told apart by `row`,
        of as many replies at once as the memory should hold, then of the next; reply r is the one
        that seed + r gives alone. The iterator may be closed at any token: the next prompt reuses
        what `context` has read so far. Raises UsageError for a setting out of its range, and
        TuillmError, at the token, where the model computes no numbers.
        """
        if callable(config) and not settings:
            ask, config = config, config()
        else:
            known = config() if callable(config) else config
            config = build_sampling(settings, known or self.defaults)
            ask = _always(config)
        if type(num_samples) is not int or not 1 <= num_samples <= MOST_SAMPLES:
            raise UsageError(
                f"num_samples cannot be {brief(num_samples)}", f"allowed: 1 to {MOST_SAMPLES}"
            )
        heal = config.heal and isinstance(prompt, str)  # ids mean these very ids
        if prompt == DEFAULT_PROMPT:  # the same as nothing at all
            prompt = ""
        ids = self.tokenizer.encode(prompt) if isinstance(prompt, str) else list(prompt)
        ids, n_keep = ids or self.start, config.n_keep
        first = secrets.randbits(48) if config.seed is None else config.seed

        def read() -> tuple[Reading, Tensor, int]:
            if heal:
                return read_prompt(self.context, self.tokenizer, ids, n_keep)
            return Reading(ids), *self.context.read(ids, n_keep)

        def all_replies() -> Iterator[Token]:
            at_once = self.context.rows_at_once(len(ids) + config.max_new_tokens)
            for row in range(0, num_samples, at_once):
                seeds = range(first + row, first + min(row + at_once, num_samples))
                replies = [
                    GrowingReply(
                        self.tokenizer, ReplyState(TextStream(self.tokenizer, config.stop), seed)
                    )
                    for seed in seeds
                ]
                yield from self._stream(ask, replies, n_keep, read, row)

        return all_replies()

    def ask(self, question: str, **settings: Any) -> str:
        """Return the answer to a question, asked in the model's chat template.

        `settings` are those of SamplingConfig. Raises UsageError for a model that has no template,
        an empty question and a setting out of its range, and TuillmError as `stream` does.
        """
        return answer_to(self, question, build_sampling(settings, self.defaults))

    def go_on(self, ids: list[int], settings: Settings, beginning: ReplyState) -> Iterator[Token]:
        """Yield the tokens that continue these very ids as one reply that has a beginning.

        `settings` is asked before each token, as in `stream`; what is fixed stands in `beginning`.
        """
        reply = GrowingReply(self.tokenizer, beginning)

        def read() -> tuple[Reading, Tensor, int]:
            reading, logits = beginning.reading or Reading(ids), beginning.logits
            return reading, *(
                (logits, 0)
                if logits is not None
                else self.context.read(reading.ids, beginning.n_keep)
            )

        return self._stream(settings, [reply], beginning.n_keep, read)

    @torch.inference_mode()
    def heal(self, ids: list[int], since: int, n_keep: int = 0) -> tuple[Reading, Tensor]:
        """Read ids that fit the context, with the last word of ids[since:] as it was learned.

        Returns the reading and the logits [1, V] behind its ids, for a `ReplyState`.
        """
        return read_prompt(self.context, self.tokenizer, ids, n_keep, since)[:2]

    @torch.inference_mode()
    def _stream(
        self,
        settings: Settings,
        replies: list[GrowingReply],
        n_keep: Keep,
        read: Callable[[], tuple[Reading, Tensor, int]],
        first_row: int = 0,
    ) -> Iterator[Token]:
        self._turn += 1
        turn, context, count = self._turn, self.context, len(replies)
        generators = [reply.generator for reply in replies]
        with reply_work(self.model) as work:
            with work.computing():
                reading, logits, dropped = read()
            if count > 1:
                context.widen(count)
                logits = logits.expand(count, -1)
            self.speculation.begin()
            given, as_bytes = reading.last, None if reading.last is None else reading.extra
            try:
                while True:
                    config = settings()
                    with work.computing():
                        tokens, logprobs = self._draw(logits, config, generators, given)
                    for row, reply in enumerate(replies):
                        if not reply.finished:
                            yield reply.step(
                                tokens[row],
                                logprobs[row],
                                first_row + row,
                                dropped,
                                as_bytes,
                                config.max_new_tokens,
                            )
                    if all(reply.finished for reply in replies):
                        return
                    if turn != self._turn:
                        raise RuntimeError("this reply has ended: the sampler went on with another")
                    given = as_bytes = None
                    with work.step(count == 1 and context.length < context.block_size):
                        logits, dropped = (
                            self.speculation.advance(tokens[0], n_keep, config)
                            if count == 1
                            else context.advance(tokens, n_keep)
                        )
            finally:  # closed at any token, the context holds what was yielded and no draft
                if turn == self._turn:
                    context.drop_ahead()

    def _draw(
        self,
        logits: Tensor,
        config: SamplingConfig,
        generators: list[torch.Generator],
        given: int | None,
    ) -> tuple[list[int], list[float]]:
        """Return an id a row and its log probability before temperature and cuts.

        A `given` id is not drawn; any other uses up one number a row, whatever the temperature.
        """
        if given is not None:
            drawn = torch.full((len(generators),), given, device=logits.device)
        else:
            # the list becomes a tensor only for the one option that looks at it
            penalised = config.repetition_penalty != 1
            seen = self.context.rows if penalised else [[]] * len(generators)
            ids = torch.tensor(seen, dtype=torch.int64, device=logits.device)
            allowed = (
                logits if self._unused is None else logits.index_fill(1, self._unused, -torch.inf)
            )
            drawn = sample(allowed, config, ids, generators)
            if config.greedy:
                skip(generators, 1)
        chosen = logits.gather(1, drawn[:, None])[:, 0]
        logprobs: list[float] = (chosen - logits.logsumexp(-1)).tolist()
        if not all(map(math.isfinite, logprobs)):
            raise not_finite(self.name)
        return drawn.tolist(), logprobs


def _always(config: SamplingConfig) -> Settings:
    return lambda: config

"""What `generate` and `chat` write as filters: text or JSON lines on stdout, figures on stderr.

Knows tokens as they come from a Sampler; knows no model.
"""

import io
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from tuillm.cli.options import Command
from tuillm.cli.output import ReadingLine, print_json_line, say, write_text
from tuillm.config import SamplingConfig
from tuillm.config.sampling_config import DEFAULT_PROMPT

if TYPE_CHECKING:
    from tuillm.generation import Sampler, Token

_RULE = "---------------"
_FIELDS = ("text", "id", "logprob", "index", "row", "finish")


def filter_options(function: Command) -> Command:
    """Add --stats and --json to a command."""
    stats = click.option(
        "--stats", is_flag=True, help="Print figures on stderr at the end: tokens, speed, finish."
    )
    lines = click.option(
        "--json",
        "as_json",
        is_flag=True,
        help="Print a JSON object a token, with its log probability.",
    )
    return stats(lines(function))


def write_reply(
    sampler: "Sampler",
    prompt: str | list[int],
    config: SamplingConfig,
    *,
    num_samples: int = 1,
    echo: bool = False,
    as_json: bool = False,
    stats: bool = False,
    answer: bool = False,
) -> None:
    """Stream replies to a prompt to stdout: as text, or as JSON, an object a token.

    A prompt may be ids. Of an `answer` the blanks before its first word are left out. `echo` puts
    a prompt that is a text before each reply; with `stats` a line of figures on stderr follows.
    Raises BrokenPipeError when the reader has gone.
    """
    from tuillm.generation.questions import without_first_blanks

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="replace")
    if sampler.why_dtype:
        say(f"computing in {sampler.precision}", aside=True)
    if sampler.context.cut:
        say(sampler.context.cut, aside=True)
    figures = _Figures()
    tokens = figures.count(sampler.stream(prompt, config, num_samples))
    tokens = _told(sampler, tokens)
    if as_json:
        _write_json(tokens)
    else:
        shown = without_first_blanks(tokens) if answer else tokens
        _write_text(shown, prompt if echo and isinstance(prompt, str) else "")
    if stats:
        text = prompt or DEFAULT_PROMPT
        read = len(sampler.tokenizer.encode(text) if isinstance(text, str) else text)
        dtype = str(sampler.dtype).removeprefix("torch.")
        drafts = f"drafted={sampler.speculation.drafted} accepted={sampler.speculation.accepted}"
        kernel = f" kernel={sampler.kernel}" if sampler.kernel else ""
        say(f"{figures.line()} prompt_tokens={read} dtype={dtype} {drafts}{kernel}", aside=True)


def _told(sampler: "Sampler", tokens: Iterable["Token"]) -> Iterator["Token"]:
    """Yield the tokens; what takes long before one, and what the model does not see, is told."""
    reading = ReadingLine()
    sampler.watch_reading(reading.show)
    try:
        for token in tokens:
            reading.erase()
            if token.dropped and token.index == 0 and token.row == 0:
                say(
                    f"the prompt is {token.dropped:,} tokens too long: of a context of "
                    f"{sampler.context.block_size:,} it has the last {sampler.context.length:,}",
                    aside=True,
                )
            yield token
    finally:
        reading.erase()
        sampler.watch_reading(None)


def _write_text(tokens: Iterable["Token"], echo: str) -> None:
    """Stream the first text as it comes; the others follow whole, each under a rule.

    They follow in their order, as soon as those before them have ended.
    """
    rows: dict[int, str] = {}
    ended: set[int] = set()
    current = 0
    write_text(echo)
    for token in tokens:
        if token.row == 0:
            write_text(token.text)
        else:
            rows[token.row] = rows.get(token.row, "") + token.text
        if token.finish:
            ended.add(token.row)
        while current in ended:
            write_text(f"{_RULE}\n{echo}{rows.pop(current)}\n" if current else "\n")
            current += 1


def _write_json(tokens: Iterable["Token"]) -> None:
    """Print an object a line, in plain ASCII: no reader can take a character for a line's end."""
    for token in tokens:
        print_json_line({name: getattr(token, name) for name in _FIELDS}, ascii_only=True)


class _Figures:
    """Counts tokens and seconds while they pass by."""

    def __init__(self) -> None:
        self._tokens = self._steps = 0
        self._first = self._after = 0.0
        self._finish: dict[int, str] = {}

    def count(self, tokens: Iterable["Token"]) -> Iterator["Token"]:
        """Yield the tokens as they are."""
        began = time.perf_counter()
        for token in tokens:
            seconds = time.perf_counter() - began
            if not self._tokens:
                self._first = seconds
            elif token.index:  # the rows' first tokens all come at once
                self._steps += 1
                self._after = seconds - self._first
            self._tokens += 1
            if token.finish:
                self._finish[token.row] = token.finish
            yield token

    def line(self) -> str:
        """The figures by name: those of all replies together, and how each of them ended."""
        finish = ",".join(reason for _, reason in sorted(self._finish.items()))
        speed = self._steps / self._after if self._after > 0 else 0.0
        return (
            f"finish={finish} tokens={self._tokens} tokens_per_sec={speed:.1f} "
            f"first_token={self._first:.3f}s"
        )

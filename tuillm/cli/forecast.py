"""`tuillm train --forecast`: what a run would take, in words, as soon as each is known."""

from collections.abc import Iterator

from tuillm.cli.output import print_json_line, say
from tuillm.config import TrainConfig
from tuillm.errors import one_line
from tuillm.store.workers.corpus_preview import Preview
from tuillm.store.workers.forecast_process import Forecast
from tuillm.text.tokenizer_figures import TokenizerFigures
from tuillm.units import count, duration, size

# of the first document, and of a turn in it, in characters
_LINE, _PIECE = 240, 100


def show_forecast(config: TrainConfig, *, json_lines: bool = False) -> None:
    """Print the forecast of a run, and start nothing."""
    from tuillm.training.forecast.process import forecast

    said: set[str] = set()
    seen = Forecast()
    for seen in forecast(config):
        if json_lines:
            print_json_line(seen.as_json())
            continue
        for name, words in facts(config, seen):
            if name not in said:
                say(f"{name:<8} {words}")
                said.add(name)
        if seen.tokenizers and "tokenizers" not in said:
            for line in _tokenizers(seen):
                say(line)
            said.add("tokenizers")
    if json_lines:
        return
    if seen.skipped not in ("", *seen.warnings):
        say(f"{'speed':<8} not measured: {seen.skipped}")
    if seen.preview and seen.preview.problem:
        say(f"{'caution':<8} {seen.preview.problem}")
    for head, remarks in (("note", seen.notes), ("caution", seen.warnings)):
        for remark in remarks:
            say(f"{head:<8} {remark}")


def facts(config: TrainConfig, seen: Forecast) -> Iterator[tuple[str, str]]:
    """Yield names and words for what a forecast knows by now."""
    if seen.preview:
        yield from _beginning(seen.preview)
    if seen.bytes is not None:
        yield "text", _text(seen)
    if seen.parameters is not None:
        yield "model", f"{count(seen.parameters)} parameters, {seen.block_size} tokens in view"
    if seen.memory_needed is not None and seen.memory_available is not None:
        yield (
            "memory",
            (f"about {size(seen.memory_needed)}, {size(seen.memory_available)} are free"),
        )
    if seen.disk_needed is not None and seen.disk_free is not None:
        yield "disk", f"up to {size(seen.disk_needed)}, {size(seen.disk_free)} are free"
    if seen.step_seconds is not None and seen.tokens_per_sec is not None:
        how = "estimated from matrix products" if seen.estimated else "measured"
        yield (
            "speed",
            (
                f"{count(seen.tokens_per_sec)} tokens/s, {_seconds(seen.step_seconds)} "
                f"a step, {how} on {seen.device} in {seen.dtype}"
            ),
        )
    if seen.seconds is not None and seen.steps is not None:
        yield "run", _run(config, seen)
        if seen.enough:
            yield "data", seen.enough


def _beginning(preview: Preview) -> Iterator[tuple[str, str]]:
    """Yield how many files there are, what the records are, and the first document in a line."""
    if "file" in preview.found:
        yield "files", preview.found
    if preview.words:
        yield "format", preview.words
    if preview.document:
        line = " ".join(_piece(each.text) for each in preview.document)
        yield "first", line if len(line) <= _LINE else f"{line[:_LINE]}…"


def _piece(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= _PIECE else f"{line[:_PIECE]}…"


def _text(seen: Forecast) -> str:
    words = f"{size(seen.bytes or 0)}, {seen.characters or 0:,} characters"
    if (seen.documents or 1) > 1:
        words += f" in {seen.documents:,} documents"
    if seen.train_tokens is None:
        return words
    learned = "learn"
    if seen.learned_share < 1:
        learned = f"read, {seen.learned_share:.0%} of them to learn"
    held_out = f"{count(seen.val_tokens)} held out" if seen.val_tokens else "nothing held out"
    return (
        f"{words}: {count(seen.train_tokens)} tokens to {learned}, {held_out} "
        f"({seen.tokenizer}, {seen.vocab_size:,} entries)"
    )


def _tokenizers(seen: Forecast) -> Iterator[str]:
    """The tokenizers that were measured, with a star at the one that was chosen."""
    head = ("bytes/token", "tokens", "occurrences")
    yield f"{'':<8}   {'tokenizer':<11}{head[0]:>12}{head[1]:>10}{head[2]:>13}"
    for each in map(TokenizerFigures.from_json, seen.tokenizers):
        star = "*" if each.chosen else " "
        yield (
            f"{'':<8} {star} {each.name:<11}{each.bytes_per_token:>12.2f}"
            f"{count(each.tokens):>10}{each.occurrences:>13,}"
        )


def _run(config: TrainConfig, seen: Forecast) -> str:
    most = "at most " if config.patience else ""
    return (
        f"{most}{seen.steps:,} steps of {seen.tokens_per_step:,} tokens, "
        f"{seen.epochs or 0:.3g} times the text, {duration(seen.seconds)}"
    )


def _seconds(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"

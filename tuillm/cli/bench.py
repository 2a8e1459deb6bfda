"""`tuillm bench`: how fast this machine is, and tuillm beside its limit and other programs."""

import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tuillm.cli.options import Number
from tuillm.cli.output import ProgressLine, print_json, print_table, say
from tuillm.errors import UsageError, brief
from tuillm.formats.json_text import JsonObject
from tuillm.units import age, count, size

if TYPE_CHECKING:
    from tuillm.bench.decode_speed import Speed
    from tuillm.bench.machine_speed import Machine

_DTYPES = ("float32", "bfloat16", "int8")


@click.command("bench")
@click.argument("model", required=False)
@click.option("--dtype", metavar="NAMES", help="Precisions, divided by commas [all].")
@click.option("--threads", metavar="NUMBERS", help="Threads, divided by commas [all there are].")
@click.option("--tokens", type=Number(int, 1, 1000), default=64, help="Tokens of a round [64].")
@click.option("--rounds", type=Number(int, 1, 1000), default=5, help="Rounds, taken in turns [5].")
@click.option("--peers/--no-peers", default=True, help="Other programs, where installed [yes].")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def bench_command(
    model: str | None,
    dtype: str | None,
    threads: str | None,
    tokens: int,
    rounds: int,
    peers: bool,
    as_json: bool,
) -> None:
    """Measure this machine, and how fast tuillm decodes on it.

    Without a MODEL it is GPT-2's shape, 124M parameters, with random weights. All programs take
    turns; figures are medians. Decoding a token reads all weights once, so that the bandwidth of
    the memory is its limit.
    """
    dtypes = _dtypes(dtype)
    from tuillm.bench.bench_history import as_json as result_of
    from tuillm.bench.bench_history import keep, last_like
    from tuillm.bench.decode_speed import measure_in_turns
    from tuillm.bench.machine_speed import measure_machine
    from tuillm.bench.programs import programs_for, random_folder
    from tuillm.store.run_checkpoints import resolve_model

    named = resolve_model(model) if model else None
    source = nullcontext(named.path) if named else tempfile.TemporaryDirectory()
    with source as folder, ProgressLine() as tick:
        tick("measuring memory and matrices", 0.0)
        machine = measure_machine()
        counts = _threads(threads, machine.threads)
        if not named:
            random_folder(Path(folder))
        _refuse_short(Path(folder), tokens)
        programs = list(programs_for(Path(folder), dtypes, counts, peers))
        bandwidth = _bandwidths(machine, counts)
        speeds = measure_in_turns(
            programs, tokens, rounds, bandwidth, lambda share: tick("decoding", share)
        )
    result = result_of(machine, named.name if named else "gpt2's shape", tokens, speeds)
    before = last_like(result)
    if as_json:
        print_json(result)
    else:
        _show(machine, result, speeds, before)
    keep(result)


def _dtypes(given: str | None) -> tuple[str, ...]:
    names = tuple(each.strip() for each in given.split(",")) if given else _DTYPES
    for name in names:
        if name not in _DTYPES:
            raise UsageError(f"--dtype cannot be {brief(name)}", f"allowed: {', '.join(_DTYPES)}")
    return names


def _threads(given: str | None, most: int) -> tuple[int, ...]:
    if not given:
        return (most,)
    parts = [each.strip() for each in given.split(",")]
    if not all(each.isascii() and each.isdigit() and 1 <= int(each) <= most for each in parts):
        raise UsageError(
            f"--threads cannot be {brief(given)}", f"allowed: 1 to {most}, as 1,{most}"
        )
    return tuple(map(int, parts))


def _refuse_short(folder: Path, tokens: int) -> None:
    """Raise UsageError where prompt and reply do not fit the context of a model."""
    from tuillm.bench.decode_speed import PROMPT
    from tuillm.model import read_config

    room = read_config(folder).block_size - len(PROMPT) - 1
    if tokens > room:
        raise UsageError(
            f"--tokens cannot be {tokens}: the model's context is too short",
            f"allowed: 1 to {room}" if room > 0 else "take a model with a longer context",
        )


def _bandwidths(machine: "Machine", counts: tuple[int, ...]) -> dict[int, float]:
    """The bandwidth by threads; of numbers that were not measured that of the next higher."""
    known = machine.bandwidth
    return {
        each: known.get(each) or known[min(other for other in known if other >= each)]
        for each in counts
    }


def _show(
    machine: "Machine", result: JsonObject, speeds: "list[Speed]", before: JsonObject | None
) -> None:
    say(f"{machine.processor}, {machine.threads} threads, {size(machine.memory)}")
    say(f"torch {machine.torch}, {machine.capability}")
    for threads, rate in machine.bandwidth.items():
        say(f"memory    {size(rate)}/s read on {threads} thread{'s' if threads > 1 else ''}")
    for dtype, rate in machine.matmul.items():
        say(f"matrices  {count(rate)} operations/s in {dtype}")
    say()
    say(f"decoding {result['model']}, {result['tokens']} tokens a round, tokens per second")
    heads = ("program", "precision", "threads", "median", "slow", "fast", "of limit", "of tuillm")
    rows = [(*_row(each), _change(each, before)) for each in speeds]
    print_table((*heads, "before"), rows, right="threads median slow fast before")
    if before:
        when = before.get("time")
        said = age(when) if isinstance(when, int | float) else "at another time"
        say(f"before: {said}, on this machine")


def _row(speed: "Speed") -> tuple[str, ...]:
    return (
        speed.program,
        speed.dtype,
        str(speed.threads),
        f"{speed.tokens_per_sec:.1f}",
        f"{speed.slow:.1f}",
        f"{speed.fast:.1f}",
        f"{speed.of_limit:.2f}",
        f"{speed.against:.2f}" if speed.against else "-",
    )


def _change(speed: "Speed", before: JsonObject | None) -> str:
    """What the same program did the last time, in tokens a second."""
    rows = before.get("decode") if before else None
    for row in rows if isinstance(rows, list) else []:
        same = isinstance(row, dict) and all(
            row.get(key) == getattr(speed, key) for key in ("program", "dtype", "threads")
        )
        if same and isinstance(rate := row.get("tokens_per_sec"), int | float):
            return f"{rate:.1f}"
    return "-"

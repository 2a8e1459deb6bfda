"""What `tuillm bench` found, as lines and tables. Knows records; measures nothing."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tuillm.bench.bench_record import MEASURES, OURS, TIMES, Key, Measurement
from tuillm.cli.output import print_table, say
from tuillm.units import age, count, several, size

if TYPE_CHECKING:
    from tuillm.bench.kernel_table import KernelRow
    from tuillm.bench.machine_speed import Machine
    from tuillm.bench.precision_quality import Quality

_OF_MODEL = ("decode", "prefill", "first-token")


def print_bench(
    machine: "Machine",
    model: str,
    tokens: int,
    results: Sequence[Measurement],
    quality: "Sequence[Quality]",
    before: Mapping[Key, float],
    when: float | None,
) -> None:
    """Print the machine, a table a measure, and the precisions.

    `before` is what each came to the last time, `when` in seconds since 1970.
    """
    _print_machine(machine)
    for name, title in MEASURES.items():
        if rows := [each for each in results if each.measure == name]:
            _print_measure(_title(name, title, model, tokens, rows[0]), rows, before)
    if quality:
        _print_quality(model, quality)
    if before:
        said = age(when) if when else "at another time"
        say()
        say(f"before: {said}, on this machine")


def _print_machine(machine: "Machine") -> None:
    say(f"{machine.processor}, {machine.threads} threads, {size(machine.memory)}")
    say(f"torch {machine.torch}, {machine.capability}")
    for threads, rate in machine.bandwidth.items():
        say(f"memory    {size(rate)}/s read on {several(threads, 'thread')}")
    for dtype, rate in machine.matmul.items():
        say(f"matrices  {count(rate)} operations/s in {dtype}")


def _title(name: str, title: str, model: str, tokens: int, first: Measurement) -> str:
    what = f" ({model})" if name in _OF_MODEL else ""
    rounds = f", {tokens} tokens a round" if name == "decode" else ""
    unit = "seconds" if first.unit in TIMES else first.unit.replace("/s", " per second")
    return f"{title}{what}{rounds}: {unit}"


def _print_measure(title: str, rows: Sequence[Measurement], before: Mapping[Key, float]) -> None:
    say()
    say(title)
    limited = any(each.of_limit is not None for each in rows)
    limit = "MFU" if rows[0].measure == "train" else "of limit"
    heads = ["program", "case", "threads", "median", "slow", "fast"]
    heads += [limit] if limited else []
    table = []
    for each in rows:
        shown = [figure_of(each.unit, value) for value in (each.value, each.slow, each.fast)]
        share = [f"{each.of_limit:.2f}" if each.of_limit is not None else "-"] if limited else []
        against = f"{each.against:.2f}" if each.against is not None else "-"
        last = figure_of(each.unit, before[each.key]) if each.key in before else "-"
        threads = str(each.threads)
        table.append([each.program, each.case, threads, *shown, *share, against, last])
    right = "threads median slow fast before MFU"
    print_table([*heads, f"of {OURS}", "before"], table, right=right)


def figure_of(unit: str, value: float) -> str:
    """Return a value with three digits at least, for its unit."""
    if unit in TIMES:
        return f"{value:.3f}"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}"


def _print_quality(model: str, quality: "Sequence[Quality]") -> None:
    say()
    say(f"precisions of {model} over {quality[0].tokens:,} tokens, beside float32")
    rows = [
        (each.dtype, f"{each.kl:.3g}", f"{each.top1:.2%}", f"{each.perplexity:.4g}")
        for each in quality
    ]
    right = "KL top-1 perplexity"
    print_table(("precision", "KL", "top-1", "perplexity"), rows, right=right)
    say("KL: nats per token between the distributions; top-1: where both find the same likeliest")


def print_kernels(model: str, state: str, rows: "Sequence[KernelRow]") -> None:
    """Print how fast each kernel is, which is used, and what others need to be had here."""
    say()
    say(f"kernels for models as wide as {model}, a step of some layers; native: {state}")
    table = [
        (
            f"{each.kernel} *" if each.chosen else each.kernel,
            each.dtype,
            str(each.threads),
            f"{each.seconds * 1000:.2f}",
            f"{each.of_limit or 0:.2f}",
            f"{each.error or 0:.1g}",
        )
        for each in rows
        if each.seconds is not None
    ]
    heads = ("kernel", "precision", "threads", "ms", "of limit", "error")
    print_table(heads, table, right="threads ms limit error")
    for each in rows:
        if each.seconds is None:
            say(f"{each.kernel} in {each.dtype}: not here, needs {each.needs}")
    say("* is used from now on; error: the largest of a logit, of their spread, from float32")

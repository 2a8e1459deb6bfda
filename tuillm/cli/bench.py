"""`tuillm bench`: how fast this machine is, and tuillm beside its limits and other programs."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from tuillm.bench.bench_record import MEASURES
from tuillm.cli.options import Number
from tuillm.cli.output import ProgressLine, print_json, say
from tuillm.errors import TuillmError, UsageError, brief, did_you_mean

_DTYPES = ("float32", "bfloat16", "int8")
_BOOK = "bundled book"


@click.command("bench")
@click.argument("model", required=False)
@click.option(
    "--what",
    metavar="NAMES",
    help=f"What to measure, divided by commas: {', '.join(MEASURES)} [decode].",
)
@click.option("--all", "everything", is_flag=True, help="Measure all of these; some minutes.")
@click.option(
    "--quality",
    metavar="TEXT",
    is_flag=False,
    flag_value=_BOOK,
    help="Instead: how far each precision is from float32 on a text file [the bundled book].",
)
@click.option("--kernels", is_flag=True, help="Instead: time all kernels, take the fastest.")
@click.option("--dtype", metavar="NAMES", help="Precisions, divided by commas [all].")
@click.option("--threads", metavar="NUMBERS", help="Threads, divided by commas [all there are].")
@click.option("--tokens", type=Number(int, 1, 1000), default=32, help="Tokens of a round [32].")
@click.option("--rounds", type=Number(int, 1, 1000), help="Rounds, taken in turns [3 to 7].")
@click.option("--peers/--no-peers", default=True, help="Other programs, where installed [yes].")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def bench_command(
    model: str | None,
    what: str | None,
    everything: bool,
    quality: str | None,
    kernels: bool,
    dtype: str | None,
    threads: str | None,
    tokens: int,
    rounds: int | None,
    peers: bool,
    as_json: bool,
) -> None:
    """Measure this machine, and how fast tuillm is on it.

    Without a MODEL it is GPT-2's shape, 124M parameters, with random weights. All programs take
    turns; figures are medians. --quality needs a MODEL before it; --quality and --kernels measure
    nothing else unless --what or --all asks for that too.
    """
    dtypes, measures = _dtypes(dtype), _measures(what, everything, bool(quality) or kernels)
    if quality and not model:
        raise UsageError("--quality needs a model", "tuillm bench MODEL --quality")
    text = _text_of(quality) if quality else ""
    import torch

    from tuillm.bench.bench_history import as_json as result_of
    from tuillm.bench.bench_history import keep, values_before
    from tuillm.bench.kernel_table import kernel_table
    from tuillm.bench.machine_speed import measure_machine
    from tuillm.bench.run_bench import Wanted, refuse_short, run_bench, run_quality
    from tuillm.cli.bench_output import print_bench, print_kernels
    from tuillm.native.compiled import state

    counts = _threads(threads, torch.get_num_threads())
    notes: list[str] = []
    with _model_folder(model, measures, kernels) as (folder, label), ProgressLine() as tick:
        own = model is not None
        wanted = Wanted(folder, own, measures, dtypes, counts, tokens, rounds, peers)
        refuse_short(wanted)
        tick("measuring memory and matrices", 0.0)
        machine = measure_machine()
        results = run_bench(wanted, machine, tick, notes.append)
        compared = run_quality(folder, dtypes, text, tick) if text else []
        table = kernel_table(folder, dtypes, machine, tick) if kernels else []
    result = result_of(machine, label, tokens, results, compared, table)
    before, when = values_before(result)
    for words in notes:
        say(words, aside=True)
    if as_json:
        print_json(result)
    else:
        print_bench(machine, label, tokens, results, compared, before, when)
        if table:
            print_kernels(label, state(), table)
    keep(result)


@contextmanager
def _model_folder(
    model: str | None, measures: tuple[str, ...], kernels: bool
) -> Iterator[tuple[Path, str]]:
    """Give the folder of a model and its name; a random one for as long as it is needed."""
    if model is not None:
        from tuillm.store.run_checkpoints import resolve_model

        named = resolve_model(model)
        yield named.path, named.name
        return
    from tuillm.bench.bench_model import random_folder

    with tempfile.TemporaryDirectory() as folder:
        if kernels or {"decode", "prefill", "first-token"} & {*measures}:
            random_folder(Path(folder))
        yield Path(folder), "gpt2's shape"


def _measures(what: str | None, everything: bool, alone: bool) -> tuple[str, ...]:
    if everything and what:
        raise UsageError("--all measures everything", "leave out --what, or --all")
    if not what:
        return tuple(MEASURES) if everything else () if alone else ("decode",)
    names = {each.strip() for each in what.split(",")}
    for name in names:
        if name not in MEASURES:
            known = f"allowed: {', '.join(MEASURES)}"
            raise UsageError(f"--what cannot be {brief(name)}", did_you_mean(name, MEASURES, known))
    return tuple(each for each in MEASURES if each in names)


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


def _text_of(name: str) -> str:
    """Read a text file as training would, the bundled book by its name."""
    from tuillm.store.paths import demo_book
    from tuillm.text import read_corpus

    source = str(demo_book()) if name == _BOOK else name
    text = read_corpus((source,)).text
    if not text.strip():
        raise TuillmError(f"there is no text in {source}", "name a file with some")
    return text

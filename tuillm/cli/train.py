"""`tuillm train`: checks what was typed, starts a worker, and watches its run folder."""

import sys
from typing import TYPE_CHECKING

import click

from tuillm.cli.cluster_forecast import refuse_without_forecast, show_cluster_forecast
from tuillm.cli.options import Count, Number, TrainingCommand, setting_options, typed
from tuillm.cli.output import safe_console, say
from tuillm.config import PRESETS, TrainConfig, build_train, read_toml
from tuillm.errors import TuillmError
from tuillm.urls import public_url

if TYPE_CHECKING:
    from tuillm.store.run_folder import Run

_PRESETS = "\n".join(f"  {name:<12} {preset.help}" for name, preset in PRESETS.items())


@click.command(
    "train",
    cls=TrainingCommand,
    epilog=f"\b\nPresets:\n{_PRESETS}\n\n\b\nWhat is typed wins over --config, which wins over "
    "the preset.",
)
@click.argument("corpus", nargs=-1, metavar="TEXT...")
@click.option("--config", "config_file", metavar="FILE", help="Settings from a TOML file.")
@click.option("--replace", is_flag=True, help="Publish over a model of the same name.")
@click.option("--detach", is_flag=True, help="Start in the background and return at once.")
@click.option("--queue", is_flag=True, help="Start in the background when no other run is going.")
@click.option("--forecast", is_flag=True, help="Say what the run would take; start nothing.")
@click.option(
    "--device-kind",
    metavar="KIND",
    help="With --forecast: on GPUs that are not here, such as a100, h100 or rtx4090.",
)
@click.option(
    "--nnodes",
    type=Number(int, 1, 10_000),
    metavar="N",
    help="With --device-kind: machines, each with --nproc GPUs [1].",
)
@click.option(
    "--tokens",
    type=Count(),
    metavar="N",
    help="With --device-kind, in place of TEXT: how many tokens it has, such as 9B.",
)
@click.option("--json-lines", is_flag=True, help="Print every step as JSON, for programs.")
@setting_options(TrainConfig, leave_out=("corpus",))
def train_command(
    corpus: tuple[str, ...],
    config_file: str | None,
    replace: bool,
    detach: bool,
    queue: bool,
    forecast: bool,
    device_kind: str | None,
    nnodes: int | None,
    tokens: int | None,
    json_lines: bool,
    **settings: object,
) -> None:
    """Grow a model on TEXT...: files or http(s) addresses.

    The model lands in the registry under the name of the text (or --name). Ctrl-C stops after
    the current step and keeps what was learned; twice leaves the run going in the background.
    """
    from tuillm.store.registry import shape_of

    refuse_without_forecast(forecast, device_kind, nnodes, tokens)
    file = read_toml(config_file) if config_file is not None else {}
    config = build_train(typed(settings | {"corpus": corpus}), file, shape_of)
    config = _without_pipes(config)
    if device_kind is not None:
        show_cluster_forecast(config, device_kind, nnodes, tokens, json_lines=json_lines)
    elif forecast:
        from tuillm.cli.forecast import show_forecast

        show_forecast(config, json_lines=json_lines)
    else:
        detach = detach or queue
        start(config, replace=replace, detach=detach, queue=queue, json_lines=json_lines)


def start(
    config: TrainConfig,
    *,
    replace: bool = False,
    detach: bool = False,
    queue: bool = False,
    json_lines: bool = False,
) -> str | None:
    """Check the text and the name, start a run and watch it; return the published name."""
    check(config, replace=replace)
    from tuillm.cli.watch import watch
    from tuillm.store.workers.launch import forget_vain_start, start_run

    run = start_run(config, replace=replace, queue=queue)
    if detach:
        how = _queued(run) if queue else "started in the background"
        say(f"run {run.id} {how}; watch it: tuillm runs attach {run.id}")
        return None
    try:
        return watch(run, json_lines=json_lines)
    except TuillmError:
        forget_vain_start(run)
        raise


def _queued(run: "Run") -> str:
    """What a run in the queue waits for, in words."""
    from tuillm.store.run_queue import waits_for

    other, position = waits_for(run)
    return f"waits for {other.id}, number {position} in the queue" if other else "starts now"


def check(config: TrainConfig, *, replace: bool) -> None:
    """Refuse what cannot work before anything is started: the text, the name, the disk."""
    from tuillm.training.start_checks import validate_start, validate_text

    validate_start(config, replace=replace)
    _fetch_addresses(config)
    validate_text(config)


def _without_pipes(config: TrainConfig) -> TrainConfig:
    """Read what comes through pipes into files, which the worker can read as well."""
    from tuillm.text.stdin_pipes import keep_pipes

    corpus = keep_pipes(config.corpus, lambda line: say(line, aside=True))
    return config.model_copy(update={"corpus": corpus})


def _fetch_addresses(config: TrainConfig) -> None:
    """Download what is an address, with progress, so that the worker finds it in the cache."""
    from tuillm.text.web_cache import download
    from tuillm.urls import is_url

    notes: list[str] = []
    for url in filter(is_url, config.corpus):
        if not sys.stderr.isatty():
            download(url, as_text=config.as_text, note=notes.append)
            continue
        from rich.progress import DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

        name = TextColumn("{task.description}", markup=False)
        columns = (name, DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, console=safe_console(stderr=True), transient=True) as progress:
            task = progress.add_task(public_url(url), total=None)

            def report(
                done: int, total: int | None, progress: Progress = progress, task: TaskID = task
            ) -> None:
                progress.update(task, completed=done, total=total)

            download(url, report, as_text=config.as_text, note=notes.append)
    for line in notes:
        say(line, aside=True)

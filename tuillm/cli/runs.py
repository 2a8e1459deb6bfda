"""`tuillm runs`: list, watch and steer the run folders."""

from typing import cast

import click

from tuillm.cli import logger_output
from tuillm.cli.output import (
    print_facts,
    print_json,
    print_table,
    refuse_unless_confirmed,
    say,
    yes_option,
)
from tuillm.cli.suggest import NearestGroup
from tuillm.config import TrainConfig, settings_of
from tuillm.config.check_setting import check_setting
from tuillm.errors import TuillmError, UsageError
from tuillm.store import run_folder
from tuillm.store.run_control import steps_of
from tuillm.store.run_folder import Run
from tuillm.store.run_status import ACTIVE, RESUMABLE
from tuillm.units import age, count, duration, figure, percent
from tuillm.urls import public_url

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
_id = click.argument("run_id", metavar="ID")
_corpus = click.option(
    "--corpus",
    multiple=True,
    metavar="PATH",
    help="Where its text is now, if it was moved; one for each text.",
)
_changed = click.option(
    "--changed-text",
    is_flag=True,
    help="Go on though the text is another one: the tokenizer stays, losses are measured anew.",
)

_TO = "tensorboard, wandb, trackio or csv; several divided by commas."
_UNSAID = ("pid", "process_started", "notes", "queue_position")
_OF_RANKS = ("ranks", "nodes", "slowest_rank", "slowest_share")


@click.group("runs", cls=NearestGroup, invoke_without_command=True)
@_json
@click.pass_context
def runs_command(ctx: click.Context, as_json: bool) -> None:
    """List, watch and steer training runs; without a verb, list them."""
    if ctx.invoked_subcommand is None:
        _list(as_json)


@runs_command.command("list")
@_json
def list_runs(as_json: bool) -> None:
    """List all runs."""
    _list(as_json)


@runs_command.command("show")
@_id
@_json
def show(run_id: str, as_json: bool) -> None:
    """Show one run: its state, its settings, and how to steer it."""
    run = run_folder.get_run(run_id)
    config = run.config.model_dump(mode="json")
    if as_json:
        config |= {"corpus": [public_url(source) for source in config["corpus"]]}
        print_json(run.as_json() | {"config": config})
        return
    status = run.status()
    values = {"run": run.id, "path": str(run.path)} | {
        key: value
        for key, value in status.model_dump(mode="json").items()
        if value not in (None, [], "") and key not in _UNSAID
    }
    if status.ranks < 2:
        values = {key: value for key, value in values.items() if key not in _OF_RANKS}
    values |= {
        "created": age(status.created),
        "heartbeat": age(status.heartbeat),
        "elapsed": duration(status.elapsed),
        "eta": duration(status.eta),
    }
    values |= {"progress": percent(status.progress)}
    values |= logger_output.facts(run)
    values |= {f"note {number}": note for number, note in enumerate(status.notes, 1)}
    print_facts(values)
    say()
    say("settings")
    print_facts(
        {
            f"  {setting.name}": setting.words(config[setting.name])
            for setting in settings_of(TrainConfig)
        }
    )


@runs_command.command("attach")
@_id
@click.option("--json-lines", is_flag=True, help="Print every step as JSON, for programs.")
def attach(run_id: str, json_lines: bool) -> None:
    """Watch a run as `tuillm train` does: Ctrl-C stops it, twice leaves it going."""
    from tuillm.cli.watch import watch

    watch(run_folder.get_run(run_id), json_lines=json_lines)


@runs_command.command("stop")
@_id
def stop(run_id: str) -> None:
    """Stop a run after its current step; it saves and publishes."""
    _active(run_id).request("stop")
    say(f"asked {run_id} to stop")


@runs_command.command("pause")
@_id
def pause(run_id: str) -> None:
    """Pause a run after its current step."""
    run = _active(run_id)
    if run.status().state == "queued":
        raise TuillmError(
            f"run {run_id!r} has not begun: it is queued", f"tuillm runs queue {run_id} last"
        )
    run.request("pause")
    say(f"asked {run_id} to pause; go on with: tuillm runs resume {run_id}")


@runs_command.command("resume")
@_id
@_corpus
@_changed
@click.option(
    "--nproc",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Processes that train together from now on.",
)
@click.option("--queue", is_flag=True, help="Begin when no other run is going.")
def resume(
    run_id: str, corpus: tuple[str, ...], changed_text: bool, nproc: int | None, queue: bool
) -> None:
    """Let a paused run go on, or take an ended one up again with the text it began with.

    One that is queued starts at once.
    """
    from tuillm.training import resume as resuming

    run = run_folder.get_run(run_id)
    if run.status().state in ACTIVE:
        _refuse_text(run, corpus, changed_text, nproc, queue)
        run.request("resume")
        say(f"asked {run_id} to go on")
        return
    step = resuming.resume(run, corpus=corpus, changed_text=changed_text, nproc=nproc, queue=queue)
    begin = f"goes on from step {step:,}" if step else "left no checkpoint and begins anew"
    say(f"{run_id} {begin}; watch it: tuillm runs attach {run_id}")


@runs_command.command("extend", context_settings={"ignore_unknown_options": True})
@_id
@click.argument("wanted", metavar="STEPS")
@_corpus
@_changed
def extend(run_id: str, wanted: str, corpus: tuple[str, ...], changed_text: bool) -> None:
    """Let a run take STEPS more, be it going or ended; it publishes over its model.

    The learning rate rises again to what the longer schedule says.
    """
    from tuillm.training import resume as resuming

    steps = steps_of(wanted)
    run = run_folder.get_run(run_id)
    state = run.status().state
    if state in ACTIVE:
        _refuse_text(run, corpus, changed_text)
        run.request("extend", steps)
        paused = f"; it is paused, go on with: tuillm runs resume {run_id}"
        say(f"asked {run_id} to take {steps:,} steps more{paused if state == 'paused' else ''}")
        return
    step = resuming.resume(run, extend=steps, corpus=corpus, changed_text=changed_text)
    say(
        f"{run_id} goes on from step {step:,} for {steps:,} steps more than it had; "
        f"watch it: tuillm runs attach {run_id}"
    )


@runs_command.command("queue")
@click.argument("run_id", metavar="[ID", required=False)
@click.argument("move", metavar="first|last|up|down]", required=False)
def queue(run_id: str | None, move: str | None) -> None:
    """Show the runs that wait for their turn, or let one of them start earlier or later."""
    from tuillm.cli import queue_output

    queue_output.show() if run_id is None else queue_output.move(run_id, move)


@runs_command.command("log")
@_id
@click.option("--to", "names", multiple=True, required=True, metavar="NAME", help=_TO)
def log(run_id: str, names: tuple[str, ...]) -> None:
    """Log a run to other tools: one that has ended whole, one that is going from now on."""
    wanted = cast(tuple[str, ...], check_setting(TrainConfig, "log_to", names))
    if not wanted:
        raise UsageError("no logger was named", _TO)
    logger_output.log(run_folder.get_run(run_id), wanted)


@runs_command.command("rm")
@click.argument("run_ids", nargs=-1, required=True, metavar="ID...")
@yes_option
def rm(run_ids: tuple[str, ...], yes: bool) -> None:
    """Remove run folders; the models they published stay."""
    found = [run_folder.get_run(run_id) for run_id in run_ids]
    refuse_unless_confirmed(f"Remove the runs {', '.join(run_ids)}? Their models stay.", yes)
    for run in found:
        run_folder.remove_run(run)
        say(f"removed {run.id}")


def _list(as_json: bool) -> None:
    found = run_folder.list_runs()
    if as_json:
        print_json([run.as_json() for run in found])
        return
    if not found:
        say("No runs yet. Start one: tuillm train BOOK.txt")
        return
    columns = ("run", "state", "step", "done", "loss", "bits/byte", "tokens/s", "model", "started")
    print_table(columns, [_row(run) for run in found], right="step done loss bits/byte tokens/s")


def _row(run: Run) -> tuple[str, ...]:
    status = run.status()
    return (
        run.id,
        status.state,
        str(status.step),
        percent(status.progress),
        figure(status.train_loss),
        figure(status.bits_per_byte),
        count(status.tokens_per_sec),
        status.model or "-",
        age(status.created),
    )


def _refuse_text(
    run: Run,
    corpus: tuple[str, ...],
    changed_text: bool,
    nproc: int | None = None,
    queue: bool = False,
) -> None:
    """Raise TuillmError for what can only be chosen for a run that is not going."""
    given = {"--corpus": corpus, "--changed-text": changed_text, "--nproc": nproc}
    for option in (option for option, value in (given | {"--queue": queue}).items() if value):
        raise TuillmError(
            f"{option} is for a run that has ended, and {run.id!r} is going",
            f"tuillm runs stop {run.id}",
        )


def _active(run_id: str) -> Run:
    run = run_folder.get_run(run_id)
    state = run.status().state
    if state not in ACTIVE:
        hint = f"tuillm runs resume {run_id}" if state in RESUMABLE else "tuillm runs lists them"
        raise TuillmError(f"run {run_id!r} is not going: it is {state}", hint)
    return run

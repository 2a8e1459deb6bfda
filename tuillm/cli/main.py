"""The `tuillm` command: finds the module of a verb and turns errors into one line.

Knows the verbs by name only, so that `tuillm --help` imports nothing but click.
"""

import gc
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import click

from tuillm import __version__
from tuillm.cli.output import complain, say_page
from tuillm.cli.suggest import NearestGroup
from tuillm.errors import TuillmError
from tuillm.terminal.ending import end_on_signals, ended_with
from tuillm.terminal.streams import finish_streams, mute_streams, prepare_streams
from tuillm.urls import hide_secrets

COMMANDS = {
    "dashboard": "See, steer and start everything (also: tuillm alone).",
    "demo": "Grow a model on the bundled book, then talk to it.",
    "train": "Grow a model on a text of yours.",
    "prepare": "Read and encode a text ahead of its training.",
    "explore": "Look at a text before you train on it.",
    "pull": "Fetch a model from the Hugging Face hub.",
    "push": "Upload a model to the Hugging Face hub.",
    "chat": "Talk to a model (also: run).",
    "generate": "Print text that a model writes.",
    "compare": "Let two models continue the same words, side by side.",
    "eval": "Measure how well models predict a text.",
    "verify": "Compare models with transformers.",
    "list": "List the models (also: ls).",
    "show": "Show what is known about a model.",
    "rename": "Give a model another name.",
    "cp": "Copy a model.",
    "import": "Bring a model in from a folder or file.",
    "export": "Copy a model out: for transformers, llama.cpp or ollama.",
    "rm": "Remove models.",
    "runs": "List, watch and steer training runs (also: ps).",
    "presets": "List the recipes for training, or one with its values.",
    "bench": "Measure this machine, and how fast tuillm is on it.",
    "doctor": "Show versions, machine and health, for a report; mend what a crash left.",
}
_MODULES = dict.fromkeys(("list", "show", "rename", "cp", "rm"), "models")
_MODULES |= {"import": "convert", "export": "convert"}


class ReaderGone(Exception):
    """Who reads stdout has ended, as `head` does; click would make a failure of it."""


class Verbs(NearestGroup):
    """A group whose commands are imported when they are asked for."""

    def make_context(self, *arguments: Any, **more: Any) -> click.Context:
        with _noticing_the_reader():
            return super().make_context(*arguments, **more)

    def invoke(self, ctx: click.Context) -> Any:
        with _noticing_the_reader():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"tuillm.cli.{_MODULES.get(cmd_name, cmd_name)}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=Verbs, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="tuillm")
@click.pass_context
def tuillm(ctx: click.Context) -> None:
    """Grow a GPT on your own book and talk to it, without leaving the terminal.

    \b
    tuillm                                 the dashboard
    tuillm demo                            a minute of training, then a chat
    tuillm train book.txt --preset tiny    grow a model on your own text
    tuillm chat book                       talk to it
    tuillm pull gpt2                       or begin with a model that has read a lot
    """
    if ctx.invoked_subcommand is not None:
        return
    if sys.stdin.isatty() and sys.stdout.isatty():
        from tuillm.cli.dashboard import open_dashboard

        open_dashboard()
    else:
        say_page(ctx.get_help())


def main() -> None:
    """Run the command and exit: 0, 1 (failed), 2 (typed wrongly), 130 (Ctrl-C).

    SIGTERM and SIGHUP make it 143 and 129.
    """
    # loading torch makes a million objects and no garbage: looking for it costs a tenth of a second
    gc.set_threshold(50_000, 20, 20)
    end_on_signals()
    code = _run()
    mute_streams()  # Python must not complain while it ends
    sys.exit(ended_with() or code)


def _run() -> int:
    """Run the command, tell of any error in one line, and return the exit code."""
    try:
        prepare_streams()
        _leave_removed_folder()
        try:
            code = tuillm.main(standalone_mode=False, prog_name="tuillm")
        except SystemExit as end:
            code = end.code
        finish_streams()
        return code if isinstance(code, int) else 0
    except TuillmError as error:
        return _fail(str(error), error.exit_code)
    except click.ClickException as error:
        return _fail(error.format_message().rstrip("."), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return 130
    except (ReaderGone, BrokenPipeError):
        return 0  # nothing is wrong
    except OSError as error:  # a full disk behind a redirected stdout, say
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}", 1)
    except Exception as error:  # a mistake of ours is told whole, but acts on no terminal
        return _fail("".join(traceback.format_exception(error)), 1, whole=True)


def _fail(message: str, code: int, whole: bool = False) -> int:
    message = hide_secrets(message)
    complain(message if whole else f"tuillm: {' '.join(message.split())}", whole=whole)
    return code


def _leave_removed_folder() -> None:
    """Go where there is a folder: without one torch's libraries end the process as they load.

    It is an empty one, so that a relative path still names nothing.
    """
    try:
        os.getcwd()
    except OSError:
        from tuillm.store.paths import passing_dir

        os.chdir(passing_dir())


@contextmanager
def _noticing_the_reader() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise ReaderGone from None

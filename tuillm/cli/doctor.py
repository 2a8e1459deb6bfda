"""`tuillm doctor`: what a report of a fault needs, and what crashes have left to be mended.

Shows versions, the machine, the terminal and the state of the data directory, with `~` for the
person's home directory. What is found names models and runs.
"""

import locale
import os
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click
import psutil

from tuillm import __version__
from tuillm.cli.output import print_json, refuse_unless_confirmed, say
from tuillm.config.context_memory import LONG_CONTEXT
from tuillm.errors import TuillmError
from tuillm.native.compiled import state as native_state
from tuillm.store.context_words import context_words
from tuillm.store.health import Finding, findings
from tuillm.store.paths import cache_dir, data_dir, models_dir, runs_dir
from tuillm.store.processor import instruction_sets, processor_name
from tuillm.store.registry import read_model_entry
from tuillm.units import size
from tuillm.urls import hide_secrets

_PACKAGES = (
    *("torch", "tiktoken", "tokenizers", "safetensors", "transformers", "textual"),
    *("prompt-toolkit", "huggingface-hub", "numpy", "pydantic", "datasets", "gguf"),
)
_VARIABLES = ("TERM", "COLORTERM", "TERM_PROGRAM", "NO_COLOR", "TMUX", "SSH_TTY", "WSL_DISTRO_NAME")
_OURS = ("TUILLM_", "OMP_", "MKL_", "CUDA_", "ONEDNN_", "HF_HUB_OFFLINE")


@click.command("doctor")
@click.option("--mend", is_flag=True, help="Put right what can be, without losing anything.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def doctor_command(mend: bool, as_json: bool, yes: bool) -> None:
    """Show versions, machine, terminal and the health of the data directory.

    Paths are told without your home directory: paste it into an issue as it is.
    """
    found = findings()
    parts = {
        "versions": _versions(),
        "machine": _machine(),
        "terminal": _terminal(),
        "data": _data(),
    }
    if contexts := _contexts():
        parts["contexts"] = contexts
    if as_json:
        shown: dict[str, object] = {
            title: {name: _anonymous(value) for name, value in part.items()}
            for title, part in parts.items()
        }
        told = [
            {"what": _anonymous(each.what), "command": _anonymous(each.command)} for each in found
        ]
        print_json(shown | {"findings": told})
    else:
        for title, values in parts.items():
            say(title)
            for name, value in values.items():
                say(f"  {name:<18} {_anonymous(value)}")
        _tell(found)
    if mend:
        _mend(found, yes)


def _tell(found: list[Finding]) -> None:
    say("findings" if found else "findings           none: all is well")
    for each in found:
        what_next = "tuillm doctor --mend" if each.mend else each.command
        say(f"  {_anonymous(each.what)}" + (f"  ({_anonymous(what_next)})" if what_next else ""))


def _mend(found: list[Finding], yes: bool) -> None:
    can = [each for each in found if each.mend]
    if not can:
        say("nothing to mend", aside=True)
        return
    refuse_unless_confirmed(f"Mend {len(can)} of {len(found)}?", yes)
    for each in can:
        assert each.mend is not None
        try:
            each.mend()
        except TuillmError as error:
            say(f"not mended: {_anonymous(str(error))}", aside=True)
        else:
            say(f"mended: {_anonymous(each.what)}", aside=True)


def _versions() -> dict[str, str]:
    found = {"tuillm": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "-"
    return found


def _machine() -> dict[str, str]:
    memory = psutil.virtual_memory()
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": " ".join([processor_name(), *instruction_sets()]),
        "cores": f"{psutil.cpu_count(logical=False) or '?'}, {os.cpu_count()} threads",
        "memory": f"{size(memory.total)}, {size(memory.available)} free",
        "native library": native_state(),
        "gpu": "nvidia driver" if Path("/proc/driver/nvidia/version").exists() else "-",
        **{name: os.environ[name] for name in sorted(os.environ) if name.startswith(_OURS)},
    }


def _terminal() -> dict[str, str]:
    columns, lines = shutil.get_terminal_size()
    return {
        "size": f"{columns}x{lines}",
        "is a terminal": "yes" if sys.stdout.isatty() else "no",
        "encoding": f"{sys.stdout.encoding}, {locale.getlocale()[0]}",
        **{name: os.environ[name] for name in _VARIABLES if name in os.environ},
    }


def _data() -> dict[str, str]:
    folder = next(path for path in (data_dir(), *data_dir().parents) if path.exists())
    return {
        "data directory": str(data_dir()),
        "cache": str(cache_dir()),
        "free": size(shutil.disk_usage(folder).free),
        "models": str(_count(models_dir())),
        "runs": str(_count(runs_dir())),
    }


def _contexts() -> dict[str, str]:
    """What memory the contexts of models take, of those where it is worth a thought."""
    folders = sorted(models_dir().iterdir()) if models_dir().is_dir() else []
    # not `list_models`, which mends
    models = [read_model_entry(each) for each in folders if not each.name.startswith(".")]
    return {
        model.name: context_words(model.shape)
        for model in models
        if model.shape and model.shape.block_size > LONG_CONTEXT
    }


def _count(folder: Path) -> int:
    if not folder.is_dir():
        return 0
    return sum(not path.name.startswith(".") for path in folder.iterdir())


def _anonymous(text: str) -> str:
    """Return a text with `~` for the home directory, and without secrets of addresses."""
    home, text = str(Path.home()), hide_secrets(text)
    return text.replace(home, "~") if home not in ("/", "") else text

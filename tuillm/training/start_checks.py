"""What is looked at before a run starts, the same for the command line, the form and Python.

A run that cannot end well is refused here, in one line, before a folder or a process is made for
it. Knows settings, the registry and texts; loads no torch.
"""

from itertools import filterfalse

from tuillm.config import TrainConfig
from tuillm.config.lora_layers import chosen_targets
from tuillm.errors import TuillmError, UsageError
from tuillm.loggers.available import refuse_missing_loggers
from tuillm.store.paths import ensure_dir, models_dir, runs_dir
from tuillm.store.registry import find_model, refuse_if_taken
from tuillm.store.run_folder import active_run_for, model_name
from tuillm.store.usage import refuse_if_used
from tuillm.store.workers.device_check import refuse_missing_device, which_device
from tuillm.text.corpus import read_corpus
from tuillm.text.read_options import ReadOptions
from tuillm.text.web_cache import is_cached
from tuillm.training.compiler_check import refuse_missing_compiler
from tuillm.urls import is_dataset, is_remote, is_url
from tuillm.user_paths import path_problem, user_path

_TAKEN = "another name: --name NAME; in its place: --replace"


def validate_start(config: TrainConfig, *, replace: bool = False, hint: str = _TAKEN) -> None:
    """Raise TuillmError for a run that cannot end well: no text, a name taken, a disk refusing.

    So does a model to start from that is unknown or damaged, a device that is not there, and a
    compiler that is not, where the run is to be compiled.
    `hint` says what to do about a taken name. The text itself is `validate_text`'s.
    """
    if not config.corpus:
        raise UsageError("no text was named", "tuillm train BOOK.txt, or tuillm demo")
    name = model_name(config)
    for folder in (models_dir(), runs_dir()):
        ensure_dir(folder)
    if replace:
        refuse_if_used(name, "replace")
    else:
        refuse_if_taken(name, hint)
    running = active_run_for(name)
    if running:
        raise TuillmError(
            f"run {running.id!r} is already growing {name!r}",
            f"watch it: tuillm runs attach {running.id}",
        )
    if config.init_from is not None:
        parent = find_model(config.init_from).shape
        if config.lora and parent:
            chosen_targets(parent.family, config.lora_targets)
    refuse_missing_device(config.device)
    refuse_missing_loggers(config.log_to)
    if config.compile == "on":
        refuse_missing_compiler(which_device(config.device))


def validate_text(config: TrainConfig) -> None:
    """Raise TuillmError for a text that cannot be read, or not by the tokenizer of its model.

    An address that is not in the cache yet is left to the run, which fetches it.
    """
    if not uncached_addresses(config):
        read_corpus(config.corpus, options=ReadOptions.of(config))
    if config.init_from is not None and config.tokenizer != "auto":
        from tuillm.text.tokenizer_files import load_tokenizer
        from tuillm.text.tokens import refuse_other_kind

        refuse_other_kind(load_tokenizer(find_model(config.init_from).path), config)


def uncached_addresses(config: TrainConfig) -> list[str]:
    """Return the addresses and data sets of the text that have to be fetched first."""
    return [
        source
        for source in config.corpus
        if is_dataset(source) or (is_url(source) and not is_cached(source, as_text=config.as_text))
    ]


def missing_text(config: TrainConfig) -> str:
    """Say which file of the text is not there, or ''; quick enough for every key that is typed."""
    for source in filterfalse(is_remote, config.corpus):
        if problem := path_problem(source):
            return problem
        if not user_path(source).exists():
            return f"{source} does not exist"
    return ""


def taken_name(config: TrainConfig) -> str:
    """Return the name that the model would get, where one of that name is there; else ''."""
    name = model_name(config)
    return name if (models_dir() / name).exists() else ""

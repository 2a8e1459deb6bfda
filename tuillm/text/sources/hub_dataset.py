"""Data sets of the Hugging Face hub: `hf://datasets/OWNER/NAME[@REVISION][/CONFIG][:SPLIT]`.

Rows come as they are asked for, through the `datasets` library, which is imported when a data set
is opened; nothing that a data set brings along is executed. HF_ENDPOINT, HF_TOKEN and
HF_HUB_OFFLINE count. Knows names and answers; knows nothing of what a field means.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tuillm.errors import TuillmError, did_you_mean, one_line, printable, shorten
from tuillm.text.sources.items import Record
from tuillm.text.sources.open_item import needs_extra
from tuillm.text.sources.records import Faults, Records
from tuillm.urls import DATASETS, hide_secrets, is_dataset

if TYPE_CHECKING:
    import datasets

_FORM = f"{DATASETS}OWNER/NAME, OWNER/NAME/CONFIG or OWNER/NAME:SPLIT"
_NAME = r"[A-Za-z0-9](?:[\w.-]{0,94}[A-Za-z0-9_])?"
_PARTS = re.compile(
    rf"(?P<repo>{_NAME}(?:/{_NAME})?)"
    r"(?:@(?P<revision>refs/(?:convert|pr)/[\w.-]{1,100}|[\w.-]{1,100}))?"
    r"(?:/(?P<config>[^/:@\[\]\s]{1,200}))?(?::(?P<split>[\w.-]{1,100}))?",
    re.ASCII,
)
_SCRIPTS = "refs/convert/parquet"


@dataclass(frozen=True)
class DatasetName:
    """A data set of the hub: its repository, and which of its parts; '' is the usual one."""

    repo: str
    config: str = ""
    split: str = ""
    revision: str = ""

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        config = f"/{self.config}" if self.config else ""
        return f"{DATASETS}{self.repo}{revision}{config}{f':{self.split}' if self.split else ''}"


def parse_dataset(source: str) -> DatasetName:
    """Return what `hf://datasets/...` names; raises TuillmError for what names nothing."""
    shown = shorten(one_line(source))
    if not is_dataset(source):
        raise TuillmError(f"{shown} is no data set of the hub", _FORM)
    path = source[len(DATASETS) :].rstrip("/")
    if ":" in path.partition("[")[0] and path.endswith("]"):
        raise TuillmError(
            f"{shown} names a part of a split, which cannot be had", "name the whole split"
        )
    found = _PARTS.fullmatch(path)
    # what has no owner has no config either: NAME/CONFIG would be OWNER/NAME
    orphan = found and found["config"] and "/" not in found["repo"]
    if not found or orphan or ".." in path or not path.isprintable():
        raise TuillmError(f"{shown} is no name of a data set", _FORM)
    return DatasetName(**{key: value or "" for key, value in found.groupdict().items()})


def open_dataset(name: DatasetName) -> Records:
    """Return the rows of a data set, streamed anew at each iteration; pictures stay bytes.

    Without a split that is `train`, or the only one. Raises TuillmError where the library is
    missing, where the hub cannot be reached or has no such data set, config or split, and for
    one that only a script of its own could make; so does an iteration that breaks off.
    """
    needs_extra(str(name), "a data set of the hub", "datasets", "datasets")
    return _records(_load(_full(name)), name)


def _records(rows: "datasets.IterableDataset", name: DatasetName) -> Records:
    def read(faults: Faults) -> Iterator[Record]:
        with _in_words(name), _quiet():
            for number, values in enumerate(rows, 1):
                yield Record(number, values)

    return Records(str(name), read)


def _full(name: DatasetName) -> DatasetName:
    """Return the name with its owner: data sets of old had none, and the hub knows where they are.

    The library would take some such names for its own readers, and read this folder's files.
    """
    if "/" in name.repo:
        return name
    from huggingface_hub import HfApi, constants

    with _in_words(name):
        repo = HfApi(endpoint=constants.ENDPOINT).dataset_info(name.repo).id
        if "/" not in repo:
            raise TuillmError(f"{name} names no owner", _FORM)
    return DatasetName(repo, name.config, name.split, name.revision)


def _load(name: DatasetName) -> "datasets.IterableDataset":
    import datasets

    with _in_words(name), _quiet():
        try:
            # the scheme keeps the library from a folder of that name on this machine
            splits = datasets.load_dataset(
                f"{DATASETS}{name.repo}",
                name.config or None,
                revision=name.revision or None,
                streaming=True,
            )
        except ValueError as error:
            raise _wrong_config(name, error) from None
        rows = splits[_split(name, list(map(str, splits)))]
        # pictures and sounds are known by the features; without those nothing is decoded
        return rows.decode(False) if rows.features else rows


def _split(name: DatasetName, splits: list[str]) -> str:
    if name.split in splits:
        return name.split
    if not name.split and (usual := "train" if "train" in splits else splits[0]):
        if usual == "train" or len(splits) == 1:
            return usual
    listed = ", ".join(map(printable, splits))
    if not name.split:
        raise TuillmError(f"{name} has several splits", f"name one behind a colon: {listed}")
    raise TuillmError(
        f"{name} has no split {name.split!r}, but {listed}", did_you_mean(name.split, splits)
    )


def _wrong_config(name: DatasetName, error: ValueError) -> TuillmError:
    """The error for a config that is missing, or not there; `error` where it is about neither."""
    import datasets

    try:
        configs = datasets.get_dataset_config_names(
            f"{DATASETS}{name.repo}", revision=name.revision or None
        )
    except ValueError:
        configs = []
    listed = _listed(configs)
    if configs and not name.config:
        return TuillmError(f"{name} has several configs: {listed}", f"{name}/{configs[0]}")
    if configs and name.config not in configs:
        return TuillmError(
            f"{name.repo} has no config {name.config!r}, but {listed}",
            did_you_mean(name.config, configs),
        )
    return _other(name, error)


def _listed(names: list[str], most: int = 20) -> str:
    shown = ", ".join(printable(each) for each in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def _other(name: DatasetName, error: BaseException) -> TuillmError:
    words = shorten(hide_secrets(one_line(str(error)))) or type(error).__name__
    return TuillmError(f"{name} cannot be read: {words}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Let the libraries print neither remarks nor bars, which would stand in our screen."""
    import datasets
    from huggingface_hub import logging

    levels = datasets.logging.get_verbosity(), logging.get_verbosity()
    bars = not datasets.are_progress_bars_disabled()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    logging.set_verbosity(logging.CRITICAL)
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.logging.set_verbosity(levels[0])
        logging.set_verbosity(levels[1])
        if bars:
            datasets.enable_progress_bars()


@contextmanager
def _in_words(name: DatasetName) -> Iterator[None]:
    """Turn what the library and the hub answer into one line."""
    try:
        yield
    except TuillmError:
        raise
    except Exception as error:  # through readers of many formats and clients of the network
        raise _told(name, error) from None


def _told(name: DatasetName, error: Exception) -> TuillmError:
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    from tuillm.store.hub.hub_errors import host, request_errors

    causes = [error]
    while len(causes) < 10 and (cause := causes[-1].__cause__ or causes[-1].__context__):
        causes.append(cause)  # type: ignore[arg-type]
    text = " ".join(map(str, causes))
    unreachable = any(isinstance(each, (ConnectionError, request_errors())) for each in causes)
    if any(isinstance(each, OfflineModeIsEnabled) for each in causes) or (
        unreachable and constants.HF_HUB_OFFLINE
    ):
        return TuillmError(
            f"{name} has to be fetched, and HF_HUB_OFFLINE forbids it", "unset HF_HUB_OFFLINE"
        )
    if "is a gated dataset" in text or any(isinstance(each, GatedRepoError) for each in causes):
        return TuillmError(
            f"{name} is gated: its owners decide who may read it",
            f"ask them on https://{host()}/datasets/{name.repo}, then: hf auth login",
        )
    if "scripts are no longer supported" in text:
        return TuillmError(
            f"{name} is made by a script, which is not executed",
            f"most have their rows as files, too: {DATASETS}{name.repo}@{_SCRIPTS}",
        )
    if text.startswith("Revision "):
        return TuillmError(
            f"{name.repo} has no revision {name.revision!r}", "name a branch, a tag or a commit"
        )
    missing = isinstance(error, FileNotFoundError) and "exist on the Hub" in text
    if missing or any(isinstance(each, RepositoryNotFoundError) for each in causes):
        return TuillmError(
            f"{host()} has no data set {name.repo!r} that you may see",
            "check the spelling; for a private one: hf auth login",
        )
    if isinstance(error, FileNotFoundError):
        return TuillmError(f"{name} has no files that can be read as a table")
    if any(isinstance(each, HfHubHTTPError) for each in causes):
        return TuillmError(f"{host()} refuses: {shorten(one_line(str(error)))}", "try again later")
    if unreachable:
        return TuillmError(f"{host()} cannot be reached", "connect to the network and try again")
    return _other(name, error)

"""Pushes a model to the hub: one file after the other, and then one commit that shows them all.

Until that commit none of them is to be seen there, and files that were sent whole stay with the
hub: a push that was broken off does not send these again. Asks through `huggingface_hub`, with its
settings. Knows the hub and the files that go out; draws nothing, and asks nobody.
"""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from tuillm.errors import TuillmError
from tuillm.formats.safetensors_index import INDEX, is_shard
from tuillm.store.files import disk_error
from tuillm.store.hub.api import SMALL_FILES, check_settings, repository_of
from tuillm.store.hub.base_model import BaseModel, base_of
from tuillm.store.hub.hub_errors import TOKENS_PAGE, push_errors
from tuillm.store.hub.hub_names import Source
from tuillm.store.hub.push_files import OutgoingFile, files_to_push
from tuillm.store.pace import Pace
from tuillm.store.registry import Model
from tuillm.store.usage import using

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, HfApi


# files above this length, in bytes, are not kept in git itself, and take a while to read
_LARGE = 10_000_000


@dataclass(frozen=True)
class PushPlan:
    """What a push would do: `files` go to `repo`, which is new unless there is a `commit`.

    `sums` are the checksums that the hub tells of files there, by name. `stale` are files of
    another model there, which would be read together with these: they are deleted.
    """

    model: Model
    repo: str
    public: bool
    files: tuple[OutgoingFile, ...]
    base: BaseModel | None = None
    commit: str = ""
    sums: dict[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """All files together, in bytes."""
        return sum(file.size for file in self.files)

    @property
    def stale(self) -> list[str]:
        """What is there of a model and is not among the files."""
        ours = {file.name for file in self.files}
        return [
            name
            for name in sorted(self.sums)
            if name not in ours and (name in (*SMALL_FILES, INDEX) or is_shard(name))
        ]

    @property
    def url(self) -> str:
        """Its page."""
        from huggingface_hub import constants

        return f"{constants.ENDPOINT}/{self.repo}"


@dataclass(frozen=True)
class PushStatus:
    """How far a push is, in bytes, bytes per second and seconds; see `cli.progress_views`."""

    state: str = "sending"
    done: int = 0
    total: int = 0
    rate: float | None = None
    eta: float | None = None
    note: str = ""


Report = Callable[[PushStatus], None]


def plan_push(model: Model, repo: str, *, public: bool = False) -> PushPlan:
    """Return what a push of a model to `repo` would do; nothing is sent.

    Raises TuillmError without a token, offline, where the hub cannot be asked, and where the
    repository is there and is public and not to be, or the other way.
    """
    check_settings()
    from huggingface_hub import constants, get_token

    if constants.HF_HUB_OFFLINE:
        raise TuillmError(
            f"{repo} cannot be pushed: HF_HUB_OFFLINE forbids it", "unset HF_HUB_OFFLINE"
        )
    if not get_token():
        raise TuillmError(
            "a push needs a token of the hub",
            f"make one that may write at {TOKENS_PAGE}, then set HF_TOKEN or: hf auth login",
        )
    files = tuple(files_to_push(model, repo))
    with push_errors(repo):
        found = repository_of(Source(repo))
    plan = PushPlan(model, repo, public, files, base_of(model))
    if found is None:
        return plan
    if bool(found.private) == public:
        now, wanted = ("private", "public") if found.private else ("public", "private")
        raise TuillmError(
            f"{repo} is there already, and it is {now}",
            f"leave out --public, or make it public at {plan.url}/settings"
            if found.private
            else f"push with --public, name another, or make it {wanted} at {plan.url}/settings",
        )
    sums = {each.rfilename: _sum_of(each) for each in found.siblings or ()}
    return replace(plan, commit=found.sha or "", sums=sums)


def push(plan: PushPlan, report: Report = lambda status: None) -> tuple[int, int]:
    """Do it; return how many files were new there, and their bytes.

    `report` is called as the bytes go. Raises TuillmError when the hub refuses, the network goes or
    a file cannot be read; then, and on Ctrl-C, none of the files is to be seen on the hub, and a
    later push sends those that had not come whole.
    """
    from huggingface_hub import HfApi

    sent = _Sent(report)
    with using(plan.model.path, "a push"), _quiet(), push_errors(plan.repo), _causes(plan):
        changed = [each for each in sent.opened(plan.files) if not _is_there(each, plan)]
        if not changed and not plan.stale:
            return 0, 0
        sizes = [each.upload_info.size for each in changed]
        sent.begin(sum(sizes))
        api = HfApi(library_name="tuillm")
        if not plan.commit:
            api.create_repo(plan.repo, private=not plan.public, exist_ok=True)
        for each in changed:  # one at a time, so that Ctrl-C waits for no other
            sent.now(each.path_in_repo)
            api.preupload_lfs_files(plan.repo, [each], free_memory=False, num_threads=1)
        sent.tell(note="making them one commit")
        _commit(api, plan, changed)
    return len(changed), sum(sizes)


def _commit(api: "HfApi", plan: PushPlan, changed: "list[CommitOperationAdd]") -> None:
    from huggingface_hub import CommitOperationDelete

    verb = "Update" if plan.commit else "Upload"
    api.create_commit(
        plan.repo,
        [*changed, *map(CommitOperationDelete, plan.stale)],
        commit_message=f"{verb} {plan.repo.partition('/')[2]} with tuillm",
        parent_commit=plan.commit or None,
        num_threads=1,
    )


def _is_there(operation: "CommitOperationAdd", plan: PushPlan) -> bool:
    """Whether the repository has this very file."""
    from huggingface_hub.utils import sha

    there = plan.sums.get(operation.path_in_repo, "")
    if len(there) == 64:
        return operation.upload_info.sha256.hex() == there
    if not there or operation.upload_info.size > _LARGE:
        return False
    with operation.as_file() as content:
        return sha.git_hash(content.read()) == there


def _sum_of(sibling: Any) -> str:
    return str((sibling.lfs.sha256 if sibling.lfs else sibling.blob_id) or "")


class _Sent:
    """What has gone out, and the files that tell of it as they are read."""

    def __init__(self, report: Report) -> None:
        self._report, self._status, self._pace = report, PushStatus(), Pace()
        self._before, self._sizes, self._name = 0, dict[str, int](), ""

    def opened(self, files: tuple[OutgoingFile, ...]) -> "Iterator[CommitOperationAdd]":
        """Open files one after the other; each is read once for its checksum."""
        from huggingface_hub import CommitOperationAdd

        for file in files:
            if file.size > _LARGE:
                self.tell(note=f"reading {file.name}")
            content = (
                file.content
                if isinstance(file.content, bytes)
                else _WatchedFile(file.content, partial(self._at, file.name))
            )
            self._sizes[file.name] = file.size
            yield CommitOperationAdd(file.name, content)  # type: ignore[arg-type]

    def begin(self, total: int) -> None:
        """Have so many bytes to send."""
        self.tell(total=total, note="")

    def now(self, name: str) -> None:
        """Send a file after those before it."""
        self._before += self._sizes.get(self._name, 0)
        self._name = name
        self._at(name, 0)

    def tell(self, **values: Any) -> None:
        """Report what is so from now on."""
        self._status = replace(self._status, **values)
        self._report(self._status)

    def _at(self, name: str, position: int) -> None:
        """A file has been read up to there: to be sent, or for its checksum."""
        if name != self._name:
            return
        done = self._before + position
        self._pace.add(done - self._status.done)
        rate, eta = self._pace.measure(self._status.total - done)
        self.tell(done=done, rate=rate, eta=eta)


class _WatchedFile(io.BufferedIOBase):
    """A file that says how far it has been read. It is sent over plain HTTP, in pieces."""

    def __init__(self, path: Any, at: Callable[[int], None]) -> None:
        self._file = open(path, "rb")  # noqa: SIM115  (closed with this one)
        self._at = at

    def read(self, size: int | None = -1, /) -> bytes:
        content = self._file.read(-1 if size is None else size)
        self._at(self._file.tell())
        return content

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()


@contextmanager
def _causes(plan: PushPlan) -> Iterator[None]:
    """Raise what a failed upload was raised from, which the library wraps; a disk's in words."""
    try:
        try:
            yield
        except RuntimeError as error:
            if error.__cause__ is None:
                raise
            raise error.__cause__ from None
    except OSError as error:  # the errors of the library are of this kind, too
        if type(error).__module__ != "builtins":
            raise
        raise disk_error(error, plan.model.path) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library from writing to the terminal: what it would say is told here."""
    import warnings

    from huggingface_hub.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(before)

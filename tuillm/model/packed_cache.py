"""Packed weights kept in the cache, so that a large model is packed once and mapped afterwards.

A file is the memory of a native model as it is, behind a page that says whose it is: of which
weights, in which precision and layout. It can be deleted at any time: the weights are packed
again. Knows nothing of how weights are packed.
"""

import hashlib
import json
import mmap
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from tuillm.config.gpt_config import GPTConfig
from tuillm.errors import TuillmError
from tuillm.formats.bounded_read import MB
from tuillm.model.family_weights import FamilyWeights
from tuillm.model.native_layout import LAYOUT_VERSION, Layout
from tuillm.store.files import new_file
from tuillm.store.paths import cache_dir, ensure_dir
from tuillm.store.temp_files import clear_leftovers

# bytes of a model's file below which packing takes no time to speak of
_WORTH_KEEPING = 128 * MB
_PAGE = 4096
# of the disk: what all packed weights together may take, and the most
_SHARE, _MOST = 0.2, 32_000 * MB
_SAMPLES = 64


def packed_weights(weights: Path, wanted: GPTConfig, dtype: str) -> tuple[Layout, Tensor] | None:
    """Return the memory of packed weights, mapped; None where they were not kept, or are damaged.

    `weights` is the model's safetensors file, `wanted` the shape in its config.json. What was read
    stays in memory only as long as nothing else needs it.
    """
    with suppress(OSError, ValueError, TypeError, KeyError):
        path = _file(weights, dtype)
        with path.open("rb") as file:
            config = GPTConfig(**json.loads(file.read(_PAGE))["config"])
            layout = Layout(config, dtype)
            # biases that are all zero are left out, whatever config.json says
            if replace(config, bias=wanted.bias, dropout=wanted.dropout) != wanted:
                return None
            if os.fstat(file.fileno()).st_size == _PAGE + layout.size:
                os.utime(path)  # the last to be evicted
                return layout, _mapped(file, mmap.ACCESS_COPY, layout.size)
    return None


def is_worth_keeping(weights: Path) -> bool:
    """Whether a model is so large that packing it takes a while."""
    return weights.is_file() and weights.stat().st_size >= _WORTH_KEEPING


def pack_into_cache(
    weights: Path, tensors: FamilyWeights, dtype: str
) -> tuple[Layout, Tensor] | None:
    """Pack a model's tensors into a mapped file of the cache; None where there is no room for it.

    What has not been used for longest makes room.
    """
    layout = Layout(tensors.config, dtype)
    with suppress(OSError, TuillmError):
        path = _file(weights, dtype)
        if not _make_room(ensure_dir(path.parent), layout.size):
            return None
        head = json.dumps({"config": asdict(tensors.config), "dtype": dtype}).encode()
        with new_file(path) as made, made.open("r+b") as file:
            file.write(head.ljust(_PAGE))
            file.flush()
            # all of it now: a full disk is an error here, and the end of the process later
            _allocate(file, _PAGE + layout.size)
            memory = _mapped(file, mmap.ACCESS_WRITE, layout.size)
            layout.fill(memory, tensors)
        return layout, memory
    return None


def packed_files() -> list[Path]:
    """The files of the cache, those first that have not been used for longest."""
    try:
        paths = list(_folder().glob("*.bin"))
        return sorted(paths, key=lambda path: path.stat().st_mtime)
    except OSError:
        return []


def _allocate(file: BinaryIO, size: int) -> None:
    """Give a file its size on the disk; raises OSError where there is no room."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    for start in range(_PAGE, size, MB):  # macOS
        file.seek(start)
        file.write(bytes(min(MB, size - start)))
    file.flush()


def _folder() -> Path:
    """A machine has a folder of its own: what it maps, no other deletes."""
    return cache_dir() / "packed" / socket.gethostname()


def _file(weights: Path, dtype: str) -> Path:
    return _folder() / f"{_identity(weights)}-{dtype}-{LAYOUT_VERSION}.bin"


def _identity(weights: Path) -> str:
    """Tells a file from any other by its size, time and samples of what it holds.

    All of it would take longer to read than the packed weights.
    """
    found = os.stat(weights)
    key = hashlib.sha256(f"{found.st_size} {found.st_mtime_ns}".encode())
    with weights.open("rb") as file:
        for at in _spread(found.st_size):
            file.seek(at)
            key.update(file.read(_PAGE))
    return key.hexdigest()[:24]


def _spread(size: int) -> Iterator[int]:
    step = max(_PAGE, size // _SAMPLES)
    yield from range(0, size, step)


def _mapped(file: BinaryIO, access: int, size: int) -> Tensor:
    memory = mmap.mmap(file.fileno(), _PAGE + size, access=access)
    return torch.frombuffer(memory, dtype=torch.uint8, count=size, offset=_PAGE)


def _make_room(folder: Path, size: int) -> bool:
    """Delete what was not used for longest until `size` bytes more are within the bounds."""
    clear_leftovers(folder)
    files = packed_files()
    sizes = [path.stat().st_size for path in files]
    disk = os.statvfs(folder)
    bound = min(_MOST, int(_SHARE * (disk.f_bavail * disk.f_frsize + sum(sizes))))
    if size > bound:
        return False
    while files and sum(sizes) + size > bound:
        files.pop(0).unlink(missing_ok=True)
        sizes.pop(0)
    return True

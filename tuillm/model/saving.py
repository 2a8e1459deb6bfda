"""Tensors written as a safetensors file that is like other files: its mode and its errors.

Knows files; knows nothing of what the tensors are.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor


def save_tensors(
    tensors: dict[str, Tensor], path: Path, metadata: dict[str, str] | None = None
) -> None:
    """Write a safetensors file, as readable as any new file; raises OSError as the disk does."""
    path.touch()
    mode = path.stat().st_mode & 0o777  # the library makes a file that only its owner can read
    with disk_errors():
        save_file(tensors, path, metadata=metadata)
    path.chmod(mode)


@contextmanager
def disk_errors() -> Iterator[None]:
    """Turn what the disk says through safetensors into the OSError that it was."""
    try:
        yield
    except SafetensorError as error:
        full = "No space left" in str(error)
        raise OSError(errno.ENOSPC if full else errno.EIO, str(error)) from None

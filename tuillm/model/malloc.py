"""Tells glibc's allocator what to do with memory that is freed; other C libraries are left alone.

glibc gives large blocks back to the system at once and keeps small ones, and moves the border
between them as it goes. Neither suits: a training step pays for the same page faults again and
again, and packing a model leaves holes of the size of its matrices. The allocator belongs to a
whole process: nothing is changed before `allow_tuning` was called, which a program of ours does
and a library never.
"""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of glibc's malloc.h
_MB = 1 << 20
_allowed = False


def allow_tuning() -> None:
    """From now on let training and the loading of models set this process's allocator."""
    global _allowed
    _allowed = True


def keep_freed_memory() -> None:
    """Keep what is freed for the next use: a quarter of a small model's training time, measured."""
    _set(mmap_threshold=32 * _MB, trim_threshold=(1 << 31) - 1)


def give_back_freed_memory() -> None:
    """Give each block of a megabyte or more back as soon as it is freed."""
    _set(mmap_threshold=_MB, trim_threshold=_MB)


def _set(mmap_threshold: int, trim_threshold: int) -> None:
    if not _allowed:
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return  # another C library, another system
    mallopt(_MMAP_THRESHOLD, mmap_threshold)
    mallopt(_TRIM_THRESHOLD, trim_threshold)

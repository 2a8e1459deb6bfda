"""What the processor of this machine is called, and which instructions it has. Loads no torch."""

import platform
from functools import cache
from pathlib import Path

_KNOWN = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def processor_name() -> str:
    """Return what the processor calls itself, or its kind."""
    names = [line.partition(":")[2].strip() for line in _lines() if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def instruction_sets() -> list[str]:
    """Return which of the instructions for vectors and matrices there are, where that is told."""
    flags = {word for line in _lines() if line.startswith("flags") for word in line.split()}
    return [name for name in _KNOWN if name in flags]


def processor_key() -> str:
    """What code that was compiled for this very processor depends on: its name, kind and flags."""
    flags = next((line for line in _lines() if line.startswith(("flags", "Features"))), "")
    return f"{processor_name()} {platform.machine()} {flags}"


@cache  # it takes milliseconds where there are many processors
def _lines() -> tuple[str, ...]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    return tuple(text.splitlines())

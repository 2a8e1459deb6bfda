"""Whether torch.compile would find what it needs on this machine. Loads no torch."""

import importlib.util
import os
import shutil
import sys

from tuillm.errors import UsageError


def missing_compiler(device: str) -> str:
    """Return what torch.compile lacks for a device ("cpu", "cuda", "mps") in words, or "".

    It looks where TorchInductor looks: for the C++ compiler that CXX names, by default g++, on
    macOS clang++; on CUDA for triton, and for the C compiler that triton calls.
    """
    if device == "cpu":
        named = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
        return "" if shutil.which(named) else f"no C++ compiler: {named} is not there"
    if device == "cuda":
        if importlib.util.find_spec("triton") is None:
            return "no compiler: triton is not installed"
        compilers = [os.environ.get("CC"), "gcc", "clang", "cc"]
        found = any(shutil.which(each) for each in compilers if each)
        return "" if found else "no C compiler, which triton needs: gcc is not there"
    return f"no compiler for {device}"


def refuse_missing_compiler(device: str) -> None:
    """Raise UsageError where torch.compile has no compiler for a device."""
    if missing := missing_compiler(device):
        raise UsageError(
            f"compile on cannot be done: {missing}",
            "install one, or leave it out: --compile auto goes on without one",
        )

"""How a model is exported from the dashboard: the formats, and the command that writes them.

Knows the command `tuillm export` and how its end is told; draws nothing.
"""

import subprocess
from dataclasses import dataclass

from tuillm.errors import TuillmError
from tuillm.user_paths import user_path


@dataclass(frozen=True)
class ExportFormat:
    """A way to export: the options of the command, what it makes, and what that is for."""

    to: str
    dtype: str
    title: str
    use: str


FORMATS = (
    ExportFormat("hf", "", "Hugging Face folder", "transformers and the hub; as it is"),
    ExportFormat("gguf", "q8_0", "GGUF, 8 bits", "llama.cpp and LM Studio; a quarter of float32"),
    ExportFormat("gguf", "bf16", "GGUF, bfloat16", "half of float32, as most models are"),
    ExportFormat("gguf", "f16", "GGUF, float16", "half of float32, for older programs"),
    ExportFormat("gguf", "f32", "GGUF, float32", "exactly the weights"),
    ExportFormat("ollama", "q8_0", "ollama, 8 bits", "a GGUF file and a Modelfile: ollama create"),
    ExportFormat("ollama", "bf16", "ollama, bfloat16", "the same in 16 bits"),
    ExportFormat("ollama", "f16", "ollama, float16", "the same in 16 bits, for older programs"),
    ExportFormat("ollama", "f32", "ollama, float32", "the same with the exact weights"),
)


@dataclass(frozen=True)
class ExportRequest:
    """What a person wants: as what, and where; `problem` is why that failed when it was tried."""

    format: ExportFormat
    path: str
    problem: str = ""


def export(name: str, wanted: ExportRequest) -> str:
    """Export a model and return what to say; raises TuillmError where that fails.

    In a process of its own: torch, which other formats than a folder need, would stay here.
    """
    # not for the first frame
    from tuillm.store.workers.processes import module_command, module_environment

    target, how = str(user_path(wanted.path)), wanted.format
    options = ["--to", how.to, *(["--dtype", how.dtype] if how.dtype else [])]
    command = module_command("tuillm", "export", *options, "--", name, target)
    done = subprocess.run(
        command,
        env=module_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise TuillmError(_last(done.stderr) or f"the export ended with {done.returncode}")
    return done.stdout.strip()


def _last(printed: str) -> str:
    """The last line of an error that was printed, without the name of the program before it."""
    lines = printed.strip().splitlines()
    return lines[-1].removeprefix("tuillm: ") if lines else ""

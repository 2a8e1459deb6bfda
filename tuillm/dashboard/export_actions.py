"""How a model is exported from the dashboard: the formats, and the command that writes them.

Knows the command `tuillm export` and how its end is told; draws nothing.
"""

import subprocess
from dataclasses import dataclass

from tuillm.errors import TuillmError, UsageError
from tuillm.user_paths import user_path


@dataclass(frozen=True)
class ExportFormat:
    """A way to export: the options of the command, what it makes, and what that is for.

    `hub` is no path, but a repository that is pushed to.
    """

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
    ExportFormat("hub", "", "Hugging Face hub", "a private repository: ORG/NAME, with your token"),
)

# what a person says yes to
PUSHED = (
    "Its weights, tokenizer and model card go to a private repository of the Hugging Face hub. The "
    "card names the text it learned from, which stays here itself. Files of the same names there "
    "are replaced. A licence of the model it was made from holds for it, too."
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

    how = wanted.format
    if how.to == "hub":
        command = module_command("tuillm", "push", "--yes", "--", name, wanted.path.strip())
    else:
        options = ["--to", how.to, *(["--dtype", how.dtype] if how.dtype else [])]
        target = str(user_path(wanted.path))
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
    return done.stdout.strip() if how.to != "hub" else _outcome(done.stdout)


def problem_of(how: ExportFormat, typed: str) -> str:
    """Say why a path, or a repository, cannot be exported to, or ''."""
    # not for the first frame
    from tuillm.store.hub.hub_names import hub_target

    try:
        if how.to == "hub":
            hub_target(typed.strip())
        else:
            user_path(typed)
    except UsageError as error:
        return str(error)
    return "" if typed.strip() else "name a folder or a file"


def _outcome(printed: str) -> str:
    """What a push has come to: the line about the repository, behind all that was told before."""
    lines = printed.strip().splitlines()
    return next((line for line in reversed(lines) if "http" in line), "")


def _last(printed: str) -> str:
    """The last line of an error that was printed, without the name of the program before it."""
    lines = printed.strip().splitlines()
    return lines[-1].removeprefix("tuillm: ") if lines else ""

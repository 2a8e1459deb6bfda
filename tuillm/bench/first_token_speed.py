"""Seconds from the start of a process to the first token: `tuillm generate` and transformers.

Both are asked for one token of the same model folder, each in the precision that it chooses by
itself, and are timed until the first byte of its text arrives; that the process ends comes after.
"""

import sys
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from tuillm.bench.bench_record import OURS
from tuillm.bench.process_time import seconds_to_first_byte
from tuillm.bench.turns import Program
from tuillm.native.compiled import library_path

_PROMPT = "Once upon a time"
_THEIRS = """
import sys
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
prompt = tokenizer(sys.argv[2], return_tensors="pt")
ids = model.generate(**prompt, max_new_tokens=1, do_sample=False, pad_token_id=0)
print("token", tokenizer.decode(ids[0, -1:]), flush=True)
"""


def first_token_programs(
    folder: Path, threads: int, peers: bool, scratch: Path
) -> Iterator[Program]:
    """Yield both on a model folder; `scratch` is the data directory that ours gets."""
    ours = [sys.executable, "-P", "-m", "tuillm", "generate", str(folder), "-p", _PROMPT]
    ours += ["-n", "1", "--temperature", "0", "--no-echo"]  # else the prompt comes first
    # what a machine does once is done: the library is compiled, nothing is measured beside
    once_done = {"TUILLM_NATIVE_FOLDER": str(library_path().parent), "TUILLM_MEASURE": "0"}
    commands = {OURS: (ours, {"TUILLM_HOME": str(scratch)} | once_done)}
    if peers and find_spec("transformers"):
        quiet = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
        theirs = [sys.executable, "-c", _THEIRS, str(folder), _PROMPT]
        commands["transformers"] = theirs, quiet
    for program, (command, environment) in commands.items():
        once = partial(seconds_to_first_byte, command, environment)
        yield Program("first-token", program, "generate", threads, "s", once)

"""In somebody's own program: what belongs to a whole process stays as they have it."""

import json
import subprocess
import sys

CODE = """
import json, sys
asked = set()
sys.addaudithook(lambda event, given: event == "ctypes.dlsym" and asked.add(str(given[1])))

import torch
from tuillm import Sampler, Trainer

def state():
    return "mallopt" in asked, bool((torch.full((64,), 1e-40) * 0.5).any())

Trainer(sys.argv[1], preset="nano", max_steps=2, name="mine", sample_tokens=4).run(quiet=True)
Sampler("mine").generate("The", max_new_tokens=2)
library = state()
from tuillm.training.hardware import tune_process

tune_process()
print(json.dumps([library, state()]))
"""


def test_training_and_replies_change_nothing_of_the_process(home, book):
    """Neither the allocator nor how tiny numbers count; our own programs ask for both."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(book)], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == [[False, True], [True, False]]

"""A model folder as transformers opens it, quietly and offline: to compare with.

Knows that library alone, which is imported when it is needed.
"""

import os
import warnings
from pathlib import Path
from typing import Any

import torch


def open_model(folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    """Return the AutoModelForCausalLM of a folder, ready to evaluate; raises what it raises."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging

        logging.disable_progress_bar()
        return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()

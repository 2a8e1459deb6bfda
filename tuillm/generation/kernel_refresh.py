"""When the kernels of this machine are measured: a new shape was loaded, or decoding is slow.

Only in tuillm's own programs; the measuring is a process of its own. A choice that
changes is taken up by the next load, never within a conversation. Knows decoders; no text.
"""

from datetime import date

from tuillm.config.gpt_config import LARGE_MODEL
from tuillm.generation.thread_count import is_alone, is_ours
from tuillm.model import Decoder
from tuillm.model.kernel_choice import expected_speed, remembered, start_measuring
from tuillm.native.compiled import start_compiling

# of the speed that was measured, below which replies are slow; and how many in a row
_SLOW, _IN_A_ROW = 0.5, 3
_TOKENS = 16  # of a reply, to be judged by

_slow_replies = 0


def loaded(model: Decoder) -> None:
    """A model was made ready on a CPU: measure its shape if that was never done.

    Where nothing is to be measured, the native library is compiled all the same.
    """
    if is_ours() and model.device.type == "cpu":
        known = expected_speed(model.config, model.packed_dtype) is not None
        if known or not start_measuring(model.config, model.packed_dtype):
            start_compiling()


def kernel_words(model: Decoder) -> str:
    """Which kernel a model decodes with, and since when if it was another; "" on a GPU."""
    if model.device.type != "cpu" or not model.kernel:
        return ""
    known = remembered(model.config, model.packed_dtype)
    if known is None or known.kernel != model.kernel or not known.before:
        return model.kernel
    return f"{model.kernel} since {date.fromtimestamp(known.measured)}, {known.before} before"


def decoded(model: Decoder, tokens: int, seconds: float) -> bool:
    """A reply of so many tokens took so many seconds to compute.

    Measures again after some in a row that were far slower than what was measured, with nothing
    else on the machine; returns whether it did.
    """
    global _slow_replies
    on_cpu = model.device.type == "cpu" and model.config.parameter_count >= LARGE_MODEL
    if not (is_ours() and on_cpu and tokens >= _TOKENS and is_alone()):
        return False  # of small models the most is not reading weights
    expected = expected_speed(model.config, model.packed_dtype)
    slow = expected is not None and tokens / seconds < _SLOW * expected
    _slow_replies = _slow_replies + 1 if slow else 0
    if _slow_replies < _IN_A_ROW:
        return False
    _slow_replies = 0
    return start_measuring(model.config, model.packed_dtype)

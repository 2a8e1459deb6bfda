"""tuillm: grow a GPT on your own book and talk to it, without leaving the terminal.

`Trainer` and `Sampler` are the classes that the worker process and the chat use; `explore` and
`read_corpus` look at a text, `demo_book` is the path of one. All are imported on first use, so that
`import tuillm` costs no torch.
"""

import os
import sys

# `python -m tuillm` puts the current folder first on the path, with whatever lies there beside a
# book. It goes before anything is imported that Python itself has not yet, unless we lie there.
if sys.argv[:1] == ["-m"] and not sys.flags.safe_path and sys.path:
    _root = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    if os.path.realpath(sys.path[0]) != _root:
        del sys.path[0]

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = [
    "Sampler",
    "SamplingConfig",
    "TrainConfig",
    "Trainer",
    "__version__",
    "demo_book",
    "explore",
    "read_corpus",
]

# OpenMP's threads wait for each other by spinning, for milliseconds: two programs that compute at
# once (a chat beside a training) then slow each other down thirtyfold. This long is as fast alone,
# and must be said before torch is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

if TYPE_CHECKING:
    from tuillm.config import SamplingConfig, TrainConfig
    from tuillm.generation import Sampler
    from tuillm.store.paths import demo_book
    from tuillm.text.python_api import explore, read_corpus
    from tuillm.training import Trainer

_HOMES = {
    "Sampler": "tuillm.generation",
    "SamplingConfig": "tuillm.config",
    "TrainConfig": "tuillm.config",
    "Trainer": "tuillm.training",
    "demo_book": "tuillm.store.paths",
    "explore": "tuillm.text.python_api",
    "read_corpus": "tuillm.text.python_api",
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    words = f"module 'tuillm' has no attribute {name!r}"
    if not name.startswith("_"):
        from importlib.util import find_spec

        from tuillm.config.suggestions import python_pointer

        hint = python_pointer("tuillm", name, _HOMES)
        words = f"{words} ({hint or 'there are ' + ', '.join(_HOMES)})"
        # `from tuillm import X` would throw the words of an AttributeError away
        imported = sys._getframe(1).f_code.co_name == "_handle_fromlist"
        if imported and hint and find_spec(f"tuillm.{name}") is None:
            raise ImportError(words)
    raise AttributeError(words)


def __dir__() -> list[str]:
    return __all__

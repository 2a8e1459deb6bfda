"""`tuillm.read_corpus` and `tuillm.explore`: reading and counting a text from Python.

The same settings and functions as those of the command line; loads no torch. Knows no screen.
"""

from typing import TYPE_CHECKING

from tuillm.config import TrainConfig, settings_of
from tuillm.errors import UsageError
from tuillm.text.corpus import Corpus
from tuillm.text.corpus import read_corpus as read_sources
from tuillm.text.iterable_texts import Sources, Texts, config_for
from tuillm.text.read_options import READING, ReadOptions
from tuillm.text.stdin_pipes import keep_pipes

if TYPE_CHECKING:
    from tuillm.store.workers.exploration_record import Exploration

_SETTINGS = (*READING, "seed")


def read_corpus(corpus: Sources = (), *, texts: Texts | None = None, **settings: object) -> Corpus:
    """Return the documents that a model would learn from, as `Trainer` takes them.

    `corpus` are files, folders, archives, tables and addresses; `texts` is an iterable of strings
    or of dicts. `settings` are those of `tuillm explore`: `documents`, `format`, `limit` and so on.
    Raises UsageError for other settings, TuillmError for what cannot be read.
    """
    known = {setting.name for setting in settings_of(TrainConfig)}
    for name in settings:
        if name in known and name not in _SETTINGS:
            raise UsageError(
                f"{name} has no part in how a text is read", "settings: " + ", ".join(_SETTINGS)
            )
    config = config_for(corpus, texts, settings)
    return read_sources(keep_pipes(config.corpus), options=ReadOptions.of(config))


def explore(
    corpus: Sources | Corpus = (), *, texts: Texts | None = None, **settings: object
) -> "Exploration":
    """Return what `tuillm explore` counts of a text: see the fields of `Exploration`.

    A corpus that was read already may be given, too. `texts`, `settings` and errors are those of
    `read_corpus`.
    """
    from tuillm.text.statistics.exploration import explore as count_all

    if not isinstance(corpus, Corpus):
        corpus = read_corpus(corpus, texts=texts, **settings)
    elif texts is not None or settings:
        raise UsageError("the corpus has been read already", "give these to read_corpus")
    return count_all(corpus)

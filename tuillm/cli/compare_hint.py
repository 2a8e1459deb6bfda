"""The command that shows what a fine-tuning has changed: the old model beside the new one.

Knows a run folder and its text; loads no model.
"""

import re
import shlex

from tuillm.config import TrainConfig
from tuillm.errors import TuillmError
from tuillm.store.chat_template import mode_of
from tuillm.store.registry import find_model
from tuillm.store.run_folder import Run
from tuillm.store.run_status import Status

_WORDS = 5
# where the held-out tenth begins: words that neither model has learned from
_FROM = 0.9


def comparing(run: Run, status: Status) -> str:
    """Return `tuillm compare PARENT NEW -p WORDS --seed 1` for a run that had a parent, else "".

    Of conversations it is a question, where the parent can be asked one. There is nothing to
    compare where the new model has replaced its parent, or the parent has gone.
    """
    try:
        config = run.config
        if config.init_from is None or not status.model or config.init_from == status.model:
            return ""
        asks = mode_of(find_model(config.init_from)).turns
    except TuillmError:
        return ""
    models = f"{shlex.quote(config.init_from)} {shlex.quote(status.model)}"
    beginning = _beginning(config)
    if not beginning:  # conversations: the question is the person's
        return f"tuillm compare {models} -q 'Who are you?' --seed 1" if asks else ""
    words = shlex.quote(beginning)
    return f"tuillm compare {models} -p {words} --seed 1"


def _beginning(config: TrainConfig) -> str:
    """Some words of the text from the beginning of a sentence, or of any text; else ''."""
    from tuillm.text.corpus import read_corpus
    from tuillm.text.read_options import ReadOptions

    try:
        corpus = read_corpus(config.corpus, options=ReadOptions.of(config))
    except TuillmError:  # it may be gone by now
        return "The"
    if corpus.template:  # what continues a conversation is not its text
        return ""
    store = corpus.store
    begin = store.byte_of(int(_FROM * store.characters))
    late = store.text(*next(store.cuts(begin, store.bytes), (0, 0)))
    start = re.search(r"[.!?]\s+(?=[A-Z])", late)
    # without a sentence the first word may be a part of one
    words = late[start.end() :].split() if start else late.split()[1:]
    line = " ".join(words[:_WORDS])
    plain = line.isprintable() and line[:1].isalnum() and not line.startswith("FILE:")
    return line if plain else "The"

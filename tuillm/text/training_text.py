"""Finds the text a model was grown on again: by its run's settings, and only if unchanged.

Knows cards, runs and sources; knows neither torch nor tokens.
"""

from dataclasses import dataclass

from tuillm.config import TrainConfig
from tuillm.errors import TuillmError
from tuillm.store.registry import Model
from tuillm.store.run_folder import get_run, list_runs
from tuillm.text.corpus import Corpus, read_corpus
from tuillm.text.read_options import ReadOptions
from tuillm.text.split import split_store


@dataclass(frozen=True)
class Origin:
    """The corpus of a model; of `corpus.text` it learned the first `learned` characters.

    The others were held out to measure on: what stands only there was not learned by heart.
    """

    corpus: Corpus
    learned: int


def corpus_of(model: Model) -> Origin:
    """Return the text that a model was trained on; for a fine-tuned one, the last text.

    An address that is no longer in the cache is fetched again. Raises TuillmError when the text
    was never known (pulled and imported models), when its run or the text is gone, and when the
    text has changed.
    """
    config = _settings(model)
    try:
        own = model.path if (model.path / "tokenizer.json").exists() else None
        corpus = read_corpus(config.corpus, options=ReadOptions.of(config, own))
    except TuillmError as error:
        raise TuillmError(
            f"the text that {model.name!r} learned cannot be read: {error.message}",
            "is it where it was when the model was trained?",
        ) from None
    if corpus.sha256 != model.card.corpus_sha256:
        raise TuillmError(f"{corpus.label} has changed since {model.name!r} learned it")
    split = split_store(corpus.store, config.val_fraction, config.split)
    learned = sum(corpus.store.count(span.begin, span.end) for span in split.train)
    return Origin(corpus, learned)


def _settings(model: Model) -> TrainConfig:
    """Return the settings of the run that a model is from."""
    run, origin = model.card.run, model.card.origin
    if run is None or model.card.corpus_sha256 is None:
        raise TuillmError(
            f"what {model.name!r} learned from is not known: the model was {origin}",
            "tuillm knows the texts of the models it trains",
        )
    if run not in {known.id for known in list_runs()}:
        raise TuillmError(
            f"what {model.name!r} learned from cannot be found: its run {run!r} is gone"
        )
    return get_run(run).config

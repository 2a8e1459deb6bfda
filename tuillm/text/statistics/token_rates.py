"""How many tokens a text comes to under each tokenizer, and which one `auto` takes.

What is measured is what training measures, by the same function. Knows corpora and figures.
"""

from tuillm.config import TrainConfig
from tuillm.store.workers.exploration_record import TokenRate, TokenRates
from tuillm.text.choose_tokenizer import Choice, choose_tokenizer
from tuillm.text.corpus import Corpus
from tuillm.text.progress_tick import Tick
from tuillm.text.split import split_store


def measure_tokens(corpus: Corpus, config: TrainConfig, tick: Tick) -> tuple[TokenRates, Choice]:
    """Return tokens per byte of a text under each tokenizer, and what `auto` chooses for a run.

    What `tick` raises ends the work.
    """
    auto = config.model_copy(update={"tokenizer": "auto", "vocab_size": None, "init_from": None})
    learned = split_store(corpus.store, config.val_fraction, config.split).train
    choice = choose_tokenizer(corpus, auto, learned, tick)
    whole = corpus.bytes / max(learned.bytes, 1)
    rates = tuple(
        TokenRate(
            each.name,
            each.entries,
            1 / each.bytes_per_token if each.bytes_per_token else 0.0,
            round(each.tokens * whole),
            each.occurrences,
            each.chosen,
        )
        for each in choice.figures
    )
    return TokenRates(rates, choice.reason), choice

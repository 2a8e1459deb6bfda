"""What a model reads first of a text, token by token, and which of these it learns to predict.

Tokenizer, split, ends of text and mask are those of training, by the same functions. Knows corpora
and tokenizers; draws nothing.
"""

from collections import deque
from collections.abc import Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from tuillm.config import TrainConfig
from tuillm.store.registry import find_model
from tuillm.store.workers.exploration_record import ExampleToken, TokenExample
from tuillm.text.choose_tokenizer import Choice, choose_tokenizer
from tuillm.text.corpus import Corpus
from tuillm.text.encode_spans import SpanEncoder, parts
from tuillm.text.new_tokenizer import gpt2_is_cached
from tuillm.text.progress_tick import Tick
from tuillm.text.spans import Block
from tuillm.text.split import Split, split_store
from tuillm.text.tokenizer import Tokenizer
from tuillm.text.tokenizer_files import load_tokenizer
from tuillm.text.tokens import refuse_other_kind, tokenizer_of

_DOCUMENTS = 3
# what is shown at most, in tokens, of a first document whose middle is not left out
_LONG = 120
# around a gap: the beginning, what leads to the point of interest, and what follows on it
_BEGINNING, _BEFORE, _BEHIND = 50, 30, 80
# stands for the part of a document that is not looked at
_UNSEEN = -1
# ids, and whether each is learned
_Tokens = tuple[NDArray[np.int64], NDArray[np.bool_]]


def token_example(
    corpus: Corpus, config: TrainConfig, tick: Tick, choice: Choice | None = None
) -> TokenExample:
    """Return the first tokens of the part of a corpus that a run with these settings learns.

    Of a long first document there are its beginning and, behind a gap, the point of interest: where
    the first answer begins, or where a text ends and the next begins. `choice` is what `auto`
    takes, if that is known. What `tick` raises ends the work. Raises TuillmError for a model to
    start from that cannot be used.
    """
    if config.init_from is None and config.tokenizer == "gpt2" and not gpt2_is_cached():
        words = "GPT-2's vocabulary will be downloaded when the run starts"
        return TokenExample("gpt2", corpus.template, missing=words)
    split = split_store(corpus.store, config.val_fraction, config.split)
    name, tokenizer = _tokenizer(corpus, config, split, tick, choice)
    tick("encoding the beginning", 0.0)
    (ids, learned), gap = _chosen(list(_documents(corpus, split, tokenizer)))
    pairs = zip(ids.tolist(), learned.tolist(), strict=True)
    tokens = tuple(_token(tokenizer, id, flag) for id, flag in pairs)
    return TokenExample(name, corpus.template, tokens, gap, tuple(sorted(tokenizer.ends)))


def _tokenizer(
    corpus: Corpus, config: TrainConfig, split: Split, tick: Tick, choice: Choice | None
) -> tuple[str, Tokenizer]:
    """Return the tokenizer of a run and what it is called."""
    if config.init_from is None:
        if choice is None or config.tokenizer != "auto" or config.vocab_size:
            choice = choose_tokenizer(corpus, config, split.train, tick)
        made = tokenizer_of(corpus, config, split, tick, choice)
        return f"bpe {choice.vocab_size:,}" if choice.kind == "bpe" else choice.kind, made
    tokenizer = load_tokenizer(find_model(config.init_from).path)
    refuse_other_kind(tokenizer, config)
    return f"that of {config.init_from}", tokenizer


def _documents(corpus: Corpus, split: Split, tokenizer: Tokenizer) -> Iterator[_Tokens]:
    """Yield the tokens of the first documents; of a long first one the first and the last part."""
    encoder = SpanEncoder(corpus.store, tokenizer)
    spans = split.train if len(split.train) else split.val
    for number, span in enumerate(islice(spans, _DOCUMENTS)):
        blocks = parts(corpus.store, span, anywhere=encoder.cuts_anywhere)
        found = [_encoded(encoder, next(blocks))]
        if number == 0:
            if encoder.eot is not None:
                found.insert(0, (np.array([encoder.eot]), np.ones(1, np.bool_)))
            if last := deque(blocks, 1):
                found += [(np.array([_UNSEEN]), np.ones(1, np.bool_)), _encoded(encoder, last[0])]
        yield _joined(found)


def _encoded(encoder: SpanEncoder, part: Block) -> _Tokens:
    ids, learned = encoder.encode(part)
    return ids.astype(np.int64), np.ones(len(ids), np.bool_) if learned is None else learned


def _joined(tokens: list[_Tokens]) -> _Tokens:
    return np.concatenate([ids for ids, _ in tokens]), np.concatenate([each for _, each in tokens])


def _chosen(documents: list[_Tokens]) -> tuple[_Tokens, int | None]:
    """Return the tokens that are shown, and before which of them some are left out."""
    ids, learned = _joined(documents)
    size = len(documents[0][0])
    if not learned.all():
        point = int(np.argmax(documents[0][1])) if documents[0][1].any() else size
    else:
        point = size if len(documents) > 1 else 0
    unseen = np.flatnonzero(ids == _UNSEEN)
    before = [0, *(unseen[unseen < point] + 1)][-1]
    end = [*unseen[unseen >= point], len(ids)][0]
    if point <= _LONG and not before:
        shown = np.arange(min(end, max(_LONG, point + _BEHIND)))
        return (ids[shown], learned[shown]), None
    begin = max(point - _BEFORE, before)
    shown = np.concatenate([np.arange(_BEGINNING), np.arange(begin, min(point + _BEHIND, end))])
    return (ids[shown], learned[shown]), _BEGINNING


def _token(tokenizer: Tokenizer, id: int, learned: bool) -> ExampleToken:
    as_bytes = tokenizer.token_bytes(id)
    if name := "" if as_bytes else tokenizer.names.get(id, ""):
        return ExampleToken(name, id, learned, True)
    return ExampleToken(as_bytes.decode("utf-8", "backslashreplace"), id, learned, False)

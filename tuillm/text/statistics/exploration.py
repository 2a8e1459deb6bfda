"""Looks at a text before anything is learned from it: `explore(corpus)` counts all there is.

Puts together what the modules beside it count. Of a long text the longest repeat is looked for in
a second process meanwhile. Knows no screen.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from tuillm.config import TrainConfig, build_train
from tuillm.store.workers.exploration_record import (
    Characters,
    Exploration,
    LineCount,
    Passage,
    Repeated,
    Repetition,
    Size,
    Words,
)
from tuillm.text.corpus import Corpus
from tuillm.text.progress_tick import Tick, unwatched
from tuillm.text.statistics.blocks import line_blocks, parts, sample
from tuillm.text.statistics.characters import count_characters, dense_ids, describe_characters
from tuillm.text.statistics.duplicates import LineCounter, documents_of, lines_of
from tuillm.text.statistics.languages import guess_languages
from tuillm.text.statistics.longest_repeat import Match
from tuillm.text.statistics.repeat_process import RepeatSearch
from tuillm.text.statistics.speakers import find_speakers
from tuillm.text.statistics.token_example import token_example
from tuillm.text.statistics.token_rates import measure_tokens
from tuillm.text.statistics.words import WordCounter

_SHOWN_OF_REPEAT = 1000
_LANGUAGE_SAMPLE, _LANGUAGE_PIECE = 800_000, 2000
_SPEAKER_SAMPLE, _SPEAKER_PIECE = 2_000_000, 50_000
_UNSPACED = {"Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar"}
_NEVER_CASED = {"Mn", "Mc"}


def explore(
    corpus: Corpus, tick: Tick = unwatched, config: TrainConfig | None = None
) -> Exploration:
    """Count everything that can be said of a text.

    `config` are the settings of the run whose tokenizer and split the example is of; by default
    those of a run of which nothing was set. `tick` is told what is looked at and how much of it is
    done; what it raises ends the work. Raises TuillmError where pieces of a vocabulary cannot be
    learned.
    """
    clock, began = _Clock(), time.perf_counter()
    config = config or build_train({"corpus": ("text",)})
    with clock("characters"):
        counts = count_characters(corpus)
        characters = describe_characters(corpus, counts)
    with clock("longest repeat"):
        ids, separator = dense_ids(corpus, counts)
        search = RepeatSearch(ids, separator)
    with search:
        words, lines, often = _words_and_lines(corpus, characters, clock, tick)
        with clock("documents"):
            documents, copies = documents_of(corpus)
        with clock("languages"):
            languages = guess_languages(_sample(corpus, _LANGUAGE_SAMPLE, _LANGUAGE_PIECE))
        with clock("speakers"):
            play = _sample(corpus, _SPEAKER_SAMPLE, _SPEAKER_PIECE)
            speakers = find_speakers(play, lambda: line_blocks(corpus))
        with clock("tokens"):
            tokens, choice = measure_tokens(corpus, config, tick)
        with clock("example"):
            example = token_example(corpus, config, tick, choice)
        with clock("longest repeat"):
            longest = _passage(corpus, search.result(tick), ids, separator)
    size = Size(corpus.bytes, corpus.characters, words.total, _lines(corpus, counts))
    repetition = Repetition(longest, copies, lines, often)
    clock.seconds["all"] = time.perf_counter() - began
    return Exploration(
        corpus.label,
        corpus.notes,
        size,
        languages,
        characters,
        words,
        documents,
        repetition,
        speakers,
        tokens,
        example,
        {name: round(seconds, 3) for name, seconds in clock.seconds.items()},
    )


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - began


def _words_and_lines(
    corpus: Corpus, characters: Characters, clock: _Clock, tick: Tick
) -> tuple[Words, Repeated, tuple[LineCount, ...]]:
    from unicodedata import category

    marks = any(category(each.character) in _NEVER_CASED for each in characters.by_frequency)
    words, lines, done = WordCounter(marks=marks), LineCounter(), 0
    with clock("words and lines"):
        for block in line_blocks(corpus):
            tick("counting words", done / max(corpus.characters, 1))
            words.add(block)
            lines.add(block)
            done += len(block)
        repeated, often = lines.repeated()
        frequent = lines_of(corpus, often)
    unspaced = sum(script.share for script in characters.scripts if script.name in _UNSPACED)
    return words.words(without_blanks=unspaced > 0.3), repeated, frequent


def _passage(corpus: Corpus, match: Match, ids: np.ndarray, separator: int) -> Passage:
    length, *places = match
    if separator:  # those between documents are no characters
        places = [at - int(np.count_nonzero(ids[:at] == separator)) for at in places]
    first, second = sorted(places)
    return Passage(length, _text_at(corpus, first, min(length, _SHOWN_OF_REPEAT)), first, second)


def _text_at(corpus: Corpus, begin: int, length: int) -> str:
    pieces, position = [], 0
    for _, part in parts(corpus):
        start = max(begin - position, 0)
        if start < len(part) and length > 0:
            pieces.append(part[start : start + length])
            length -= len(pieces[-1])
        position += len(part)
        if length <= 0:
            break
    return "".join(pieces)


def _sample(corpus: Corpus, most: int, piece: int) -> list[str]:
    return sample(line_blocks(corpus), corpus.characters, most, piece)


def _lines(corpus: Corpus, counts: np.ndarray) -> int:
    """Line ends, and the last line of each document that has none."""
    unended, last, end = 0, -1, "\n"
    for number, part in parts(corpus):
        if number != last and end != "\n":
            unended += 1
        last, end = number, part[-1:] or end
    return int(counts[ord("\n")]) + unended + (end != "\n")

"""Which tokenizer a corpus gets where none is given: measured on the text itself.

Knows corpora and kinds of tokenizers; knows no token files.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tuillm.config import TrainConfig
from tuillm.text.chat_rendering import TOKEN_TEMPLATE, TURN_TOKENS
from tuillm.text.corpus import Corpus
from tuillm.text.learning_sample import learning_sample
from tuillm.text.new_tokenizer import make_tokenizer
from tuillm.text.progress_tick import Tick
from tuillm.text.spans import Spans
from tuillm.text.split import Split
from tuillm.text.tiktoken_tokenizer import GPT2_ENTRIES
from tuillm.text.tokenizer import Tokenizer
from tuillm.text.tokenizer_figures import SIZES, TokenizerFigures, candidates, measure, shortened
from tuillm.units import size

# a vocabulary can be learned if half of its pieces occur so often in the text
_OFTEN_ENOUGH = 40
# larger vocabularies than one piece for so many bytes of text are not looked at
_LEAST_TEXT = 25
# text that tokenizers are measured on, in bytes; what pieces are learned from, for each of them
_MEASURED, _LEARNED_FROM, _FOR_A_PIECE = 1 << 20, 1 << 22, 1 << 10


@dataclass(frozen=True)
class Choice:
    """The tokenizer for a corpus: its kind, the entries of a bpe, and what was measured for it.

    `pieces` is the largest bpe that was learned for that, of which smaller ones are the beginning;
    `learned_from` is how many bytes of the text that took, 0 for all of it.
    """

    kind: str
    vocab_size: int = 0
    reason: str = ""
    figures: tuple[TokenizerFigures, ...] = ()
    pieces: Tokenizer | None = None
    learned_from: int = 0


def choice_key(corpus: Corpus, config: TrainConfig) -> str:
    """Return what decides, together with the text, on the tokenizer of a run."""
    if config.tokenizer in ("char", "gpt2") or config.vocab_size:
        return f"{config.tokenizer} {config.vocab_size or 0}"
    return f"{config.tokenizer} {_largest(corpus, config)}"


def choose_tokenizer(corpus: Corpus, config: TrainConfig, learned: Spans, tick: Tick) -> Choice:
    """Return what `auto` stands for, and a `bpe` without a size, for the part that is `learned`.

    Among characters, vocabularies of bpe, and GPT-2's where it is at hand: that whose tokens hold
    most text, as long as half of its pieces occur 40 times or more, and as long as it has fewer
    parameters than the blocks of the model. What `tick` raises ends the work.

    The 40 are from held-out bits per byte of `tiny` after as many steps as a minute has, with how
    often half of the pieces occur in brackets: 1.0 MB of Kazakh 1.342 (133), 1.329 (44), 1.336 (17)
    for 1,024, 2,048 and 4,096 pieces; 20 KB of English 2.91 (60), 3.24 (14) for 320 and 512, with
    characters 3.07; 10 MB 1.861 (over 600) and 1.708 (over 70) for 1,024 and 4,096. One seed each.
    """
    kind = config.tokenizer
    if kind in ("char", "gpt2") or config.vocab_size:
        return Choice("bpe" if kind == "auto" else kind, config.vocab_size or 0)
    largest = _largest(corpus, config)
    texts, part = learning_sample(corpus, learned, _learned_from(largest))
    every = max(1, round(sum(map(len, texts)) / _MEASURED))
    kinds = ("bpe",) if kind == "bpe" else ("char", "bpe", "gpt2")
    figures, pieces = [], None
    for each, tokenizer in candidates(texts, largest, kinds, tick):
        figures.append(measure(each, tokenizer, texts[::every], learned.bytes, tick))
        pieces = tokenizer if each == "bpe" else pieces
    return replace(_decide(figures, largest), pieces=pieces, learned_from=part)


def tokenizer_for(
    corpus: Corpus, config: TrainConfig, split: Split, tick: Tick, choice: Choice | None = None
) -> tuple[Tokenizer, Choice, tuple[str, ...]]:
    """Make the tokenizer that a corpus gets; bpe learns from the training part alone.

    Returns it with why it was chosen, which is asked here unless the `choice` is known, and what a
    person should know.
    """
    choice = choice or choose_tokenizer(corpus, config, split.train, tick)
    special = TURN_TOKENS if corpus.template == TOKEN_TEMPLATE else ()
    notes = [choice.reason] if choice.reason else []
    part = choice.learned_from
    if choice.kind == "bpe" and choice.pieces:
        made = shortened(choice.pieces, choice.vocab_size, special)
    elif choice.kind == "bpe":
        most = _learned_from(choice.vocab_size)
        sample, part = learning_sample(corpus, split.train, most)
        made = make_tokenizer("bpe", sample, choice.vocab_size, tick, special=special)
    else:  # a set of characters gives nothing away
        texts: Iterable[str] = (text for _, text in corpus.store.parts(anywhere=True))
        made = make_tokenizer(choice.kind, texts, tick=tick, special=special)
    if choice.kind == "bpe" and part:
        whole = size(split.train.bytes)
        notes.append(f"the vocabulary is learned from {size(part)} of {whole} of text")
    return made.with_template(corpus.template), choice, tuple(notes)


def _learned_from(entries: int) -> int:
    """Return how much text pieces are learned from: more of it, the more there are to be."""
    return max(_LEARNED_FROM, entries * _FOR_A_PIECE)


def _largest(corpus: Corpus, config: TrainConfig) -> int:
    """Return the largest vocabulary that is looked at.

    It has at most as many parameters as the blocks of the model.
    """
    bound = min(12 * max(config.n_layer, 1) * config.n_embd, corpus.bytes // _LEAST_TEXT)
    return max(entries for entries in (*SIZES, GPT2_ENTRIES) if entries <= max(bound, SIZES[0]))


def _decide(figures: Sequence[TokenizerFigures], largest: int) -> Choice:
    """Take the best of the candidates, and say why in a line."""
    pieces = [each for each in figures if each.kind != "char"]
    fitting = [
        each for each in pieces if each.occurrences >= _OFTEN_ENOUGH and each.entries <= largest
    ]
    best = max(fitting, key=lambda each: each.bytes_per_token) if fitting else figures[0]
    told = tuple(replace(each, chosen=each is best) for each in figures)
    size = best.entries if best.kind == "bpe" else 0
    return Choice(best.kind, size, _reason(best, pieces), told)


def _reason(best: TokenizerFigures, pieces: Sequence[TokenizerFigures]) -> str:
    if best.kind == "char":
        return (
            "tokenizer: single characters, as the text is too short for pieces: half of those of "
            f"{pieces[0].name} would occur less than {_OFTEN_ENOUGH} times"
        )
    words = (
        f"tokenizer: {best.name}, {best.bytes_per_token:.2f} bytes a token, half of its pieces "
        f"occur {best.occurrences:,} times or more"
    )
    beyond = next((each for each in pieces if each.entries > best.entries), None)
    if beyond and beyond.occurrences < _OFTEN_ENOUGH:
        words += f"; of {beyond.name} only {beyond.occurrences:,} times"
    return words

"""What is counted of a text, as plain records: from `text.statistics` to whoever shows it.

They go through JSON between processes and come back the same. Knows no text and no tokenizer.
"""

from dataclasses import asdict, dataclass, field
from typing import Self

from tuillm.formats.json_text import JsonObject


@dataclass(frozen=True)
class Size:
    """How long a text is; a line that has no end counts like the others."""

    bytes: int
    characters: int
    words: int
    lines: int


@dataclass(frozen=True)
class Language:
    """A language and the share of the text's samples that are in it."""

    name: str
    share: float


@dataclass(frozen=True)
class Script:
    """A script of Unicode and the share of all letters that are of it."""

    name: str
    share: float


@dataclass(frozen=True)
class CharacterCount:
    """One character and how often it occurs; `name` is Unicode's, or '' where it has none."""

    character: str
    name: str
    count: int


@dataclass(frozen=True)
class Occurrence:
    """Where a rare character first stands: document, line and column from 1, with its line."""

    character: str
    name: str
    count: int
    document: int
    line: int
    column: int
    before: str
    after: str


@dataclass(frozen=True)
class Characters:
    """Characters by frequency, the rarest with where they occur, and the scripts of the letters."""

    distinct: int
    total: int
    by_frequency: tuple[CharacterCount, ...]
    rarest: tuple[Occurrence, ...]
    scripts: tuple[Script, ...]


@dataclass(frozen=True)
class WordCount:
    """A word, case folded, and how often it occurs."""

    word: str
    count: int


@dataclass(frozen=True)
class Words:
    """Words by frequency, the first of them; `zipf` is the slope of log count over log rank.

    `distinct` is at least so many where `cut` says that rare ones were let go on the way. `once`
    of them occur once. `zipf` is None for a text of few words.
    """

    total: int
    distinct: int
    once: int
    cut: bool
    by_frequency: tuple[WordCount, ...]
    zipf: float | None
    without_blanks: bool


@dataclass(frozen=True)
class DocumentLengths:
    """Bytes of the documents; `histogram` counts those of 2^k to 2^(k+1) - 1 bytes by 2^k."""

    count: int
    shortest: int
    median: float
    longest: int
    histogram: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class LineCount:
    """A line and how often it occurs."""

    line: str
    count: int


@dataclass(frozen=True)
class Repeated:
    """How many things there are, how many of them repeat an earlier one, and the bytes of these."""

    total: int
    repeated: int
    repeated_bytes: int

    @property
    def share(self) -> float:
        """The share of all that repeat an earlier one."""
        return self.repeated / self.total if self.total else 0.0


@dataclass(frozen=True)
class Passage:
    """The longest passage that occurs twice in the documents: its length in characters, its text.

    `text` is its beginning where it is long; `first` and `second` count the characters before
    it in all documents, both times.
    """

    length: int
    text: str
    first: int
    second: int


@dataclass(frozen=True)
class Repetition:
    """What a text says more than once."""

    longest: Passage
    documents: Repeated
    lines: Repeated
    frequent_lines: tuple[LineCount, ...]


@dataclass(frozen=True)
class Speaker:
    """A name as it stands before what is said; `share` is of all that anybody says."""

    name: str
    cues: int
    characters: int
    share: float


@dataclass(frozen=True)
class Speakers:
    """The form of the cues, how many there are, and the speakers by what they say."""

    form: str
    cues: int
    distinct: int
    by_share: tuple[Speaker, ...]


@dataclass(frozen=True)
class TokenRate:
    """A tokenizer, the entries of its vocabulary, and what it makes of the sample.

    `tokens` is what the whole text comes to at that rate; half of what the vocabulary has learned
    occurs `occurrences` times or more. `auto` says that training takes this one where no other is
    asked for.
    """

    tokenizer: str
    entries: int
    tokens_per_byte: float
    tokens: int
    occurrences: int
    auto: bool


@dataclass(frozen=True)
class TokenRates:
    """The rates, and why `auto` takes the one that it does."""

    rates: tuple[TokenRate, ...]
    reason: str


@dataclass(frozen=True)
class ExampleToken:
    """A token as a model reads it: its text, its id, and whether its prediction is learned.

    A token that is part of a character is written with its bytes, as in '\\xd0'; a `special` one
    stands for no text and is written with its name.
    """

    text: str
    id: int
    learned: bool
    special: bool


@dataclass(frozen=True)
class TokenExample:
    """What a model reads first of a text, in tokens of `tokenizer`, as training encodes it.

    `template` is the chat template that conversations are written with, '' for plain texts. Where
    the middle of the first document is left out, `gap` is how many tokens are shown before it.
    `ends` are the ids that end a text or a reply. `missing` says why there are no tokens.
    """

    tokenizer: str
    template: str = ""
    tokens: tuple[ExampleToken, ...] = ()
    gap: int | None = None
    ends: tuple[int, ...] = ()
    missing: str = ""

    @property
    def masked(self) -> bool:
        """Whether some of the tokens are read and not learned."""
        return not all(token.learned for token in self.tokens)


@dataclass(frozen=True)
class Exploration:
    """All that is counted of a text; `seconds` says how long each stage took."""

    label: str
    notes: tuple[str, ...]
    size: Size
    languages: tuple[Language, ...]
    characters: Characters
    words: Words
    documents: DocumentLengths
    repetition: Repetition
    speakers: Speakers | None
    tokens: TokenRates
    example: TokenExample
    seconds: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> JsonObject:
        """All of it as one JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: JsonObject) -> Self:
        """Return the exploration of such an object; raises ValueError for any other."""
        from pydantic import TypeAdapter  # which costs a front end its first frame

        return TypeAdapter(cls).validate_python(values)

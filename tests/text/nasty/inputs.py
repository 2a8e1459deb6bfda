"""All kinds of nasty inputs by name, and the options that a person combines with them."""

from dataclasses import asdict, dataclass

from text.nasty import (
    archive_kinds,
    byte_kinds,
    column_kinds,
    document_kinds,
    folder_kinds,
    letter_kinds,
    table_kinds,
)
from text.nasty.byte_kinds import seeded

_MODULES = (
    byte_kinds,
    letter_kinds,
    archive_kinds,
    table_kinds,
    column_kinds,
    document_kinds,
    folder_kinds,
)
_TABLES = {**table_kinds.KINDS, **column_kinds.KINDS}
KINDS = {make.__name__: make for module in _MODULES for make in module.KINDS}
COUNTS = {make.__name__: many for module in _MODULES for make, many in module.KINDS.items()}
# what may be learned is looked for in each field at random; half of all inputs go without
_OPTIONS = {
    "documents": ("auto", "file", "line", "blank-line", "record", "none"),
    "format": ("auto", "text", "qa", "instruct", "chat"),
    "tokenizer": ("char", "bpe"),
    "vocab_size": (260, 300, 5_000),
    "fraction": (1e-6, 0.1, 0.5, 0.999),
    "limit": (1, 2, 10**12),
    "normalize": ("nfc", "nfkc"),
    "encoding": (
        *(
            "utf-8",
            "utf-8-sig",
            "utf-16",
            "utf-16-le",
            "utf-32",
            "utf-7",
            "ascii",
            "latin-1",
            "cp1251",
        ),
        *(
            "shift_jis",
            "iso2022_jp",
            "unicode_escape",
            "raw_unicode_escape",
            "cp037",
            "hz",
            "gb18030",
        ),
        *("punycode", "idna", "hex", "rot13", "undefined", "zlib", "", "no\0codec", "auto"),
    ),
    "strict": (True,),
    "as_text": (True,),
    "text_field": (
        "text",
        "answers.text[0]",
        "no such field",
        "",
        "a..b",
        "[" * 90,
        "content",
        "\x1b[31m",
    ),
    "question_field": ("question", "nothing", "messages[0].content"),
    "answer_field": ("answer", "answers[-1]", "text"),
    "answers": ("each",),
    "mask_prompt": (False,),
    "split": ("documents", "tail"),
    "val_fraction": (0, 0.5, 1e-9),
    "keep_boilerplate": (True,),
    "glob": ("*.txt", "**", "[", "a/**/b"),
}
# the settings that a table or a folder alone gives a meaning to
_OF_TABLES = {
    "format",
    "text_field",
    "question_field",
    "answer_field",
    "answers",
    "mask_prompt",
    "strict",
}


@dataclass(frozen=True)
class Nasty:
    """Input `number` of a kind, with the settings it is trained with."""

    kind: str
    number: int
    settings: dict

    @property
    def request(self):
        """It as JSON."""
        return asdict(self)


def nasty(kind, number):
    """An input of a kind; number 0 has no options."""
    rng = seeded(f"options of {kind}", number)
    count = rng.choice((0, 1, 1, 2, 4)) if number else 0
    names = [name for name in _OPTIONS if KINDS[kind] in _TABLES or name not in _OF_TABLES]
    likely = [*names, "tokenizer", "documents", "normalize"]
    chosen = {rng.choice(likely) for _ in range(count)}
    return Nasty(kind, number, {name: rng.choice(_OPTIONS[name]) for name in sorted(chosen)})


def all_inputs(kind):
    """All inputs of a kind."""
    return [nasty(kind, number) for number in range(COUNTS[kind])]

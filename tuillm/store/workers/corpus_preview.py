"""The beginning of a corpus as it will be read, in a record that travels between processes.

Made by `text.preview`, drawn by the form and the command line; knows neither files nor screens.
"""

from dataclasses import dataclass, field
from typing import Self

from tuillm.formats.json_text import JsonObject


@dataclass(frozen=True)
class FieldSample:
    """A field of the first records: its path, a value of it in one line, and whether it is text."""

    name: str
    sample: str
    is_text: bool = True


@dataclass(frozen=True)
class Piece:
    """A piece of a document: whether it is learned, and whether it is the name of a special token.

    Of a long one the middle is left out: "…" on a line of its own stands for it.
    """

    text: str
    learned: bool = True
    special: bool = False


@dataclass(frozen=True)
class Preview:
    """What the beginning of a corpus tells.

    `found` says which files there are. `fields` are those of the first records, empty where no
    table is learned. `format` is what the records are, "" where that is not known; `chosen` gives
    the field for each of `text`, `question`, `answer`, `context` and `chat` that is taken.
    `document` is the first document, `cut` whether it goes on. `problem` is what is wrong with it
    all, as one line.
    """

    found: str = ""
    fields: tuple[FieldSample, ...] = ()
    format: str = ""
    chosen: dict[str, str] = field(default_factory=dict)
    document: tuple[Piece, ...] = ()
    cut: bool = False
    problem: str = ""

    @property
    def words(self) -> str:
        """The format and its fields, such as `qa, question → answers.text[0]`; "" for none."""
        get = self.chosen.get
        if not self.format:
            return ""
        if "answer" not in self.chosen:
            return f"{self.format}, field {get('text') or get('chat')}"
        asked = [get("question"), get("context")]
        if self.format == "qa":  # a passage stands before the question
            asked.reverse()
        return f"{self.format}, {' + '.join(filter(None, asked))} → {get('answer')}"

    @classmethod
    def from_json(cls, values: JsonObject) -> Self:
        """The preview of an object that `dataclasses.asdict` made."""
        parts = {
            "fields": tuple(FieldSample(**each) for each in values["fields"]),
            "document": tuple(Piece(**each) for each in values["document"]),
        }
        return cls(**(values | parts))

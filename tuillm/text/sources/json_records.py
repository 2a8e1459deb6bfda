"""Records out of JSON: an object a line, or the elements of a list in one document.

Knows the shapes that data sets come in: a list of objects, an object with such a list, SQuAD's
nesting, the rows of the hub's viewer. Knows no file.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tuillm.errors import TuillmError, brief, printable
from tuillm.text.sources.items import Record
from tuillm.text.sources.json_text_stream import Damaged, JsonText
from tuillm.text.sources.open_item import LONGEST, MB, bounded_lines
from tuillm.text.sources.records import Faults

# of several lists in a document one of these names is taken
_USUAL = ("data", "rows", "train", "records", "examples", "documents", "items", "articles")
_HALF = re.compile(r"\\u[dD][89a-fA-F]")


def jsonl_records(pieces: Iterable[str], faults: Faults) -> Iterator[Record]:
    """Yield the object of each line that holds one, by the number of the line."""
    for number, line in enumerate(bounded_lines(pieces), 1):
        if line is None:
            faults.add(number, f"is longer than {LONGEST // MB} MB")
            continue
        if not line or line.isspace():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            faults.add(number, f"is no JSON: {error.msg}, column {error.colno:,}")
        except (ValueError, RecursionError):
            faults.add(number, "has a number of too many digits, or is nested too deeply")
        else:
            if fault := _fault(value, bool(_HALF.search(line))):
                faults.add(number, fault)
            else:
                yield Record(number, value)


def json_records(again: Callable[[], Iterable[str]], name: str, faults: Faults) -> Iterator[Record]:
    """Yield the objects of the list that a document is, or of the one that it holds.

    `again` gives the text in pieces, anew at each call: which of several lists is meant may be
    known at the end only. Raises TuillmError where there is no list of objects, and where the
    document is damaged: what stands behind that position is lost.
    """
    try:
        wanted = _wanted_list(JsonText(again()), name)
        text, number = JsonText(again()), 0
        for value in _elements(text, wanted, faults):
            for row in _rows(value):
                number += 1
                if fault := _fault(row, text.surrogates):
                    faults.add(number, fault)
                else:
                    yield Record(number, row)
        if text.peek():
            raise Damaged(f"something stands behind its end, character {text.position:,}")
    except Damaged as error:
        raise TuillmError(f"{name} is damaged JSON: {error}", "is the file whole?") from None


def holds_records(head: str) -> bool:
    """Whether a document that begins so is a list of objects, or holds one above all.

    A list of objects among many other things, as settings have, does not count.
    """
    text, within = JsonText([head]), 0
    try:
        if text.peek() == "[":
            return text.opens_objects()
        for key in text.members():
            start = text.position
            if not text.opens_objects():
                text.skip()
            elif key in _USUAL:
                return True
            else:
                within -= start
                text.skip()
                within += text.position
    except Damaged:  # the head ends there
        within += len(head) if within < 0 else 0
    return 2 * within > len(head)


def _wanted_list(text: JsonText, name: str) -> str | None:
    """The name of the list of objects in an object, None where the document is a list itself."""
    if text.peek() == "[":
        return None
    sizes: dict[str, int] = {}
    for key in text.members() if text.peek() == "{" else ():
        if objects := text.opens_objects():
            if key in _USUAL:
                return key
            sizes[key] = -text.position
        text.skip()
        if objects:
            sizes[key] += text.position
    if not sizes:
        raise TuillmError(
            f"{name} has no list of objects, such as [{{...}}, {{...}}]",
            "only such JSON is a table; a line for each object would do as well",
        )
    return max(sizes, key=lambda key: sizes[key])


def _elements(text: JsonText, wanted: str | None, faults: Faults) -> Iterator[Any]:
    if wanted is None:
        yield from text.elements()
        return
    found = False
    for key in text.members():
        if key == wanted and not found:
            found = True
            yield from text.elements()
            continue
        if text.opens_objects():
            faults.notes.append(
                f"{faults.name}: its list {printable(brief(key))} was left out, "
                f"{printable(brief(wanted))} was read"
            )
        text.skip()


def _rows(value: Any) -> Iterator[Any]:
    """Yield what an element stands for: itself, its questions (SQuAD), its `row` (the viewer)."""
    if not isinstance(value, dict):
        yield value
    elif isinstance(value.get("row"), dict) and "row_idx" in value:
        yield value["row"]
    elif isinstance(paragraphs := value.get("paragraphs"), list) and all(
        isinstance(each, dict) and isinstance(each.get("qas"), list) for each in paragraphs
    ):
        title = {"title": value["title"]} if "title" in value else {}
        for paragraph in paragraphs:
            for question in paragraph["qas"]:
                yield title | _question(paragraph, question)
    else:
        yield value


def _question(paragraph: dict[str, Any], question: Any) -> dict[str, Any]:
    """One question with its context, `answers` as the hub has them: a list for each field."""
    row = {"context": paragraph.get("context")} | (question if isinstance(question, dict) else {})
    answers = row.get("answers")
    if isinstance(answers, list) and all(isinstance(each, dict) for each in answers):
        row["answers"] = {
            key: [each.get(key) for each in answers] for key in ("text", "answer_start")
        }
    return row


def _fault(value: Any, surrogates: bool) -> str:
    """What keeps a value from being a record, '' where nothing does."""
    if not isinstance(value, dict):
        return f"is no object but {brief(value)}"
    if surrogates:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            return "has half a surrogate pair, which is no character"
        except RecursionError:
            return "is nested too deeply"
    return ""

"""What a beginner should think of the figures of a text, a sentence where there is one to say.

Knows `Exploration`s; draws nothing. Also how characters that cannot be seen are written.
"""

import unicodedata
from collections.abc import Iterator

from tuillm.errors import printable
from tuillm.store.workers.exploration_record import Exploration, Occurrence
from tuillm.units import percent

_SIGNS = {"\n": "⏎", "\t": "⇥", "\r": "\\r", "\0": "\\0", "\u00ad": "\\xad"}
_SHARES = (
    (0.9, "nearly all of the"),
    (0.72, "three quarters of the"),
    (0.6, "two thirds of the"),
    (0.45, "half of the"),
    (0.29, "a third of the"),
    (0.23, "a quarter of the"),
    (0.18, "a fifth of the"),
)
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def visible(text: str, blank: str = " ") -> str:
    """Return a text in which line ends, controls, odd blanks and halves of pairs are to be seen."""
    return "".join(map(_sign, text.replace(" ", blank)))


def remarks(seen: Exploration, section: str) -> list[str]:
    """Return the sentences for one section: size, language, characters, words and so on."""
    return list(_REMARKS[section](seen)) if section in _REMARKS else []


def where_it_stands(seen: Exploration, found: Occurrence) -> str:
    """Return the line of a character, and its document where there are several."""
    line = f"line {found.line:,}"
    return f"text {found.document:,}, {line}" if seen.documents.count > 1 else line


def binary(length: int) -> str:
    """Return a power of two of bytes, as in '512 B' or '4 KiB'."""
    power = max(length.bit_length() - 1, 0) // 10
    return f"{length >> 10 * power} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"


def _sign(character: str) -> str:
    if character in _SIGNS:
        return _SIGNS[character]
    if character.isascii() and character.isprintable():
        return character
    kind = unicodedata.category(character)
    if kind in _HIDDEN or (kind == "Zs" and character != " ") or not printable(character):
        return character.encode("unicode_escape").decode()
    return f"◌{character}" if kind in ("Mn", "Me") else character


def _size(seen: Exploration) -> Iterator[str]:
    size = seen.size.bytes
    if size < 10_000:
        yield "Very little: a model can only learn it by heart. 100 kB is a good start."
    elif size < 100_000:
        yield "Short: --preset heart learns it by heart; 100 kB or more teach a voice."
    elif size < 1_000_000:
        yield "A good start. 1 MB is better."
    elif size > 50_000_000:
        yield "A lot for a laptop: begin with a part of it, or with --preset small."
    else:
        yield "Enough for a good little model of it."


def _language(seen: Exploration) -> Iterator[str]:
    often = [each.name for each in seen.languages if each.share >= 0.1]
    if len(often) > 1:
        yield f"{' and '.join(often)}: the model has to divide itself between them."
    elif not often:
        yield "No language is sure. Code, lists, names, or one that tuillm does not know?"
    scripts = [each.name for each in seen.characters.scripts if each.share >= 0.05]
    if len(scripts) > 1 and len(often) < 2:
        yield f"{' and '.join(scripts)} letters stand side by side: is that meant?"


def _documents(seen: Exploration) -> Iterator[str]:
    copies = seen.repetition.documents
    if copies.repeated:
        yield (
            f"{copies.repeated:,} of the documents are copies of others ({percent(copies.share)}): "
            "keep one of each."
        )


def _characters(seen: Exploration) -> Iterator[str]:
    found = seen.characters
    bad = next((each.count for each in found.by_frequency if each.character == "\ufffd"), 0)
    if bad:
        yield f"U+FFFD stands {bad:,} times for what could not be decoded: see --encoding."
    odd = [
        each
        for each in found.by_frequency
        if unicodedata.category(each.character) == "Cc" and each.character not in "\n\t"
    ]
    if odd:
        yield f"{len(odd)} kinds of control characters are in it, which belong in no book."
    if found.distinct > 1000:
        yield "Too many characters for --tokenizer char: most would hardly ever be seen."
    elif len(found.rarest) and found.rarest[0].count < 5 < found.distinct:
        yield "What occurs a few times only is not learned; some of it may be slips."


def _words(seen: Exploration) -> Iterator[str]:
    words = seen.words
    if words.without_blanks:
        yield "Its script writes no blanks between words: what is counted here are phrases."
    elif words.zipf is None:
        yield "Too few different words for Zipf's law."
    elif words.zipf > -0.7:
        yield "Flatter than Zipf's law: lists, numbers or noise rather than prose?"
    elif words.zipf < -1.5:
        yield "Steeper than Zipf's law: few words do nearly all the work."
    else:
        yield "Near -1, as Zipf's law has it for what people write."


def _repetition(seen: Exploration) -> Iterator[str]:
    lines, longest = seen.repetition.lines, seen.repetition.longest
    share = lines.repeated_bytes / max(seen.size.bytes, 1)
    words = next((words for least, words in _SHARES if lines.share >= least), "")
    if words and share >= 0.15:
        yield f"{words.capitalize()} lines repeat an earlier one: the model learns them by heart."
    elif words or lines.share >= 0.1:
        words = words or f"{percent(lines.share)} of the"
        yield f"{words.capitalize()} lines repeat an earlier one, but they are short ones."
    if longest.length >= max(1000, seen.size.characters // 50):
        yield "So long a passage was hardly written twice: was it pasted twice?"
    elif longest.length >= 500:
        yield "A model will know a passage of this length by heart."


def _speakers(seen: Exploration) -> Iterator[str]:
    if seen.speakers:
        name = visible(seen.speakers.by_share[0].name)
        end = {"NAME:": ":", "NAME.": ".", "Name: text": ":"}[seen.speakers.form]
        yield f"A play: the model learns to speak in turns. Begin a prompt with {name}{end}"


def _tokens(seen: Exploration) -> Iterator[str]:
    auto = next((each for each in seen.tokens.rates if each.auto), None)
    if auto:
        yield (
            f"Without --tokenizer and --preset training takes {auto.tokenizer}: half of what it "
            f"has learned occurs {auto.occurrences:,} times or more. Longer pieces let a model see "
            "further, and want more text."
        )


def _example(seen: Exploration) -> Iterator[str]:
    example = seen.example
    if example.masked:
        yield "What is dimmed is read and not learned: the answers are."
    elif example.template and example.tokens:
        yield "All of it is learned, the questions as well: --no-mask-prompt."
    elif seen.documents.count > 1 and any(token.special for token in example.tokens):
        yield "Documents stand one behind the other, with the end-of-text token between them."


_REMARKS = {
    "size": _size,
    "language": _language,
    "documents": _documents,
    "characters": _characters,
    "words": _words,
    "repetition": _repetition,
    "speakers": _speakers,
    "tokens": _tokens,
    "example": _example,
}

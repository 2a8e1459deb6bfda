"""Bytes to text: the encoding that was named, or the one that the bytes themselves tell.

Whatever was guessed, replaced or left out is said in a remark; what is too uncertain is refused
with its line and column. Knows bytes and characters; does not know where they came from.
"""

import codecs
import re
import unicodedata

from tuillm.errors import TuillmError, brief
from tuillm.units import several

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_WIDE = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")
_ESCAPES = ((b"\x1b$B", "iso2022_jp"), (b"\x1b$@", "iso2022_jp"), (b"\x1b$)C", "iso2022_kr"))
# what books are found in; names as Python and --encoding know them
_LEGACY = (
    "cp1252",
    "cp1250",
    "iso8859_2",
    "cp1251",
    "koi8_r",
    "koi8_u",
    "cp866",
    "iso8859_5",
    "mac_cyrillic",
    "cp1253",
    "cp1254",
    "cp1255",
    "cp1256",
    "gb18030",
    "big5",
    "shift_jis",
    "euc_jp",
    "cp949",
    "mac_roman",
)
_JAPANESE = ("shift_jis", "euc_jp")
_KANA = re.compile("[\u3040-\u30ff]")
_SEVERAL_BYTES = ("gb18030", "big5", "shift_jis", "euc_jp", "cp949")
_HEAD = 1 << 16
_OF_NAMES = ("idna", "punycode")  # of hosts: no text is in them, and they take for ever
_EXAMPLES = "cp1252, cp1251, koi8-r, gb18030 or shift_jis"
# half a surrogate pair, which no decoder returns: it marks the places that could not be decoded
BAD_PLACE = "\udfff"
HALF = re.compile("[\ud800-\udfff]")
_CONTROLS = bytes(byte for byte in range(32) if byte not in b"\t\n\r\f\x1b")
_BETWEEN = re.compile(rb"[\x00-\x2f]")
_HIGH = re.compile(rb"[\x80-\xff]")

codecs.register_error(
    "tuillm-mark",
    lambda error: (BAD_PLACE, error.end if isinstance(error, UnicodeDecodeError) else 0),
)


def decode(
    content: bytes, source: str, encoding: str = "auto", charset: str = ""
) -> tuple[str, list[str]]:
    """Return the text with its line ends as \\n, and remarks on what was found.

    `auto` takes the byte order mark, then UTF-8 (a few bad bytes become U+FFFD), then `charset`,
    which a server told, then a guess. Raises TuillmError for binary data, for bytes that are not
    of the encoding named, and where a guess would be too uncertain.
    """
    if encoding == "auto":
        _, text, remarks = _detect(content, source, charset)
    else:
        text, remarks = _strict(content, source, encoding), []
        if half := HALF.search(text):
            raise TuillmError(
                f"{source} has half a surrogate pair, which is no character, in "
                f"{_position(text[: half.start()])}"
            )
        if text.startswith("\ufeff"):
            text, remarks = text[1:], [f"{source}: a byte order mark was left out"]
        remarks += _doubt(content, source, encoding)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        remarks.append(f"{source}: line ends CRLF or CR were read as LF")
    return text, remarks


def looks_like_text(head: bytes) -> bool:
    """Whether a file that begins with these bytes is text, in whatever encoding."""
    if head.startswith(tuple(mark for mark, _ in _MARKS)):
        return True
    return bool(_wide(head)) if b"\0" in head else not _looks_binary(head)


def marking_decoder(
    sample: bytes, source: str, charset: str = ""
) -> tuple[str, codecs.IncrementalDecoder]:
    """Return the encoding that a piece of a text shows, found as by `decode`, and a decoder.

    For texts read piece by piece: each place that cannot be decoded becomes a BAD_PLACE, a byte
    order mark remains. Raises TuillmError as `decode` does.
    """
    encoding, _, _ = _detect(sample, source, charset)
    return encoding, codecs.getincrementaldecoder(encoding)("tuillm-mark")


def named_decoder(encoding: str) -> codecs.IncrementalDecoder:
    """Return a decoder of the encoding that was named, which marks bad places.

    Raises TuillmError for one that is none, or none of texts.
    """
    if not _codec(encoding):
        raise _unknown(encoding)
    return codecs.getincrementaldecoder(encoding)("tuillm-mark")


def _doubt(content: bytes, source: str, encoding: str) -> list[str]:
    """A remark where the bytes are UTF-8 and another encoding was named."""
    name = _codec(encoding)
    wide = name.startswith(("utf-16", "utf-32"))
    if name in ("utf-8", "utf-8-sig") or b"\0" in content or (content.isascii() and not wide):
        return []
    try:
        content.decode()
    except UnicodeDecodeError:
        return []
    return [f"{source}: read as {encoding}, as was asked for; its bytes look like UTF-8"]


def _strict(content: bytes, source: str, encoding: str) -> str:
    try:
        if not _codec(encoding):
            raise LookupError(encoding)
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        before = content[: error.start].decode(encoding, "ignore")
        raise TuillmError(
            f"{source} is not {encoding} text: byte {error.start} is 0x{content[error.start]:02x} "
            f"({_position(before)})",
            "leave --encoding out to have it guessed",
        ) from None
    except (LookupError, ValueError):
        raise _unknown(encoding) from None


def _unknown(encoding: str) -> TuillmError:
    return TuillmError(f"unknown encoding {brief(encoding)}", f"for example utf-8, {_EXAMPLES}")


def _detect(content: bytes, source: str, charset: str) -> tuple[str, str, list[str]]:
    """Return the encoding, the text and the remarks."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            remark = f"{source}: a byte order mark ({encoding.upper()}) was left out"
            text, bad = _mostly(content[len(mark) :], source, encoding)
            return encoding, text, [remark, *bad]
    if b"\0" in content:
        if not (encoding := _wide(content)):
            raise _nul(content, source)
        text, bad = _mostly(content, source, encoding)
        remark = f"{source}: read as {encoding.upper()}, though it has no byte order mark"
        return encoding, text, [remark, *bad]
    if _looks_binary(content):
        raise TuillmError(f"{source} is not text but binary data", "save it as plain UTF-8 text")
    for escape, encoding in _ESCAPES:
        if escape in content:
            text, bad = _mostly(content, source, encoding)
            remark = f"{source}: read as {encoding}, by its escape sequences"
            return encoding, text, [remark, *bad]
    if found := _utf8(content, source, charset):
        return "utf-8", *found
    return _legacy(content, source, charset)


def _utf8(content: bytes, source: str, charset: str) -> tuple[str, list[str]] | None:
    """Decode what is UTF-8, or mostly so, else return None."""
    text, bad = _marked(content, "utf-8")
    told = _codec(charset)
    if not bad:
        differs = told not in ("", "utf-8", "ascii") and not text.isascii()
        return text, ([f"{source}: the server says {charset}, but it is UTF-8"] if differs else [])
    whole = len(text) - len(text.encode("ascii", "ignore")) - bad  # characters of several bytes
    cut = bad == 1 and text.endswith(BAD_PLACE) and len(content) - _end_of_whole(content) > 1
    return _replaced(text, bad, source, "UTF-8") if whole >= 4 * bad or cut else None


def _end_of_whole(content: bytes) -> int:
    """Where a UTF-8 character begins that the end of the content has cut."""
    decoder = codecs.getincrementaldecoder("utf-8")("ignore")
    decoder.decode(content)
    return len(content) - len(decoder.getstate()[0])


def _legacy(content: bytes, source: str, charset: str) -> tuple[str, str, list[str]]:
    """Decode bytes that are no UTF-8: as the server says, else by what they look like."""
    if told := _codec(charset):
        # what is called Latin-1 on the web is cp1252, by the WHATWG's standard
        encoding = "cp1252" if told in ("iso8859-1", "ascii") else told
        text, bad = _marked(content, encoding)
        if bad * 200 <= len(text):
            text, remarks = _replaced(text, bad, source, encoding)
            return encoding, text, [f"{source}: read as {encoding}, as its server says", *remarks]
    for encoding in _guesses(content):
        text, bad = _marked(content, encoding)
        if bad * 200 <= sum(content.count(byte) for byte in range(128, 256)):
            text, remarks = _replaced(text, bad, source, encoding)
            name = encoding.replace("_", "-")
            remark = f"{source}: not UTF-8, read as {name}, which is a guess; name another "
            return encoding, text, [f"{remark}with --encoding", *remarks]
    text, _ = _marked(content, "utf-8")
    before = text[: text.index(BAD_PLACE)]
    raise TuillmError(
        f"{source} is neither UTF-8 nor clearly anything else: byte "
        f"0x{content[len(before.encode())]:02x} in {_position(before)}",
        f"name its encoding, such as {_EXAMPLES}: --encoding NAME",
    )


def _guesses(content: bytes) -> list[str]:
    """Name the encodings that the bytes look like, the likeliest first; none when uncertain."""
    from charset_normalizer import from_bytes

    sample = _telling_lines(content)
    high = len(sample) - len(sample.translate(None, bytes(range(128, 256))))
    letters = sum(map(sample.count, b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    found = {}
    for match in from_bytes(sample, cp_isolation=list(_LEGACY)) if high >= 12 else ():
        names = match.could_be_from_charset
        name = next((each for each in _LEGACY if each in names), match.encoding)
        if match.coherence >= 0.1 or (name in _SEVERAL_BYTES and match.chaos < 0.05):
            found[name] = match
    if found:
        likeliest = next(iter(found.values()))
        for name, match in found.items():
            # where the library sees no difference: kana are Japanese, and cp1252 is commonest
            kana = name in _JAPANESE and len(_KANA.findall(str(match))) > 0.2 * len(str(match))
            if kana or (
                name == "cp1252"
                and match.chaos <= likeliest.chaos
                and match.coherence >= likeliest.coherence - 0.02
            ):
                return [name, *(each for each in found if each != name)]
        return list(found)
    # some letters with accents, quotes and dashes in a text of plain letters
    accented = len(sample) - len(sample.translate(None, bytes(range(0xC0, 256))))
    return ["cp1252"] if 0 < letters >= accented else []


def _telling_lines(content: bytes) -> bytes:
    """Return some 64 KB of the text around bytes beyond ASCII, cut nowhere inside a character.

    That is from somewhat before such a byte on, and behind a blank or a mark, which no second
    byte of a character looks like.
    """
    parts, size, end = [], 0, 0
    while size < _HEAD and (high := _HIGH.search(content, end)):
        start = max(end, high.start() - 64)
        line = content.find(b"\n", high.start(), high.start() + _HEAD)
        stop = _BETWEEN.search(content, line if line >= 0 else high.start() + _HEAD)
        end = stop.end() if stop else len(content)
        parts.append(content[start:end])
        size += end - start
    return b"".join(parts)


def _mostly(content: bytes, source: str, encoding: str) -> tuple[str, list[str]]:
    """Decode what is surely in an encoding, a few bad places replaced and told."""
    text, bad = _marked(content, encoding)
    if bad and bad * 20 > len(text):
        raise TuillmError(
            f"{source} looks like {encoding.upper()}, but it is none in "
            f"{several(bad, 'place')}, first in {_position(text[: text.index(BAD_PLACE)])}",
            "is the file damaged? another encoding: --encoding NAME",
        )
    return _replaced(text, bad, source, encoding.upper())


def _marked(content: bytes, encoding: str) -> tuple[str, int]:
    """Return the text with a mark in each place that could not be decoded, and their number."""
    text = content.decode(encoding, "tuillm-mark")
    return text, text.count(BAD_PLACE)


def _replaced(text: str, bad: int, source: str, encoding: str) -> tuple[str, list[str]]:
    if not bad:
        return text, []
    where = _position(text[: text.index(BAD_PLACE)])
    if bad == 1 and text.endswith(BAD_PLACE):
        words = f"it ends in the middle of a character ({where}), which became U+FFFD"
    elif bad == 1:
        words = f"{where} is not {encoding} and became U+FFFD"
    else:
        words = f"{bad:,} places are not {encoding} and became U+FFFD, the first in {where}"
    return text.replace(BAD_PLACE, "\ufffd"), [f"{source}: {words}"]


def _position(before: str) -> str:
    """Name the place behind some text: its line and column, both from 1."""
    plain = before.replace("\r\n", "\n").replace("\r", "\n")
    return f"line {plain.count(chr(10)) + 1:,}, column {len(plain) - plain.rfind(chr(10)):,}"


def _wide(content: bytes) -> str:
    """Name the encoding of two or four bytes a character that the bytes are in, or ''."""
    sample = content[:8192]
    nul = sample.count(0)
    if nul * 5 < len(sample) and sum(map(sample.count, range(32, 127))) > 0.8 * len(sample):
        return ""  # plain letters with a NUL here and there
    best, most = "", 0
    for encoding in _WIDE:
        try:
            text = codecs.getincrementaldecoder(encoding)().decode(sample)
        except UnicodeDecodeError:
            continue
        strange = sum(
            unicodedata.category(character) in ("Cc", "Cn", "Co")
            for character in text
            if character not in "\t\n\r\f"
        )
        plain = sum(" " <= character < "\x7f" or character in "\n\r" for character in text)
        if strange * 100 <= len(text) and plain > most:
            best, most = encoding, plain
    return best


def _nul(content: bytes, source: str) -> TuillmError:
    before = content[: content.index(b"\0")].decode("utf-8", "replace")
    return TuillmError(
        f"{source} is not text but binary data: a NUL byte in {_position(before)}",
        "save it as plain UTF-8 text; where only NULs are too much: tr -d '\\000' < FILE > NEW",
    )


def _looks_binary(content: bytes) -> bool:
    """Whether the bytes hold many control characters, which no text does."""
    head = content[:_HEAD]
    return len(head) - len(head.translate(None, _CONTROLS)) > len(head) // 20


def _codec(charset: str) -> str:
    """The name Python has for an encoding of texts, or '' where it has none."""
    try:
        name = codecs.lookup(charset).name if charset else ""
        b"a".decode(name or "ascii", "ignore")  # raises for codecs that make no text
        return "" if name in _OF_NAMES else name
    except (LookupError, ValueError):
        return ""

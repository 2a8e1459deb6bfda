"""What is no book is not learned without a word: it is named, with what makes a text of it."""

import base64
import gzip
import io
import json
import time
import zipfile

import pytest

from tuillm.config import TrainConfig
from tuillm.errors import TuillmError
from tuillm.text.corpus import read_corpus
from tuillm.text.file_types import recognize_text, remarks_on

PROSE = "Call me Ishmael. Some years ago, never mind how long precisely.\n" * 40


def zipped(name, content):
    """A zip file with one member, stored as it is."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, content)
    return file.getvalue()


def rows(text):
    """The text as JSON lines in ASCII, as data sets come."""
    return "".join(json.dumps({"id": number, "body": text}) + "\n" for number in range(30))


LEARNABLE = {
    "piece of a web page": "<div class='x'><p>Sign in</p></div>\n" * 30,
    "MHTML": "From: <Saved by Blink>\nSubject: A book\n" + PROSE,
    "headers": "HTTP/1.1 200 OK\nContent-Type: text/plain\n\n" + PROSE,
    "RTF": r"{\rtf1\ansi{\fonttbl\f0 Times;}" + PROSE + "}",
    "JSON document": json.dumps({"title": "A book", "chapters": [PROSE]}, indent=1),
    "git-LFS pointer": "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    "PostScript": "%!PS-Adobe-3.0\n" + PROSE,
    "SVG": "<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'><g/></svg>\n" * 5,
    "FB2": "<?xml version='1.0'?>\n<FictionBook><body>" + PROSE,
    "XML": "<?xml version='1.0'?>\n<tei><p>" + PROSE,
    "escapes": "".join(f"\\u{ord(letter):04x}" for letter in "Бір кітап " * 40),
    "base64": base64.encodebytes(bytes(range(256)) * 20).decode(),
}
# what has a reader: the content, and what is learned of it
READ = {
    "HTML": (f"<!DOCTYPE html>\n<html><body><p>{PROSE}</p></body></html>", PROSE),
    "web page": (f"  <!-- saved -->\n<HTML lang=en><title>Login</title>{PROSE}", PROSE),
    "JSON lines": (rows("кітап " * 9), "кітап " * 9 * 30),
}
BINARY = {
    "EPUB": zipped("mimetype", "application/epub+zip"),
    "Kindle": bytes(60) + b"BOOKMOBI" + bytes(500),
    "PNG": b"\x89PNG\r\n\x1a\n" + bytes(60),
}


@pytest.fixture
def write(tmp_path):
    """A function that writes bytes and returns the path of the file."""

    def write(content):
        path = tmp_path / "book.txt"
        path.write_bytes(content)
        return str(path)

    return write


@pytest.mark.parametrize("kind", LEARNABLE)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_what_only_looks_like_text_is_named_and_learned_when_told(write, kind, encoding):
    """The error says what it is and what to do; with `as_text` the very same is the text."""
    source = write(LEARNABLE[kind].encode(encoding))
    with pytest.raises(TuillmError, match=kind) as caught:
        read_corpus((source,))
    assert source in caught.value.message and caught.value.hint
    assert "\n" not in str(caught.value)
    assert read_corpus((source,), as_text=True).text == LEARNABLE[kind]


@pytest.mark.parametrize("kind", READ)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_what_has_a_reader_is_read(write, kind, encoding):
    """By its contents, whatever the file is called; with `as_text` the very same is the text."""
    content, learned = READ[kind]
    source = write(content.encode(encoding))
    assert read_corpus((source,)).text.split() == learned.split()
    assert read_corpus((source,), as_text=True).text == content


@pytest.mark.parametrize("pack", [gzip.compress, lambda content: zipped("a.txt", content)])
def test_archives_are_opened(write, pack):
    """The text inside is the text, whatever the archive is called."""
    assert read_corpus((write(pack(PROSE.encode())),)).text == PROSE


@pytest.mark.parametrize("kind", BINARY)
def test_binary_books_and_archives_are_named(write, kind):
    """What no option can make a text of is told with the program that can."""
    source = write(BINARY[kind])
    with pytest.raises(TuillmError, match=f"(?i){kind}"):
        read_corpus((source,))
    with pytest.raises(TuillmError):
        read_corpus((source,), as_text=True)


@pytest.mark.parametrize(
    "text",
    [
        PROSE,
        "A book about HTML\n\nEvery page begins with <!DOCTYPE html> and <html>.\n" + PROSE,
        '# Title\n\n- a list\n- {json: no}\n\n```json\n{"a": 1}\n```\n' + PROSE,
        "<p align='center'><img src='logo.png'></p>\n\n# A README\n" + PROSE,
        "[1] A footnote.\n[2] Another.\n" + PROSE,
        "{curly} poem\n" + PROSE,
        "import json\n\n\ndef main():\n    return json.loads('{}')\n" * 9,
        "#include <stdio.h>\nint main() { return 0; }\n",
        "<THE MARQUISE ENTERS>\n" + PROSE,
        "ACGT" * 500,
        "\\documentclass{book}\n" + PROSE,
        "100% of 50% is 50%\n" * 30,
        "the version https://git-lfs.github.com/spec/v1 says\n" + PROSE,
    ],
)
def test_books_markdown_and_source_code_are_learned(write, text):
    """A book about HTML is a book; how a file begins and is built decides."""
    assert read_corpus((write(text.encode()),)).text == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            PROSE
            + base64.encodebytes(bytes(range(256)) * 9).decode().replace("\n", "AA\n")
            + PROSE,
            "lines of base64",
        ),
        ("name,age,town,note\n" + "Ann,7,Aktau,none\n" * 30, "a table of 4 columns"),
    ],
)
def test_what_may_be_meant_is_learned_with_a_note(write, text, words):
    """Tables and base64 inside a text are told and learned."""
    corpus = read_corpus((write(text.encode()),))
    assert corpus.text == text
    assert words in " ".join(corpus.notes)


@pytest.mark.parametrize(
    "text",
    [
        "<!-- -->" * 8000 + "x",
        "<!--" * 16_000,
        "<" * 65_000,
        "[" * 65_000,
        "{" * 65_000,
        "<?xml " * 10_000,
        '["' * 30_000,
        "MIME-Version: 1.0\n" * 4000,
        "&#" * 30_000,
    ],
)
def test_nothing_hostile_makes_it_slow(text):
    """Whatever a file holds, looking at it takes a moment."""
    begin = time.process_time()
    recognize_text(text)
    remarks_on(text, "x")
    assert time.process_time() - begin < 2


def test_the_setting_is_declared_once():
    """`as_text` is off unless somebody says so."""
    assert TrainConfig(max_steps=1).as_text is False

"""What a person calls a book becomes one clean text, or one clear line that says why not."""

import pytest

from tuillm.errors import TuillmError
from tuillm.store.paths import demo_book
from tuillm.text.corpus import read_corpus

TEXT = "Бір кітап — «book»\nсөз 白鲸 🐋\n"


@pytest.fixture
def write(tmp_path):
    """A function that writes bytes under a name and returns the path as a person types it."""

    def write(content, name="book.txt"):
        path = tmp_path / name
        path.write_bytes(content)
        return str(path)

    return write


def test_a_plain_file_is_read_as_it_is(write):
    """UTF-8 with LF needs no remark; the facts count characters and bytes."""
    corpus = read_corpus((write(TEXT.encode()),))
    assert corpus.documents == (TEXT,)
    assert corpus.text == TEXT
    assert (corpus.characters, corpus.bytes) == (len(TEXT), len(TEXT.encode()))
    assert (corpus.label, corpus.notes) == ("book.txt", ())


@pytest.mark.parametrize(
    ("content", "encoding", "words"),
    [
        (b"\xef\xbb\xbf" + TEXT.encode(), "auto", "byte order mark (UTF-8)"),
        (b"\xef\xbb\xbf" + TEXT.encode(), "utf-8", "byte order mark"),
        (b"\xff\xfe" + TEXT.encode("utf-16-le"), "auto", "byte order mark (UTF-16-LE)"),
        (b"\xff\xfe" + TEXT.encode("utf-16-le"), "utf-16-le", "byte order mark"),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), "auto", "byte order mark (UTF-16-BE)"),
        (TEXT.replace("\n", "\r\n").encode(), "auto", "CRLF or CR"),
        (TEXT.replace("\n", "\r").encode(), "auto", "CRLF or CR"),
        (TEXT.replace("\n", "\r\n", 1).encode(), "auto", "CRLF or CR"),
    ],
    ids=[
        "utf-8",
        "named utf-8",
        "utf-16-le",
        "named utf-16-le",
        "utf-16-be",
        "crlf",
        "cr",
        "mixed",
    ],
)
def test_marks_and_line_ends_are_cleaned_and_told(write, content, encoding, words):
    """Byte order marks fall away, line ends become LF, and a note says so."""
    corpus = read_corpus((write(content),), encoding)
    assert corpus.text == TEXT
    assert len(corpus.notes) == 1
    assert words in corpus.notes[0] and "book.txt" in corpus.notes[0]


def test_a_mark_and_crlf_are_both_told(write):
    """Each change gets a note of its own."""
    content = b"\xff\xfe" + TEXT.replace("\n", "\r\n").encode("utf-16-le")
    corpus = read_corpus((write(content),))
    assert corpus.text == TEXT
    assert len(corpus.notes) == 2


def test_western_text_is_read_as_cp1252_and_told(write):
    """What is no UTF-8 is taken for cp1252, with the option that names another."""
    corpus = read_corpus((write("“Où ça ?” – 5 €\n".encode("cp1252")),))
    assert corpus.text == "“Où ça ?” – 5 €\n"
    assert "cp1252" in corpus.notes[0] and "--encoding" in corpus.notes[0]


@pytest.mark.parametrize("encoding", ["cp1251", "koi8-r", "utf-16", "utf-8"])
def test_a_named_encoding_is_used_without_a_remark(write, encoding):
    """Who names the encoding knows it; nothing is guessed."""
    corpus = read_corpus((write("Война и мир\n".encode(encoding)),), encoding)
    assert (corpus.text, corpus.notes) == ("Война и мир\n", ())


@pytest.mark.parametrize(
    ("content", "encoding", "words"),
    [
        (b"", "auto", "is empty"),
        (b" \n\t\r\n", "auto", "is empty"),
        (b"\xef\xbb\xbf", "auto", "is empty"),
        (b"x", "auto", "has only 1 character"),
        ("白".encode(), "auto", "has only 1 character"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "auto", "is a PNG picture"),
        (b"text with a \0 in it", "auto", "is not text but binary"),
        (b"\1\2\3\4\5\6 many controls", "auto", "is not text but binary"),
        (b"text with\0\0 two", "auto", "a NUL byte in line 1, column 10"),
        (b"\xff\xfeabc", "auto", "looks like UTF-16-LE, but it is none in 1 place"),
        (b"caf\x81\x8d", "auto", "byte 0x81 in line 1, column 4"),
        (b"abc\xff", "utf-8", "is not utf-8 text: byte 3 is 0xff"),
        (b"abc", "klingon", "unknown encoding 'klingon'"),
        (b"abc", "hex", "unknown encoding 'hex'"),
        (b"abc", "undefined", "unknown encoding 'undefined'"),
        (b"abc", "", "unknown encoding ''"),
    ],
    ids=lambda value: repr(value[:12]) if isinstance(value, bytes) else None,
)
def test_what_is_no_text_is_refused(write, content, encoding, words):
    """Empty, binary and undecodable files are each refused in one line that says which it is."""
    source = write(content)
    with pytest.raises(TuillmError) as caught:
        read_corpus((source,), encoding)
    assert words in caught.value.message
    assert "\n" not in str(caught.value)
    assert source in caught.value.message or encoding != "auto"


def test_a_folder_is_its_files(tmp_path):
    """Each is a document, by name; what is no text is passed over and told."""
    with pytest.raises(TuillmError, match="holds no text"):
        read_corpus((str(tmp_path),))
    (tmp_path / "b.txt").write_text("second\n")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.md").write_text("third\n")
    (tmp_path / "a.txt").write_text("first\n")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(60))
    corpus = read_corpus((str(tmp_path),))
    assert corpus.documents == ("first\n", "second\n", "third\n")
    assert corpus.notes[0] == "3 files, 1 skipped (a PNG picture), 19 B"


def test_a_missing_file_names_the_nearest_beside_it(write, tmp_path):
    """A misspelt path is refused with the file it resembles."""
    write(b"text", "moby-dick.txt")
    with pytest.raises(TuillmError, match="moby-dik.txt does not exist") as caught:
        read_corpus((str(tmp_path / "moby-dik.txt"),))
    assert "'moby-dick.txt'" in caught.value.hint


@pytest.mark.parametrize(
    "source",
    ["nowhere/at/all.txt", "~no-such-person/book.txt", "x" * 300, "Call me. " * 30],
    ids=["folder", "person", "name", "text"],
)
def test_what_is_no_path_is_refused(tmp_path, monkeypatch, source):
    """Folders and persons that do not exist, and text where a path belongs, are one line."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TuillmError) as caught:
        read_corpus((source,))
    assert source[:30] in caught.value.message and len(caught.value.message) < 150


def test_no_source_says_how_to_name_one():
    """Nothing named is refused with the command to type."""
    with pytest.raises(TuillmError, match="no text was named") as caught:
        read_corpus(())
    assert "tuillm train" in caught.value.hint


def test_several_files_are_documents_in_order(write):
    """Each file is one document; the facts are of all together."""
    sources = write(b"first\n", "b.txt"), write("екінші\n".encode(), "a.txt")
    corpus = read_corpus(sources)
    assert corpus.documents == ("first\n", "екінші\n")
    assert (corpus.text, corpus.label) == ("first\nекінші\n", "2 texts")
    assert (corpus.characters, corpus.bytes) == (13, 19)


def test_one_bad_file_among_good_ones_is_named(write):
    """The refusal names the file that is at fault."""
    good, bad = write(b"good text", "good.txt"), write(b"", "bad.txt")
    with pytest.raises(TuillmError, match="bad.txt is empty"):
        read_corpus((good, bad))


def test_the_hash_knows_contents_and_boundaries(write):
    """Equal contents hash alike under any name; another cut between documents does not."""

    def hash_of(*contents):
        names = (f"{number}-{len(contents)}.txt" for number in range(9))
        pairs = zip(contents, names, strict=False)
        return read_corpus(tuple(write(content, name) for content, name in pairs)).sha256

    assert hash_of(b"same") == read_corpus((write(b"same", "elsewhere.txt"),)).sha256
    assert len({hash_of(b"abcd"), hash_of(b"ab", b"cd"), hash_of(b"abc", b"d!")}) == 3
    assert hash_of(b"aa", b"bbb") != hash_of(b"aab", b"bb")


def test_the_bundled_book_needs_no_remark():
    """The book that ships with tuillm is clean text of a useful length."""
    corpus = read_corpus((str(demo_book()),))
    assert corpus.notes == ()
    assert corpus.bytes > 30_000

"""Bytes become the text they are; what was bad, guessed or cut is told, with line and column."""

import time

import pytest

from tuillm.errors import TuillmError
from tuillm.text.corpus import read_corpus
from tuillm.text.encodings import decode

KAZAKH = "Бір кітап — «book»\nсөз 白鲸 🐋\n" * 20
RUSSIAN = (
    "Все счастливые семьи похожи друг на друга, каждая несчастливая семья несчастлива "
    "по-своему. Всё смешалось в доме Облонских.\n"
) * 5
FRENCH = "Longtemps, je me suis couché tôt. “À peine”, dit-elle, ma bougie éteinte.\n" * 5
CHINESE = "白鲸记 叫我以实玛利。多年以前，不必管它究竟有多少年，我口袋里没有多少钱。\n" * 8
JAPANESE = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。\n" * 8


@pytest.fixture
def read(tmp_path):
    """A function that reads bytes as the file `book.txt`; it returns the text and the notes."""

    def read(content, encoding="auto"):
        path = tmp_path / "book.txt"
        path.write_bytes(content)
        corpus = read_corpus((str(path),), encoding)
        return corpus.text, " ".join(corpus.notes)

    return read


def test_one_bad_byte_does_not_turn_a_book_into_mojibake(read):
    """Mostly valid UTF-8 stays UTF-8: the bad place becomes U+FFFD and is told by line, column."""
    lines = KAZAKH.encode().split(b"\n")
    lines[4] = lines[4][:2] + b"\xff" + lines[4][2:]
    text, notes = read(b"\n".join(lines))
    assert text.count("\ufffd") == 1 and text.replace("\ufffd", "") == KAZAKH
    assert "line 5, column 2 is not UTF-8 and became U+FFFD" in notes


def test_several_bad_bytes_are_counted(read):
    """Their number and the first place are told; the rest of the book is untouched."""
    content = KAZAKH.encode().replace("🐋".encode(), b"\xfe", 3)
    text, notes = read(content)
    assert text == KAZAKH.replace("🐋", "\ufffd", 3)
    assert "3 places are not UTF-8" in notes and "the first in line 2, column 8" in notes


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16"])
def test_a_file_cut_inside_a_character_is_still_its_encoding(read, encoding):
    """What is missing at the end is one U+FFFD, and a note says so."""
    text, notes = read((KAZAKH.rstrip() + "🐋").encode(encoding)[:-1])
    assert text.startswith(KAZAKH.rstrip()) and text.endswith("\ufffd")
    assert "ends in the middle of a character" in notes


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("text", [KAZAKH, "Plain English.\nNo more.\n", CHINESE])
def test_two_and_four_bytes_a_character(read, encoding, marked, text):
    """With and without a byte order mark it is the text, and the note names the encoding."""
    found, notes = read((("\ufeff" if marked else "") + text).encode(encoding))
    assert found == text
    assert encoding.upper() in notes and "byte order mark" in notes


@pytest.mark.parametrize(
    ("text", "encoding", "told"),
    [
        (RUSSIAN, "cp1251", "cp1251"),
        (RUSSIAN, "koi8-r", "koi8-r"),
        (RUSSIAN, "cp866", "cp866"),
        (FRENCH, "cp1252", "cp1252"),
        (FRENCH.replace("“", "«").replace("”", "»"), "latin-1", "cp1252"),
        (CHINESE, "gbk", "gb18030"),
        (JAPANESE, "shift-jis", "shift-jis"),
        (CHINESE.replace("\n", "") * 300, "gbk", "gb18030"),
        (CHINESE * 300, "gbk", "gb18030"),
        ((JAPANESE * 300).replace("\n", ""), "shift-jis", "shift-jis"),
        (JAPANESE, "iso2022-jp", "iso2022_jp"),
        ("It was the café’s owner.\n", "cp1252", "cp1252"),
    ],
)
def test_older_encodings_are_guessed_and_the_guess_is_told(read, text, encoding, told):
    """The text is right, and the note names the guess (and the option that names another)."""
    found, notes = read(text.encode(encoding))
    assert found == text
    assert f"read as {told}" in notes
    assert "--encoding" in notes or "escape sequences" in notes


@pytest.mark.parametrize("encoding", ["cp1251", "koi8-r"])
def test_what_is_too_uncertain_is_refused_with_the_place_and_the_option(read, encoding):
    """A few letters could be in a dozen encodings: nothing is guessed."""
    with pytest.raises(TuillmError, match="line 2, column 1") as caught:
        read(b"1869\n" + "Война и мир\n".encode(encoding))
    assert "--encoding" in caught.value.hint


def test_a_named_encoding_fails_at_a_line_and_column(read):
    """Line ends of any kind are counted, and the byte is told."""
    with pytest.raises(TuillmError, match=r"0xff \(line 3, column 2\)"):
        read(b"one\r\ntwo\rt\xffree", "utf-8")


@pytest.mark.parametrize(("text", "encoding"), [(FRENCH, "latin-1"), ("Plain.\n" * 8, "utf-16")])
def test_a_named_encoding_that_looks_wrong_is_told(read, text, encoding):
    """It is used, since it was asked for; the note says what the bytes look like."""
    found, notes = read(text.encode(), encoding)
    assert found == text.encode().decode(encoding) and "look like UTF-8" in notes


def test_halves_of_surrogate_pairs_are_no_text(read):
    """An encoding that can spell them is no way around: they could not be written down."""
    with pytest.raises(TuillmError, match="half a surrogate pair.* line 1, column 3"):
        read(b"a \\ud800 b" + RUSSIAN.encode(), "unicode_escape")


def test_a_nul_is_told_with_its_place(read):
    """A text with NULs in it says where the first one is and how to get rid of them."""
    with pytest.raises(TuillmError, match="a NUL byte in line 2, column 4") as caught:
        read(b"plain\ntex\0t " * 9)
    assert "tr -d" in caught.value.hint


@pytest.mark.parametrize("long", [b"x" * 3_000_000, b"x " * 1_500_000, b"x\n" * 1_500_000])
def test_a_guess_takes_no_time_with_the_length_of_lines(read, long):
    """Only the lines that tell something are looked at, however long the others are."""
    begin = time.process_time()
    text, notes = read(long + RUSSIAN.encode("cp1251") + long)
    assert RUSSIAN.strip() in text and "cp1251" in notes
    assert time.process_time() - begin < 3


def test_plain_texts_do_not_pay_for_guessing(read):
    """The library that guesses is loaded only where there is something to guess."""
    import subprocess
    import sys

    code = (
        "import sys; from tuillm.text import read_corpus; read_corpus((sys.argv[1],));"
        "print('charset_normalizer' in sys.modules)"
    )
    from tuillm.store.paths import demo_book

    done = subprocess.run(
        [sys.executable, "-c", code, str(demo_book())], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_noncharacters_are_characters(read):
    """What Unicode keeps for inner use is valid UTF-8, and no bad byte."""
    text, notes = read("a\ufdd0b\uffff \U0001fffe ж\n".encode())
    assert text == "a\ufdd0b\uffff \U0001fffe ж\n" and "U+FFFD" not in notes


@pytest.mark.parametrize("encoding", ["idna", "punycode", "rot13", "hex", "nonsense"])
def test_what_is_no_encoding_of_texts_is_refused(read, encoding):
    """Codecs of host names and of other things are no encodings of a book."""
    with pytest.raises(TuillmError, match="unknown encoding"):
        read(KAZAKH.encode(), encoding)


@pytest.mark.parametrize(
    "encoding", ["idna", "punycode", "rot13", "hex", "zlib", "undefined", "nonsense", "", "a\0b"]
)
def test_no_more_are_they_of_tables_and_servers(encoding, tmp_path):
    """A table is refused in a line; what a server or a page says of itself is passed over."""
    table = tmp_path / "table.csv"
    table.write_text("text,n\na word,1\n")
    with pytest.raises(TuillmError, match="unknown encoding"):
        read_corpus((str(table),), encoding)
    text, remarks = decode(FRENCH.encode("cp1252"), "page", "auto", encoding)
    assert text == FRENCH and "which is a guess" in remarks[0]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_a_table_without_the_mark_that_its_encoding_needs_is_refused(encoding, tmp_path):
    """In a line, not by the library's own words."""
    table = tmp_path / "table.csv"
    table.write_bytes(("text,n\n" + "a word,1\n" * 8).encode(f"{encoding}-le"))
    with pytest.raises(TuillmError, match="not in the encoding that was named"):
        read_corpus((str(table),), encoding)


def test_halves_of_surrogate_pairs_in_a_table_become_marks(tmp_path):
    """Of conversations as well, whose bytes are counted before they are stored."""
    table = tmp_path / "table.csv"
    table.write_text("question,answer\nWhat?,that\\ud800\n")
    corpus = read_corpus((str(table),), "unicode_escape")
    assert "that\ufffd" in corpus.text and "1 places could not be decoded" in corpus.notes[0]

"""`tuillm explore` as a person meets it: its sections, its JSON, its page, its refusals."""

import html.parser
import json
import os
import subprocess
import sys

import pytest
from hostile import EVIL, acts

from tuillm.errors import printable
from tuillm.text_report.remarks import binary, visible


def explore(*arguments, stdin=None, **environment):
    """Run the command and return the finished process."""
    return subprocess.run(
        [sys.executable, "-m", "tuillm", "explore", *map(str, arguments)],
        input=stdin,
        text=True,
        capture_output=True,
        env=os.environ | environment,
        timeout=120,
    )


class Reader(html.parser.HTMLParser):
    """Collects the tags of a page and what they point to, and that each is closed."""

    def __init__(self):
        super().__init__()
        self.tags, self.open, self.links = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("href", "src", "onload")]
        if tag not in ("meta", "br", "line", "rect", "polyline"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in ("line", "rect", "polyline"):
            assert self.open.pop() == tag


def test_it_is_told_in_sections(book):
    """Titles, figures, a word on each; nothing is wider than 80 columns, and nothing is kept."""
    done = explore(book)
    assert done.returncode == 0 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "book.txt" and max(map(len, lines)) <= 80
    heads = [line.split()[0] for line, before in zip(lines[1:], lines, strict=False) if not before]
    assert heads[:-1] == [
        "Size",
        "Language",
        "Characters",
        "Words",
        "Repetition",
        "Tokens",
        "Example",
    ]
    assert "  characters         30,000" in lines and any("English" in line for line in lines)
    assert any(line.startswith("→ Short: --preset heart") for line in lines)
    assert any(line.startswith("  bpe 320   *") for line in lines)


def test_several_texts_and_standard_input(book, tmp_path):
    """Each is a document; what comes through a pipe is one."""
    (tmp_path / "b.txt").write_text("Another one, and a copy of it.\n" * 9)
    done = explore(book, tmp_path / "b.txt", tmp_path / "b.txt")
    assert "3 texts" in done.stdout and "1 of the documents are copies" in done.stdout
    assert "256 B to 512 B" in done.stdout
    assert (
        "  words                  45\n" in explore("-", stdin="Some words in a pipe.\n" * 9).stdout
    )


def test_everything_is_in_the_json(book):
    """For programs, all characters included."""
    found = json.loads(explore(book, "--json").stdout)
    assert set(found) == set(
        "label notes size languages characters words documents repetition speakers tokens "
        "example seconds".split()
    )
    text = book.read_text()
    assert len(found["characters"]["by_frequency"]) == len(set(text))
    assert found["size"]["characters"] == len(text) and found["seconds"]["all"] > 0


@pytest.mark.parametrize("text", ["book", "hostile"])
def test_the_page_stands_alone(text, book, tmp_path):
    """One file of well-formed HTML that loads nothing, runs nothing, and has nothing unescaped."""
    if text == "hostile":
        book.write_text(f"<script>{EVIL}</script> &amp; \"quoted\" word é\u0301 'x' <b>\n" * 40)
    page = tmp_path / "pages" / "page.html"
    done = explore(book, "--as-text", "--html", page)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"wrote {page}\n"
    content = page.read_text(encoding="utf-8")
    assert printable(content) == content
    reader = Reader()
    reader.feed(content)
    assert reader.open == [] and reader.links == []
    assert not {"script", "link", "img", "iframe", "b>"} & set(reader.tags)
    assert "http" not in content and "url(" not in content and "@import" not in content
    assert "prefers-color-scheme: dark" in content and "</html>" in content


@pytest.mark.slow
def test_a_page_takes_no_other_file_s_place(book, tmp_path):
    """Only a page is written over; a typing slip costs no book."""
    before = book.read_bytes()
    for target, words in (
        (book, "is there already and was not written by tuillm"),
        (tmp_path, "directory"),
    ):
        done = explore(book, "--html", target)
        assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1
    assert book.read_bytes() == before
    mine = tmp_path / "mine.html"
    mine.write_text("<!doctype html>\n<p>of my own")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for target in (mine, pipe):
        assert explore(book, "--html", target).returncode == 2
    assert mine.read_text().endswith("of my own") and pipe.is_fifo()
    page, link = tmp_path / "page.html", tmp_path / "link.html"
    assert [explore(book, "--html", page).returncode for _ in range(2)] == [0, 0]
    link.symlink_to(page)
    page.write_text("")
    assert explore(book, "--html", link).returncode == 0
    assert link.is_symlink() and page.read_text().startswith("<!doctype html>")


def test_of_conversations_the_words_are_counted(tmp_path):
    """The names of special tokens are no text; part of the records can be looked at."""
    path = tmp_path / "qa.jsonl"
    record = {"question": "What is this?", "answer": "A test."}
    path.write_text("".join(json.dumps(record) + "\n" for _ in range(50)))
    found = json.loads(explore(path, "--json").stdout)
    words = {each["word"] for each in found["words"]["by_frequency"]}
    assert "test" in words and not {"assistant", "user", "endoftext"} & words
    assert json.loads(explore(path, "--json", "--limit", 7).stdout)["documents"]["count"] == 7


def test_what_cannot_be_read_is_one_line(tmp_path, book):
    """As for training, and no page is made."""
    page = tmp_path / "page.html"
    done = explore(tmp_path / "nowhere.txt", "--html", page)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and not page.exists()
    assert "does not exist" in done.stderr
    assert "no-such" in explore(book, "--encoding", "no-such").stderr


def test_control_characters_act_on_no_terminal(tmp_path, terminal):
    """They are shown as what they are."""
    path = tmp_path / "evil.txt"
    path.write_text(f"w{EVIL}rd {EVIL} and the other words of it\n" * 30)
    opened = terminal("explore", "--as-text", path)
    assert opened.wait_end() == 0, opened.text
    assert acts(opened.raw) == []
    assert "\\x1b" in opened.text and "control characters" in opened.text


def test_without_utf8_bars_are_plain(book):
    """An old terminal gets signs that it has."""
    done = explore(book, PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and "####" in done.stdout and "█" not in done.stdout


@pytest.mark.parametrize(
    "text, shown",
    [
        ("a b\n", "a b⏎"),
        ("\x1b[0m\x9b", "\\x1b[0m\\x9b"),
        ("\u202e\u200b\u2028\xa0", "\\u202e\\u200b\\u2028\\xa0"),
        ("\ud800", "\\ud800"),
        ("\u0301", "◌\u0301"),
        ("қ漢𝔘", "қ漢𝔘"),
    ],
    ids=ascii,
)
def test_what_cannot_be_seen_is_spelled(text, shown):
    """And what can be seen stays."""
    assert visible(text) == shown and printable(shown) == shown


def test_powers_of_two():
    """As sizes of documents."""
    assert [binary(1 << bits) for bits in (0, 9, 10, 23, 30)] == [
        "1 B",
        "512 B",
        "1 KiB",
        "8 MiB",
        "1 GiB",
    ]

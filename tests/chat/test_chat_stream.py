"""What a streamed reply looks like: whole words, exact widths, harmless, nothing lost."""

import random
import re
import textwrap
import unicodedata
from types import SimpleNamespace
from typing import Any

import pyte
import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import ColorDepth, DummyOutput
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.styles import Style
from wcwidth import wcswidth, wcwidth

from tuillm.chat.terminal import reply_stream as stream_module
from tuillm.chat.terminal.reply_stream import ReplyStream
from tuillm.chat.terminal.screen import Screen
from tuillm.chat.terminal.status_line import Facts, Pace, StatusLine, fit
from tuillm.chat.terminal.wrap import Wrap, joins_emoji
from tuillm.config import SamplingConfig
from tuillm.errors import printable
from tuillm.generation.detokenizer import TextStream
from tuillm.text import make_tokenizer
from tuillm.theme import load_theme

BOOK = (
    "It was a bright cold day in April, and the clocks were striking thirteen; nobody in the "
    "house remembered who had wound them.\n\nSomebody-or-other had, (perhaps) at night. "
) * 4
PIECES = [
    "word",
    "a",
    "window,",
    "extraordinarily",
    " ",
    " ",
    " ",
    "  ",
    "\t",
    "\n",
    "\n\n",
    "Сөйлеймін",
    "қазақша",
    "今天天气很好。",
    "「你好」",
    "東京タワー",
    "안녕하세요",
    "हिन्दी",
    "👩‍💻",
    "👨‍👩‍👧‍👦",
    "❤️",
    "☠️",
    "👍🏽",
    "🇰🇿🇩🇪",
    "1️⃣",
    "🙂",
    "e\u0301",
    "\u0301",
    "שלום",
    "a\u0308\u0323",
    "\x1b[2J",
    "\r",
    "\x07",
    "\u202e",
    "\u200b",
    "\u00a0",
    "\u00ad",
    "—",
    "…",
    "x" * 30,
]


class Glass(pyte.HistoryScreen):
    """A screen that counts cells as terminals do: `joining` ones draw a sequence as one emoji."""

    def __init__(self, columns, lines, joining=False):
        super().__init__(columns, lines, history=5000)
        self.joining, self.folded = joining, False
        self.told, self.sent = "FIGURES", ""
        self._feed = pyte.Stream(self)

    def show(self, sent):
        """Take what a program sends."""
        self._feed.feed(sent)

    def draw(self, data):
        for char in data:
            self._put(char)

    def _put(self, char):
        x, row = self.cursor.x, self.buffer[self.cursor.y]
        place = x - 2 if x > 1 and row[x - 1].data == "" else x - 1
        before, width = (row[place].data if x else ""), wcwidth(char)
        emoji = before and (wcwidth(before[0]) == 2 or "\ufe0f" in before + char)
        if self.joining and emoji:
            width = wcswidth(before + char) - (x - place)
        if width <= 0 or (width == 1 and before and wcwidth(char) == 0):
            if x:
                row[place] = row[place]._replace(data=before + char)
            if width == 1 and x < self.columns:
                row[x] = row[x]._replace(data="")
                self.cursor.x += 1
            return
        if x + width > self.columns:
            self.folded = True
            self.carriage_return()
            self.linefeed()
            row = self.buffer[self.cursor.y]
        for cell in range(width):
            data = "" if cell else char
            row[self.cursor.x + cell] = self.cursor.attrs._replace(data=data)
        self.cursor.x += width

    @property
    def rows(self):
        """All rows, those scrolled away included, without blanks at their ends."""
        lines = [*self.history.top, *(self.buffer[y] for y in range(self.lines))]
        return ["".join(line[x].data for x in range(self.columns)).rstrip() for line in lines]

    @property
    def text(self):
        """The rows down to the last that is not empty."""
        return "\n".join(self.rows).rstrip("\n")

    def fold(self, columns):
        """Get another width and fold what does not fit, as most terminals do; `rows` stay whole."""
        x, y = self.cursor.x, self.cursor.y
        lines = [
            [self.buffer[row][cell] for cell in range(self.columns)] for row in range(self.lines)
        ]
        self.columns = columns
        self.reset()
        cursor = (0, 0)
        for number, line in enumerate(lines):
            end = max((i + 1 for i, cell in enumerate(line) if cell.data != " "), default=0)
            end = max(end, x) if number == y else end
            for cell in line[:end]:
                if cell.data:
                    self._put(cell.data[0])
            if number == y:
                cursor = (self.cursor.x, self.cursor.y + len(self.history.top))
            if any(cell.data != " " for rest in lines[number + 1 :] for cell in rest):
                self.carriage_return()
                self.linefeed()
        self.cursor.x, self.cursor.y = cursor[0], cursor[1] - len(self.history.top)
        self.folded = False


def solid(text, marks=False):
    """A text without its blanks, and without the marks that take no cell of their own."""
    kept = (char for char in text if marks or wcwidth(char) > 0)
    return "".join(char for char in kept if not (char.isspace() or char == "\u200b"))


def pieces_of(text, rng):
    """Cut a text into tokens of any size."""
    places = sorted(rng.sample(range(len(text) + 1), min(len(text) // 3, len(text))))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


def random_text(rng, size=60):
    """Words, blanks, emoji, accents and any characters at all."""
    strange = [
        chr(rng.choice((rng.randrange(0x20, 0xD800), rng.randrange(0xE000, 0x1FBFF))))
        for _ in range(8)
    ]
    return "".join(rng.choice(PIECES + strange + [" "] * 8) for _ in range(size))


@pytest.mark.parametrize("joining", [False, True], ids=["by character", "joining emoji"])
@pytest.mark.parametrize("width", [2, 3, 8, 9, 20, 40, 80, 131])
def test_a_screen_of_any_width_holds_the_whole_text(width, joining):
    """Whatever the text and its tokens: nothing is lost or doubled, no row crosses the edge."""
    for seed in range(4):
        rng = random.Random(seed * 1000 + width)
        text, glass, wrap = random_text(rng), Glass(width, 6, joining), Wrap(width, joining)
        for piece in pieces_of(text, rng):
            glass.show(wrap.feed(printable(piece)))
            assert not glass.folded, (seed, piece)
        assert solid(glass.text) == solid(printable(text)), seed


@pytest.mark.parametrize("width", [20, 33, 40, 80])
def test_rows_break_between_words_only(width):
    """A text of words that fit comes out as the standard library wraps it, token by token."""
    rng = random.Random(width)
    for text in (BOOK, BOOK.translate(str.maketrans("aeiourstn", "аәеіоөүұң"))):
        glass, wrap = Glass(width, 10), Wrap(width)
        for piece in pieces_of(text, rng):
            glass.show(wrap.feed(piece))
        wanted = [
            row
            for line in text.split("\n")
            for row in textwrap.wrap(line, width, break_on_hyphens=False) or [""]
        ]
        assert glass.text.split("\n") == [row.rstrip() for row in wanted if row or True]


def test_a_word_is_shown_as_it_grows_and_moves_when_it_crosses_the_edge():
    """Nothing is held back; the beginning of a word is taken off the row that it outgrows."""
    glass, wrap = Glass(10, 4), Wrap(10)
    seen = []
    for piece in ("seven is", " b", "i", "gger", "!", "\nx"):
        glass.show(wrap.feed(piece))
        seen.append(glass.text)
    assert seen == [
        "seven is",
        "seven is b",
        "seven is\nbi",
        "seven is\nbigger",
        "seven is\nbigger!",
        "seven is\nbigger!\nx",
    ]


def test_a_word_longer_than_a_row_breaks_but_never_within_a_character():
    """A long word fills its rows; an emoji of several characters goes to the next row whole."""
    glass, wrap = Glass(10, 6), Wrap(10, joins=False)
    for piece in ("ab ", "c" * 13, "dd", "dd", "\n", "x" * 8, "👩", "\u200d", "💻", "y"):
        glass.show(wrap.feed(piece))
    assert glass.text.split("\n") == ["ab", "c" * 10, "cccdddd", "x" * 8, "👩‍💻y"]


def test_chinese_breaks_anywhere_but_before_a_full_stop():
    """Ideographs need no blanks to break at; what closes does not begin a row, nor does a letter
    with its accent part; Korean breaks between words."""
    glass, wrap, ga = Glass(10, 8), Wrap(10), "か\u3099"
    glass.show(wrap.feed(f"好好好好好。（天）{ga}{ga}{ga} 한국어를 말하다"))
    assert glass.text.split("\n") == ["好好好好", "好。（天）", ga * 3, "한국어를", "말하다"]


def test_tabs_and_blanks_never_begin_a_row_that_is_not_theirs():
    """A tab goes to the next eighth column, blanks at the edge are not seen, a line's own stay."""
    glass, wrap = Glass(20, 6), Wrap(20)
    full = "12345678901234567890"
    glass.show(wrap.feed(f"a\tb\tc  \n  in\n{full}   z"))
    assert glass.text.split("\n") == ["a       b       c", "  in", full, "z"]


def test_terminals_that_join_emoji_are_known_by_name():
    """Elsewhere the larger width counts."""
    assert joins_emoji({"TERM": "xterm-kitty"}) and joins_emoji({"TERM_PROGRAM": "iTerm.app"})
    assert not joins_emoji({"TERM": "xterm-256color"}) and not joins_emoji({})


@pytest.fixture
def reply(monkeypatch):
    """Open a reply on a glass of some size, its status line showing `glass.told`."""
    monkeypatch.setattr(stream_module, "_TOGETHER", 0.0)
    monkeypatch.setattr(stream_module, "_STATUS_EVERY", 0.0)

    def make(columns=80, lines=24, status=True, depth=ColorDepth.DEPTH_24_BIT):
        glass = Glass(columns, lines)

        def write(data):
            glass.sent += data
            glass.show(data)

        paper: Any = SimpleNamespace(write=write, flush=lambda: None, isatty=lambda: True)
        output = Vt100_Output(paper, lambda: Size(glass.lines, glass.columns), term="xterm")
        style = Style.from_dict(load_theme().prompt_toolkit() | {"reply": "#aabbcc"})
        line = StatusLine(output, style, depth, lambda columns: [("", f" {glass.told}")])
        return glass, ReplyStream(output, style, depth, line if status else None)

    return make


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (20, 6), (7, 4), (80, 3), (3, 2)])
def test_the_status_line_stays_below_and_scrollback_keeps_the_reply_whole(reply, columns, lines):
    """The last row tells the figures all the time, above is the text; at the end they are gone."""
    glass, stream = reply(columns, lines)
    glass.show("before\r\n" if columns > 6 else "")
    with stream:
        for piece in pieces_of(BOOK, random.Random(1)):
            stream.write(piece)
            if lines >= 4 and glass.cursor.x < columns:  # behind a full row it waits a token
                assert glass.rows[-1] == " FIGURES"[: columns - 1]
        assert not glass.folded
    assert "FIG" not in glass.text
    assert solid(glass.text.removeprefix("before")) == solid(BOOK)
    assert (glass.cursor.x, glass.cursor.attrs.fg) == (0, "default")


@pytest.mark.parametrize("lines", [24, 5])
def test_the_status_line_follows_its_facts_without_disturbing_the_text(reply, lines):
    """It is drawn anew when it says something else, also when the row is full to its last cell."""
    glass, stream = reply(10, lines)
    with stream:
        for number, piece in enumerate("1234567890 1234567890\n12345 6 7 8 9"):
            glass.told = str(number)
            stream.write(piece)
            stream.refresh()
            assert glass.rows[-1] == f" {number}"
        sent = glass.sent
        stream.refresh()
        assert glass.sent == sent, "nothing to say, nothing sent"
        text = glass.text.split("\n")
    assert text[:4] == ["1234567890", "1234567890", "12345 6 7", "8 9"]


@pytest.mark.parametrize("status", [True, False])
@pytest.mark.parametrize(("columns", "lines"), [(60, 12), (100, 8), (40, 30), (40, 6)])
def test_a_window_that_changes_its_size_keeps_the_text_whole(reply, columns, lines, status):
    """In the middle of any word: what fits goes on, the figures move to the new last row."""
    for cut in range(200, 240, 5):
        glass, stream = reply(40, 12, status)
        with stream:
            stream.write(BOOK[:cut])
            glass.resize(lines, columns)
            for piece in pieces_of(BOOK[cut:], random.Random(cut)):
                stream.write(piece)
                assert not status or glass.rows[-1] == " FIGURES" or glass.cursor.x == columns
        assert not glass.folded
        assert glass.text.count("FIG") == 0
        assert solid(BOOK).endswith(solid(glass.text)[-200:])


@pytest.mark.parametrize("status", [True, False])
def test_a_row_that_a_narrower_window_folds_ends_with_its_word(reply, status):
    """Nothing is lost, doubled or torn when the terminal folds the row that is being written."""
    text = BOOK.replace("\n", " ")
    for cut in range(300, 360, 2):
        glass, stream = reply(40, 12, status)
        with stream:
            stream.write(text[:cut])
            rows = glass.rows
            above = "".join(rows[: len(glass.history.top)])
            glass.fold(15)
            for piece in pieces_of(text[cut : cut + 200], random.Random(cut)):
                stream.write(piece)
        shown = solid(above) + solid(glass.text)
        assert "FIG" not in shown
        assert shown == solid(text[: cut + 200]), cut


def test_others_may_write_in_the_middle_of_a_reply(reply):
    """A note stands between the rows; the row that was being written goes on below it."""
    glass, stream = reply(20, 8)
    with stream:
        stream.write("first line\nhalf a")
        with stream.aside():
            assert "FIG" not in glass.text
            assert glass.cursor.attrs.fg == "default"
            glass.show("NOTE\r\n")
        stream.write(" sentence and more")
    assert glass.text.split("\n") == ["first line", "NOTE", "half a sentence and", "more"]


@pytest.mark.parametrize(
    "evil",
    [
        "\x1b[2J",
        "\x1b]0;title\x07",
        "\x1bc",
        "\x9b2J",
        "\x07",
        "a\rb",
        "\x08" * 5,
        "\x0b\x0c",
        "\u202eabc",
        "\u2066x\u2069",
        "\x1b",
        "\x1b[?1049h",
        "\x85",
        "\x7f",
    ],
)
def test_what_acts_on_a_terminal_never_reaches_it(reply, evil):
    """Escape sequences, bells, carriage returns, bidi overrides: whole or in pieces, harmless."""
    glass, stream = reply(20, 6)
    with stream:
        stream.write("safe ")
        before = len(glass.sent)
        for piece in [evil, *evil]:
            stream.write(piece)
        sent = glass.sent[before:]
        assert glass.rows[0].startswith("safe")
    own = r"\x1b\[[0-9;]*[mADHJK]|\x1b\[\?7[hl]|\x1b[78]|\r?\n|\r(?=safe)"
    assert not re.search(
        "[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", re.sub(own, "", sent)
    )


@pytest.mark.parametrize(
    "text",
    [
        "Smile 🙂 👩‍💻 👨‍👩‍👧‍👦 ❤️ 🇰🇿 end",
        "Мен қазақша сөйлеймін, әрине: ғұмыр өңір ұлы һәм",
        "今天天气很好，我们去公园吧。",
        "e\u0301 a\u0308\u0323 n\u0303 हिन्दी ไทย",
        "안녕하세요 여러분",
        "\u0301alone",
    ],
)
def test_tokens_of_single_bytes_come_out_as_whole_characters(reply, text):
    """A model that spells every character byte by byte: no replacement character is ever seen."""
    tokenizer = make_tokenizer("bpe", ["abc"], 260)
    glass, stream = reply(24, 8)
    decoder = TextStream(tokenizer, ())
    ids = tokenizer.encode(text)
    assert len(ids) >= len(text.encode()) // 2
    with stream:
        for token in ids:
            stream.write(decoder.push(token))
            assert "\ufffd" not in glass.sent
    assert solid(glass.text, marks=True) == solid(text, marks=True).lstrip("\u0301")
    assert all(char in glass.sent for char in text)


def test_the_reply_has_its_own_colour_and_none_without_colours(reply):
    """The theme's `reply` colours the text, not what follows; NO_COLOR sends no colour at all."""
    for depth, wanted in ((ColorDepth.DEPTH_24_BIT, "aabbcc"), (ColorDepth.DEPTH_1_BIT, "default")):
        glass, stream = reply(20, 6, depth=depth)
        with stream:
            stream.write("hello")
            stream.refresh()
            stream.write(" you")
        assert {glass.buffer[0][x].fg for x in range(9)} == {wanted}
        assert ("38;2" in glass.sent) == (wanted != "default")


def test_an_error_in_the_reply_gives_the_screen_back(reply):
    """Whatever happens, no figures and no colour stay behind, and what was said does."""
    glass, stream = reply(20, 6)
    with pytest.raises(RuntimeError), stream:
        stream.write("half a sent")
        raise RuntimeError
    assert glass.text == "half a sent"
    assert (glass.cursor.x, glass.cursor.y, glass.cursor.attrs.fg) == (0, 1, "default")


def test_text_is_sent_together_only_when_it_comes_too_fast_to_be_seen(reply, monkeypatch):
    """What comes slowly is sent at once; a burst goes out together, or with `refresh`."""
    glass, stream = reply(80, 6, status=False)
    now = [100.0]
    monkeypatch.setattr(stream_module, "_TOGETHER", 0.005)
    monkeypatch.setattr(stream_module, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    seen = []
    with stream:
        for passed, piece in (
            (1, "a"),
            (0.01, "b"),
            (0.001, "c"),
            (0.001, "d"),
            (0.004, "e"),
            (0.001, "f"),
        ):
            now[0] += passed
            stream.write(piece)
            seen.append(glass.text)
        stream.refresh()
        seen.append(glass.text)
    assert seen == ["a", "ab", "abc"[:2], "ab", "abcde", "abcde", "abcdef"]


def test_the_line_fits_any_window_and_keeps_what_matters_most():
    """Full words where there is room, short ones, then the context before anything else."""
    facts = Facts("shakespeare", 0.85, 0, 0.034, 1234.5, 950, 1024)
    text = {columns: "".join(text for _, text in fit(facts, columns)) for columns in range(1, 120)}
    assert text[119] == (
        " shakespeare  temperature 0.85  top_k all  first token 0.03 s"
        "  1,234 tokens/s  context 950/1024"
    )
    assert "temp 0.85" in text[80] and "1,234 tok/s" in text[80] and "0.03 s" in text[80]
    assert text[40].endswith("temp 0.85  950/1024") and "shakespeare" in text[40]
    assert all(wcswidth(line) <= columns for columns, line in text.items())
    assert ("class:bottom-toolbar.value class:warning", "950/1024") in fit(facts, 119)
    assert fit(Facts("m", 0.5, 7, note="paused"), 60)[-1] == ("class:bottom-toolbar.name", "paused")


def test_the_pace_leaves_a_pause_out(monkeypatch):
    """Tokens a second count from the first token on, without the time nothing was asked for."""
    from tuillm.chat.terminal import status_line as status

    now = [0.0]
    monkeypatch.setattr(status, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    pace = Pace()
    assert pace.first is None and pace.per_second is None
    for moment in (2.0, 2.5, 3.0):
        now[0] = moment
        pace.token()
    now[0] = 63.0
    pace.went_on()
    now[0] = 63.5
    pace.token()
    assert (pace.first, pace.per_second) == (2.0, 2.0)


def test_the_plain_alphabets_are_plain():
    """What takes the short way through the wrapping takes one cell each and joins nothing."""
    from tuillm.chat.terminal.wrap import _PLAIN

    plain = [chr(code) for code in range(0x30000) if _PLAIN.fullmatch(chr(code))]
    assert len(plain) > 1000 and all(wcwidth(char) == 1 for char in plain)
    assert not {unicodedata.category(char) for char in plain if char != " "} & {
        "Cc",
        "Cf",
        "Mn",
        "Mc",
        "Me",
        "Zs",
        "Zl",
        "Zp",
    }


def test_a_reading_that_ends_in_an_error_is_not_shown_on():
    """The line below tells no progress of it, and what is read later is not the reply's."""
    facts = Facts("model", 0.8, 0)
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        screen = Screen()
        screen.input = keys

        def tokens():
            done = 0
            while not screen.reading:  # it is said only once it takes long
                screen.show_reading(done := done + 1, 10**9)
            raise MemoryError
            yield

        with pytest.raises(MemoryError):
            screen.stream(tokens(), SamplingConfig(), lambda: facts, lambda change: None)
        assert not screen.reading
        keys.send_text("\x03")
        screen.show_reading(1, 10**9)  # a Ctrl-C now is not for the reply that ended

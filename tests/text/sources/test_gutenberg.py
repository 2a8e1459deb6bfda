"""Project Gutenberg's header and footer are cut, and nothing of any other text."""

import time

import pytest

from tuillm.text.sources.gutenberg import cut_boilerplate

BOOK = "CHAPTER I.\n\nCall me Ishmael. Some years ago, never mind how long precisely.\n" * 40
LICENCE = (
    "\n\nUpdated editions will replace the previous one.\n\nSTART: FULL LICENSE\n"
    "THE FULL PROJECT GUTENBERG LICENSE\n" + "Please read this before you distribute.\n" * 300
)
HEADER = (
    "The Project Gutenberg eBook of Moby-Dick; or The Whale, by Herman Melville\n\n"
    "This ebook is for the use of anyone anywhere in the United States.\n\nTitle: Moby-Dick\n\n"
)
SMALL_PRINT = (
    "***The Project Gutenberg Etext of Moby Dick, by Herman Melville***\n\n"
    "***START**THE SMALL PRINT!**FOR PUBLIC DOMAIN ETEXTS**START***\n"
    'Why is this "Small Print!" statement here?\n' * 100
)
FORMS = {
    "today": (
        HEADER + "*** START OF THE PROJECT GUTENBERG EBOOK MOBY-DICK; OR, THE WHALE ***\n\n\n",
        "*** END OF THE PROJECT GUTENBERG EBOOK MOBY-DICK; OR, THE WHALE ***" + LICENCE,
    ),
    "this": (
        HEADER + "***START OF THIS PROJECT GUTENBERG EBOOK MOBY-DICK***\n\n",
        "End of Project Gutenberg's Moby-Dick, by Herman Melville\n\n"
        "*** END OF THIS PROJECT GUTENBERG EBOOK MOBY-DICK ***" + LICENCE,
    ),
    "a title over two lines": (
        HEADER + "*** START OF THE PROJECT GUTENBERG EBOOK MOBY-DICK;\nOR, THE WHALE ***\n\n",
        "*** END OF THE PROJECT GUTENBERG EBOOK MOBY-DICK;\nOR, THE WHALE ***\n" + LICENCE,
    ),
    "small print": (
        SMALL_PRINT + "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*\n\n\n",
        "End of The Project Gutenberg Etext of Moby Dick, by Herman Melville\n",
    ),
    "later small print": (
        SMALL_PRINT + "*END THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.02/11/02*END*\n\n",
        "End of the Project Gutenberg EBook of Moby Dick\n\n",
    ),
    "small print at the end": (
        HEADER + "*** START OF THE PROJECT GUTENBERG ETEXT MOBY DICK ***\n",
        "End of this Project Gutenberg Etext\n\n"
        + SMALL_PRINT
        + "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*\n",
    ),
    "copyrighted": (
        HEADER + "*** START OF THE COPYRIGHTED PROJECT GUTENBERG EBOOK X ***\n",
        "*** END OF THE COPYRIGHTED PROJECT GUTENBERG EBOOK X ***" + LICENCE,
    ),
    "only a header": (HEADER + "*** START OF THE PROJECT GUTENBERG EBOOK MOBY-DICK ***\n", ""),
    "only a footer": ("", "*** END OF THE PROJECT GUTENBERG EBOOK MOBY-DICK ***" + LICENCE),
    "the mark alone": ("*** START OF THE PROJECT GUTENBERG EBOOK MOBY-DICK ***\n", ""),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_book_remains(form):
    """Of each form of header and footer nothing is left, and nothing of the book is lost."""
    before, behind = FORMS[form]
    text, note = cut_boilerplate(before + BOOK + "\n\n" + behind)
    assert text == BOOK
    assert note.startswith("Project Gutenberg's ") and note.endswith("left out")
    assert ("header" in note, "footer" in note) == (bool(before), bool(behind))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        BOOK,
        BOOK + "It was on Project Gutenberg.\nEnd of Project Gutenberg's hour.\n" + BOOK,
        "Files open with a line such as\n*** START OF THE PROJECT GUTENBERG EBOOK X ***\n" + BOOK,
        BOOK * 40 + "*** START OF THE PROJECT GUTENBERG EBOOK X ***\n" + BOOK * 40,
        BOOK * 40 + "*** END OF THE PROJECT GUTENBERG EBOOK X ***\n" + BOOK * 40,
        BOOK + SMALL_PRINT[:300] + "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*END*\n",
        "He shouted *** START OF THE PROJECT GUTENBERG EBOOK X *** and left.\n" + BOOK,
        HEADER + "*** START OF THE PROJECT GUTENBERG EBOOK X ***\n\n\n",
    ],
    ids=["nothing", "a line", "a book", "named", "quoted", "far in", "far out", "at the end",
         "in a line", "no book"],
)  # fmt: skip
def test_what_only_mentions_it_is_left_alone(text):
    """A book about Gutenberg, or one that quotes the marks, comes back as it is."""
    assert cut_boilerplate(text) == (text, "")


def test_several_books_in_one_file_are_told():
    """The outer header and footer go; that there are more is said."""
    before, behind = FORMS["today"]
    one = before + BOOK + behind
    text, note = cut_boilerplate(one * 2)
    assert text.startswith("CHAPTER I.") and text.count("START OF THE PROJECT") == 1
    assert "1 more like it" in note


@pytest.mark.parametrize(
    "line",
    [
        "*** START OF THE PROJECT GUTENBERG EBOOK ",
        "*** START OF THE PROJECT GUTENBERG EBOOK \n",
        "End of Project Gutenberg\n",
        "End of the Project Gutenberg-" + "x" * 30,
        "*** END OF THE PROJECT GUTENBERG EBOOK *\n",
        " ",
        "*",
        "*END" + " " * 30,
        "Project  Gutenberg\n",
    ],
)
def test_hostile_lines_cost_no_more_than_their_length(line):
    """Ten times the text takes about ten times as long, whatever stands in it."""

    def seconds(length):
        text = HEADER + line * (length // len(line))
        began = time.perf_counter()
        cut_boilerplate(text)
        return time.perf_counter() - began

    seconds(1_000)
    assert seconds(4_000_000) < 20 * seconds(400_000) + 1.0

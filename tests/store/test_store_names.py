"""Which names may be used, and which are made from files and addresses."""

import pytest

from tuillm.errors import UsageError
from tuillm.store.entry_names import check_name, name_from


@pytest.mark.parametrize("name", ["a", "7", "moby-dick", "A.b_c-9", "gpt2-xl", "x" * 64, "v1.0"])
def test_a_fitting_name_is_returned_as_it_is(name):
    """Letters, digits, '.', '_' and '-' up to 64 make a name."""
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        ".hidden",
        "-rf",
        "_x",
        "a b",
        "a/b",
        "../a",
        "a\\b",
        "a\n",
        "книга",
        "é",
        "x" * 65,
        "a\0",
    ],
)
def test_an_unfit_name_is_refused_with_the_rule(name):
    """A name that could hide, climb out of the folder or confuse a shell is a usage error."""
    with pytest.raises(UsageError, match="cannot be a name") as caught:
        check_name(name)
    assert repr(name) in caught.value.message
    assert "at most 64" in caught.value.hint


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("book.txt", "book"),
        ("/home/me/My Book.txt", "My-Book"),
        ("a  b -- c.txt", "a-b----c"),
        ("Émile à l'école.txt", "Emile-a-l-ecole"),
        ("Война и мир.txt", "book"),
        ("Қара сөздер 2.txt", "2"),
        ("白鲸.txt", "book"),
        ("", "book"),
        ("...", "book"),
        ("--help.txt", "help"),
        ("x" * 100 + ".txt", "x" * 64),
        ("archive.tar.gz", "archive.tar"),
        ("https://example.org/texts/moby.txt", "moby"),
        ("https://example.org/texts/moby.txt?download=1", "moby"),
        ("https://example.org/books/", "books"),
        ("https://example.org/War%20and%20Peace.txt", "War-and-Peace"),
        ("https://example.org/%D0%92%D0%BE%D0%B9%D0%BD%D0%B0.txt", "book"),
    ],
)
def test_a_name_is_made_from_a_path_or_address(source, name):
    """The stem becomes a name; what does not fit falls away, and something always remains."""
    assert name_from(source) == name
    assert check_name(name) == name

"""Normal forms are Python's own, also of a letter with more marks than anybody's patience has."""

import random
import time
import unicodedata

import pytest

from tuillm.text.normalization import normalized

MARKS = [chr(code) for code in range(0x300, 0x20000) if unicodedata.combining(chr(code))]
SIGNS = [*MARKS, *"\uff9e\uff9f\u093f\u0344\ufdfaaéあカﾊ각"]


@pytest.mark.parametrize("form", ["NFC", "NFKC"])
def test_the_form_is_that_of_python(form):
    """Of texts of random marks and letters, with short and long runs."""
    rng = random.Random(4)
    for size in [20, 100, 300] * 60:
        text = "".join(rng.choices(rng.choice((SIGNS, MARKS, SIGNS[-12:])), k=size)) + "e\u0301"
        assert normalized(text, form) == unicodedata.normalize(form, text)


@pytest.mark.parametrize("marks, form", [("\u0301\u0316", "NFC"), ("\uff9e\u0301", "NFKC")])
def test_a_hundred_thousand_marks_take_no_time(marks, form):
    """In the wrong order, which takes Python the square of their number."""
    begin = time.process_time()
    assert len(normalized("a" + marks * 100_000, form)) >= 199_999
    assert time.process_time() - begin < 5

"""Nasty texts of letters: runs without an end, blanks, marks on marks, every sign there is.

Each function writes an input into an empty folder, by a random generator, and returns its path.
"""

import unicodedata

from text.nasty.byte_kinds import MB, prose, put, scattered

KAZAKH = "абвгғдеёжзийкқлмнңоөпрстуұүфхһцчшщъыіьэюя"


def only_line_ends(folder, rng):
    return put(
        folder, rng, rng.choice(("\n", "\r\n", "\r", "\u2028", "\x85")) * rng.choice((2, 5_000, MB))
    )


def only_blanks(folder, rng):
    blank = rng.choice((" ", "\t", "\u3000", "\xa0", "\u200b", " \n", "\u2003"))
    return put(folder, rng, blank * rng.choice((3, 70_000, 2 * MB)))


def blanks_between(folder, rng):
    """A text with very long runs of blanks in it."""
    runs = [rng.choice(" \t\n\u3000") * rng.choice((900, 70_000, 2 * MB)) for _ in range(3)]
    text = prose(rng, 12_000)
    return put(
        folder, rng, text + f"x{runs[0]}y{runs[1]}" + text + runs[2] + rng.choice(("", "end"))
    )


def line_of_10_mb(folder, rng):
    letters = rng.choice(("abcdefgh ", "ACGT", "0123456789", "x y"))
    return put(folder, rng, "".join(rng.choices(letters, k=10 * MB)))


def one_letter_4_mb(folder, rng):
    return put(folder, rng, rng.choice("aЖ1-白")[0] * (4 * MB))


def word_of_5_mb(folder, rng):
    return put(folder, rng, "".join(rng.choices(KAZAKH, k=5 * MB // 2)))


def signs_by_turns(folder, rng):
    """Runs that one library takes for many short ones, and another for a single long one."""
    pair = rng.choice(
        ("½1", "Ⅷ9", "\x1c!", "\x1f.", "a\u0345", "²3", "٣½", "\u200b-", "_!", "\U00031350a")
    )
    return put(folder, rng, prose(rng, 70_000) + pair * rng.choice((5_000, 400_000)))


def zalgo(folder, rng):
    marks = [chr(code) for code in range(0x300, 0x370)]
    runs = ["".join(rng.choices(marks, k=rng.choice((3, 90, 4_000)))) for _ in range(20)]
    text = scattered(rng, prose(rng, 20_000), runs, 0.01)
    return put(folder, rng, text + "a" + "\u0301\u0316" * rng.choice((1, 200_000)))


def emoji_sequences(folder, rng):
    parts = [
        "👩‍👩‍👧‍👦",
        "🏴\U000e0067\U000e0062\U000e007f",
        "👍🏽",
        "🇰🇿",
        "\u200d",
        "\ufe0f",
        "1️⃣",
        "\U0001f3fb",
    ]
    return put(folder, rng, "".join(rng.choices(parts, k=30_000)))


def all_of_unicode(folder, rng):
    codes = list(range(1, 0xD800)) + list(range(0xE000, 0x110000))
    text = "".join(map(chr, rng.sample(codes, k=rng.choice((3_000, 90_000, len(codes))))))
    return put(folder, rng, prose(rng, 9_000) + text)


def not_assigned(folder, rng):
    """Stand-ins of our own: code points for private use, and marks between documents."""
    things = [chr(code) for code in range(0x10FF00, 0x10FF08)]
    things += ["\x1d\x1e<|end of document|>\x1e\x1d", "\ufffe", "\U0010ffff", "\udfff"]
    return put(folder, rng, scattered(rng, prose(rng, 20_000), things, 0.005))


def grows_when_normalized(folder, rng):
    return put(folder, rng, rng.choice("\ufdfa\u0390\ufb2c") * rng.choice((4_000, MB)))


def a_million_lines(folder, rng):
    line = rng.choice(("a\n", "\n\nb", "x\r\n", " \n\n", "ж\n"))
    return put(folder, rng, line * (MB if len(line) == 2 else MB // 2))


def decomposed(folder, rng):
    form = rng.choice(("NFD", "NFKD"))
    return put(folder, rng, unicodedata.normalize(form, prose(rng, 30_000) + "각힣" * 9_000))


KINDS = {
    make: many
    for many, makers in (
        (2, (line_of_10_mb, one_letter_4_mb, word_of_5_mb)),
        (
            4,
            (
                *(only_line_ends, blanks_between, signs_by_turns, all_of_unicode, a_million_lines),
                *(decomposed, emoji_sequences),
            ),
        ),
        (6, (only_blanks, zalgo, not_assigned, grows_when_normalized)),
    )
    for make in makers
}

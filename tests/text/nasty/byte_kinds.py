"""Nasty files of bytes and characters: what is no text, half a text, or a text that nobody writes.

Each function writes an input into an empty folder, by a random generator, and returns its path.
"""

import base64
import codecs
import random

MB = 1 << 20
WORDS = "the whale and the sea Бір кітап сөз 白鲸 été naïve — “quoted” 42 1851 🐋 don't".split()
MARKS = (
    codecs.BOM_UTF8,
    codecs.BOM_UTF16_LE,
    codecs.BOM_UTF16_BE,
    codecs.BOM_UTF32_LE,
    codecs.BOM_UTF32_BE,
    b"\x2b\x2f\x76\x38",
    b"\xf7\x64\x4c",
    b"\x0e\xfe\xff",
)
CODECS = (
    "utf-8 utf-16-le utf-16-be utf-32-le cp1251 koi8-r cp866 cp1252 shift_jis gb18030 euc-kr "
    "iso2022_jp utf-7 mac_cyrillic cp037"
).split()
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|user|>", "<|assistant|>", "<0x0A>", "</s>", "[MASK]")


def prose(rng, size):
    """A text of about so many characters."""
    return "".join(
        rng.choice(WORDS) + rng.choice((" ", " ", " ", ", ", ".\n")) for _ in range(size // 6 + 1)
    )


def put(folder, rng, content, name=""):
    """Write a file of bytes or text; return its path."""
    name = name or rng.choice(("book.txt", "book.txt", "notes.md", "NAMELESS", "a b.text"))
    path = folder / name
    path.write_bytes(
        content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    )
    return path


def scattered(rng, text, things, share=0.02):
    """A text with things put in at random places."""
    parts = [text]
    if text:
        cuts = sorted(rng.randrange(len(text)) for _ in range(max(int(len(text) * share), 1)))
        parts, at = [], 0
        for cut in cuts:
            parts += [text[at:cut], rng.choice(things)]
            at = cut
        parts.append(text[at:])
    return type(text)().join(parts)


def flipped(rng, content, share=0.001):
    """Bytes of which some are others."""
    changed = bytearray(content)
    for _ in range(max(int(len(changed) * share), 1) if changed else 0):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def cut(rng, content):
    """The beginning of some bytes."""
    return content[: rng.randrange(len(content) + 1)]


def random_bytes(folder, rng):
    return put(folder, rng, rng.randbytes(rng.choice((1, 2, 3, 17, 600, 9_000, 200_000))))


def few_values(folder, rng):
    """Bytes of a handful of values, which look like an encoding now and then."""
    values = rng.randbytes(rng.randint(2, 9))
    return put(folder, rng, bytes(rng.choices(values, k=rng.choice((5, 900, 70_000)))))


def lone_surrogates(folder, rng):
    halves = [chr(rng.randrange(0xD800, 0xE000)) for _ in range(20)]
    return put(folder, rng, scattered(rng, prose(rng, 20_000), halves, rng.choice((0.0001, 0.3))))


def cesu(folder, rng):
    """Emoji as two halves of three bytes each, as Java and old databases write them."""
    whale = "\ud83d\udc0b"
    return put(folder, rng, scattered(rng, prose(rng, 15_000), [whale, "\ud83d"], 0.05))


def utf16_halves(folder, rng):
    text = scattered(rng, prose(rng, 9_000), ["\ud800", "\udc00", "\udfff"], 0.01)
    content = text.encode(rng.choice(("utf-16-le", "utf-16-be")), "surrogatepass")
    return put(folder, rng, rng.choice((b"", *MARKS[1:3])) + content[: -rng.randrange(1, 4)])


def wide_without_mark(folder, rng):
    return put(folder, rng, prose(rng, 9_000).encode(rng.choice(("utf-16-be", "utf-32-le"))))


def nuls(folder, rng):
    share = rng.choice((0.0001, 0.01, 0.5))
    text = scattered(rng, prose(rng, 20_000), ["\0"], share)
    return put(folder, rng, rng.choice((text, text + "\0" * 5_000, "\0" * 9_000)))


def mark_first(folder, rng):
    mark = rng.choice(MARKS)
    texts = (b"", b"x", prose(rng, 9_000).encode(rng.choice(CODECS[:4])), mark * 3 + b"book", mark)
    return put(folder, rng, mark + rng.choice(texts))


def mark_inside(folder, rng):
    return put(folder, rng, scattered(rng, prose(rng, 9_000).encode(), list(MARKS[:5]), 0.001))


def mixed_encodings(folder, rng):
    parts = [prose(rng, 3_000).encode(rng.choice(CODECS), "replace") for _ in range(4)]
    return put(folder, rng, b"".join(parts))


def folder_of_encodings(folder, rng):
    for number, codec in enumerate(rng.sample(CODECS, 7)):
        put(folder, rng, prose(rng, 4_000).encode(codec, "replace"), f"{number}.txt")
    return folder


def legacy_and_short(folder, rng):
    return put(
        folder, rng, prose(rng, rng.choice((5, 60, 400))).encode(rng.choice(CODECS), "ignore")
    )


def broken_utf8(folder, rng):
    bad = [
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xf8\x88\x80\x80\x80",
        b"\xff",
        b"\xf4\x90\x80\x80",
        b"\xe2\x82",
    ]
    return put(
        folder,
        rng,
        scattered(rng, prose(rng, 20_000).encode(), bad, rng.choice((0.00005, 0.02, 0.4))),
    )


def japanese_escapes(folder, rng):
    escapes = [b"\x1b$B", b"\x1b(B", b"\x1b$@", b"\x1b$)C", b"\x0e", b"\x0f", b"\x1b"]
    return put(
        folder, rng, scattered(rng, prose(rng, 9_000).encode("ascii", "ignore"), escapes, 0.01)
    )


def terminal_escapes(folder, rng):
    escapes = [
        "\x1b[31m",
        "\x1b]52;c;QQ==\x07",
        "\x9b2J",
        "\x90q\x9c",
        "\x07",
        "\x08",
        "\x1b",
        "\x7f",
        "\x0c",
    ]
    return put(
        folder, rng, scattered(rng, prose(rng, 20_000), escapes, rng.choice((0.001, 0.02, 0.2)))
    )


def control_characters(folder, rng):
    controls = [chr(code) for code in (*range(1, 32), *range(0x7F, 0xA0))]
    text = prose(rng, 70_000) + scattered(rng, prose(rng, 30_000), controls, 0.3)
    return put(folder, rng, text)


def empty(folder, rng):
    return put(folder, rng, b"")


def one_character(folder, rng):
    return put(
        folder, rng, rng.choice("aж白🐋\u0301\ufeff\n \0\ud800\u200d") * rng.choice((1, 1, 2, 3))
    )


def two_letters(folder, rng):
    return put(
        folder, rng, rng.choice(("ab", "a\n", "\nab\n", "жж", "🐋🐋", "a\u0301", "\r\n\r\n", "a b"))
    )


def odd_line_ends(folder, rng):
    ends = ["\r", "\r\n", "\n\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\r\r\n"]
    return put(folder, rng, scattered(rng, prose(rng, 20_000), ends, 0.05))


def special_names(folder, rng):
    share = rng.choice((0.001, 0.1))
    return put(folder, rng, scattered(rng, prose(rng, 20_000), list(SPECIAL), share))


def only_special_names(folder, rng):
    return put(folder, rng, "".join(rng.choices(SPECIAL, k=rng.choice((1, 40, 4_000)))))


def one_sign_repeated(folder, rng):
    """Signs that begin what a parser would look for the end of."""
    signs = (
        "<",
        "&",
        "{",
        "[",
        '"',
        "<!--",
        "<?xml ",
        "<svg",
        "\\u",
        "<!doctype ",
        "(",
        "'",
        '{"a":',
        "--",
    )
    return put(folder, rng, rng.choice(signs) * rng.choice((50, 20_000, 300_000)))


def gutenberg_marks(folder, rng):
    marks = [
        "\n*** START OF THE PROJECT GUTENBERG EBOOK X ***\n",
        "\n*** END OF THE PROJECT GUTENBERG EBOOK X ***\nFULL LICENSE gutenberg.org",
        "\n*END*THE SMALL PRINT! x\n",
        "\nEnd of Project Gutenberg's X\n",
        "\n*** START OF THIS PROJECT GUTENBERG" + " x\n" * 90,
    ]
    return put(folder, rng, scattered(rng, prose(rng, 20_000), marks, rng.choice((0.0001, 0.05))))


def looks_encoded(folder, rng):
    raw = rng.randbytes(20_000)
    made = (
        base64.encodebytes(raw),
        base64.b64encode(raw),
        "".join(f"\\x{byte:02x}" for byte in raw).encode(),
        "".join(f"%{byte:02X}" for byte in raw).encode(),
        "".join(f"&#{byte};" for byte in raw).encode(),
        raw.hex().encode(),
    )
    return put(folder, rng, rng.choice(made))


def false_magic(folder, rng):
    """The first bytes of a format, and behind them something else."""
    magic = rng.choice(
        (
            *(
                b"\x1f\x8b\x08",
                b"BZh91AY&SY",
                b"\xfd7zXZ\0",
                b"\x28\xb5\x2f\xfd",
                b"PK\3\4",
                b"PK\5\6",
            ),
            *(b"%PDF-1.7\n", b"PAR1", b"\xd0\xcf\x11\xe0", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07"),
            *(b"\x89PNG\r\n", b"SQLite format 3\0", b"{\\rtf1", b"%!PS", b"BZh", b"GIF8", b"MZ"),
            *(
                b"version https://git-lfs.github.com/spec/v1\n",
                b"HTTP/1.1 200 OK\n",
                b"\x50\x2a\x4d\x18",
            ),
        )
    )
    suffix = rng.choice(
        (".txt", ".pdf", ".zip", ".gz", ".epub", ".docx", ".parquet", ".json", ".csv", ".html")
    )
    rest = rng.choice((b"", b"\0" * 600, rng.randbytes(3_000), prose(rng, 9_000).encode()))
    return put(folder, rng, magic + rest, f"book{suffix}")


def wrong_suffix(folder, rng):
    suffix = rng.choice(
        (
            ".pdf .zip .gz .epub .docx .parquet .json .jsonl .csv .tsv .html .tar .xz .tar.gz "
            ".bin .svg"
        ).split()
    )
    return put(folder, rng, prose(rng, rng.choice((3, 12_000))), f"book{suffix}")


def right_to_left(folder, rng):
    marks = ["\u202e", "\u202d", "\u2066", "\u2069", "\u200f", "\u061c", "שלום", "مرحبا"]
    return put(folder, rng, scattered(rng, prose(rng, 20_000), marks, 0.05))


KINDS = {
    make: many
    for many, makers in (
        (4, (empty, cesu, folder_of_encodings, right_to_left)),
        (
            6,
            (
                *(random_bytes, few_values, lone_surrogates, utf16_halves, wide_without_mark, nuls),
                *(mark_first, mark_inside, mixed_encodings, legacy_and_short, broken_utf8),
                *(japanese_escapes, terminal_escapes, control_characters, one_character),
                *(two_letters, odd_line_ends, special_names, only_special_names),
                *(one_sign_repeated, gutenberg_marks, looks_encoded, false_magic, wrong_suffix),
            ),
        ),
    )
    for make in makers
}


def seeded(kind, number):
    """The random generator of one input."""
    return random.Random(f"{kind} {number}")

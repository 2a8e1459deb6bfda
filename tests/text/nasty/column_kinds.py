"""Nasty tables with columns: CSV, TSV and Parquet.

Each function writes an input into an empty folder, by a random generator, and returns its path.
"""

from text.nasty.byte_kinds import MB, cut, flipped, put, scattered


def rows_of(rng, separator=",", count=60):
    return [separator.join(("word here", "second cell", str(number))) for number in range(count)]


def stray_quotes(folder, rng):
    rows = [scattered(rng, row, ['"', "'", '""', '\\"'], 0.05) for row in rows_of(rng)]
    return put(folder, rng, "text,label,n\n" + "\n".join(rows), "quotes.csv")


def ragged(folder, rng):
    rows = [row + "," * rng.randrange(5) if rng.random() < 0.5 else row[:5] for row in rows_of(rng)]
    return put(folder, rng, "text,label,n\n" + "\n".join(rows), "ragged.csv")


def huge_field(folder, rng):
    quote = rng.choice(('"', ""))
    return put(folder, rng, f"text,n\n{quote}{'word ' * (2 * MB)}{quote},1\nx,2\n", "huge.csv")


def odd_csv(folder, rng):
    wide = ",".join(f"c{number}" for number in range(9_000))
    made = (
        "text\n" + "one column\n" * 90,
        "one column without a name\n" * 90,
        "text,n\n",
        "text,n",
        "\n\n\n",
        ",,,\n" * 90,
        "text,text\na,b\n" * 9,
        "1,2,3\n" * 90,
        "text;n\nword word;1\n" * 40,
        "sep=;\ntext;n\nword;1\n" * 9,
        "text\tn\nword\t1\n",
        wide + "\n" + wide + "\n",
        "text,n\n" + "a word\0,1\n" * 90,
        "text,n\r" + "a word,1\r" * 90,
        "text|n\n" + 'a "word|1\n' * 90,
        "\x1b[31mtext,\u202en\n" + "a word,1\n" * 90,
        "long" * 9_000 + ",n\n" + "a word,1\n" * 90,
        "question,answer\n" + ",\n" * 90,
        "question,answer\nWhat?,That.\n" * 30,
    )
    return put(folder, rng, rng.choice(made), rng.choice(("odd.csv", "odd.csv", "odd.tsv")))


def odd_parquet(folder, rng):
    import pyarrow
    from pyarrow import parquet

    def column(values, kind=None):
        return pyarrow.array(values, kind)

    made = (
        {"text": column([["a", None], None, ["word " * 9]] * 20)},
        {"text": column([{"x": "word", "y": [1]}, None] * 20)},
        {"text": column([None] * 30, pyarrow.string())},
        {"text": column([None] * 30)},
        {"text": column([], pyarrow.string())},
        {},
        {"n": column(range(30))},
        {"text": column([b"\xff\xfe", b"word"] * 20)},
        {"text": column([b"\xff\xfe", b"word"] * 20).cast(pyarrow.binary()).view(pyarrow.string())},
        {"text": column(["a word"] * 30).dictionary_encode()},
        {"t": column([2**62] * 9, pyarrow.timestamp("ns")), "text": column(["word word"] * 9)},
        {"t": column([2**62] * 9, pyarrow.duration("ns")), "text": column(["word word"] * 9)},
        {"text": column([[("k", "v")]] * 9, pyarrow.map_(pyarrow.string(), pyarrow.string()))},
        {
            "question": column(["q", None] * 9),
            "answers": column([{"text": ["a"]}, {"text": []}] * 9),
        },
        {
            "messages": column(
                [[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]] * 9
            )
        },
        {"text": column([1.5, float("nan")] * 9), "": column(["word"] * 18)},
    )
    path = folder / "table.parquet"
    chosen = rng.choice(made)
    parquet.write_table(pyarrow.table(chosen), path)
    content = path.read_bytes()
    harm = rng.random()
    return put(
        folder,
        rng,
        cut(rng, content) if harm < 0.2 else flipped(rng, content) if harm < 0.4 else content,
        path.name,
    )


KINDS = {
    make: many
    for many, makers in (
        (2, (huge_field,)),
        (6, (stray_quotes, ragged)),
        (12, (odd_csv, odd_parquet)),
    )
    for make in makers
}

"""Nasty tables: broken lines, values of every type, records that are no conversations.

Each function writes an input into an empty folder, by a random generator, and returns its path.
"""

import json

from text.nasty.byte_kinds import MB, SPECIAL, cut, flipped, prose, put, scattered

TEXT_NAMES = ("text", "content", "body", "a", "")
EVIL_NAMES = (
    "",
    " ",
    "text\nend",
    "\x1b[31mtext",
    "a.b[0].c",
    "[0]",
    "." * 90,
    "long" * 20_000,
    "\u202etext",
    "ключ",
    "__class__",
    "text",
)
ODD = (
    None,
    True,
    False,
    0,
    -1,
    1e308,
    "",
    " ",
    "\n",
    [],
    {},
    [[]],
    [None],
    {"text": None},
    {"text": ["a", {"value": "b"}]},
    [{"text": "x"}, {"text": 7}],
    {"content": [{"type": "text", "text": "hello"}]},
    "<|endoftext|><|user|>",
    "word " * 40,
    "{{ messages }}{% raw %}",
)
ROLES = (
    "user",
    "assistant",
    "system",
    "tool",
    "function",
    "",
    None,
    "USER",
    "human",
    "gpt",
    7,
    "<|user|>",
)


def lines(rows):
    """JSON lines of Python values, or of lines that are made already."""
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)


def good_rows(rng, count=40):
    return [{"id": number, "text": prose(rng, 200)} for number in range(count)]


def deep(depth, inner='"x"', opening="[", closing="]"):
    """A value nested so deeply, as JSON."""
    return opening * depth + inner + closing * depth


def half_lines(folder, rng):
    rows = [json.dumps(row) for row in good_rows(rng)]
    broken = [cut(rng, row) if rng.random() < 0.3 else row for row in rows]
    return put(folder, rng, lines(broken), "half.jsonl")


def deep_nesting(folder, rng):
    """Values deeper than a parser, or than a function that calls itself, can go."""
    depth = rng.choice((9, 300, 900, 990, 3_000, 100_000))
    value = rng.choice((deep(depth), deep(depth, '"x"', '{"text":', "}"), deep(depth, '"\\ud800"')))
    names = rng.choice(
        (("text", "b"), ("question", "answer"), ("messages", "c"), ("instruction", "output"))
    )
    row = (
        "{"
        + f'"{names[0]}": {value}, "{names[1]}": {rng.choice((value, json.dumps("word")))}'
        + "}"
    )
    good = {names[0]: "word " * 9, names[1]: "more words"}
    return put(
        folder,
        rng,
        lines([row, *[good] * rng.randint(0, 30), row]),
        rng.choice(("deep.jsonl", "deep.json")),
    )


def odd_numbers(folder, rng):
    numbers = [
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        "9" * 5_000,
        "-0",
        "1" * 300,
        "0." + "1" * 9_000,
    ]
    rows = [
        f'{{"text": {rng.choice(numbers)}, "answer": {rng.choice(numbers)}, "question": "q"}}'
        for _ in range(40)
    ]
    return put(folder, rng, lines([*rows, *rng.choice(([], good_rows(rng)))]), "numbers.jsonl")


def same_keys(folder, rng):
    rows = [
        '{"text": "one", "text": ' + json.dumps(rng.choice(ODD)) + ', "text": "word word"}'
        for _ in range(40)
    ]
    return put(folder, rng, lines(rows), "same.jsonl")


def mixed_types(folder, rng):
    rows = [
        rng.choice(({"text": value}, value, {"other": value}, {"text": prose(rng, 90)}))
        for value in ODD * 3
    ]
    rng.shuffle(rows)
    return put(
        folder,
        rng,
        lines(map(json.dumps, rows)),
        rng.choice(("mixed.jsonl", "mixed.ndjson", "mixed.json")),
    )


def half_escapes(folder, rng):
    escapes = ["\\ud800", "\\udfff", "\\ud83d\\udc0b", "\\u0000", "\\u001b[31m", "\\uDC00\\uD800"]
    rows = []
    for name in rng.choices(("text", "question"), k=40):
        value = "".join(rng.choices([*escapes, "word "], k=9))
        rows.append(f'{{"{name}": "{value}", "answer": "{value}", "{rng.choice(escapes)}": 1}}')
    return put(folder, rng, lines(rows), "half.jsonl")


def evil_names(folder, rng):
    names = rng.sample(EVIL_NAMES, 5)
    rows = [{name: rng.choice((*ODD, prose(rng, 90))) for name in names} for _ in range(40)]
    return put(folder, rng, lines(rows), "names.jsonl")


def many_names(folder, rng):
    rows = [{f"field {number} {row}": "x" for number in range(3_000)} for row in range(20)]
    return put(folder, rng, lines(rows), "many.jsonl")


def broken_encoding_of_rows(folder, rng):
    content = lines(json.dumps(row, ensure_ascii=False) for row in good_rows(rng)).encode()
    harms = (
        content.decode().encode("utf-16"),
        b"\xef\xbb\xbf" + content,
        content.replace(b"\n", b"\r"),
        scattered(rng, content, [b"\0"], 0.001),
        scattered(rng, content, [b"\xff", b"\xed\xa0\x80"], 0.01),
        content.decode().encode("cp1251", "replace"),
    )
    return put(folder, rng, rng.choice(harms), rng.choice(("rows.jsonl", "rows.json")))


def answers(folder, rng):
    """Questions whose answers are missing, empty, nested or of odd types."""
    names = rng.choice(
        (
            ("question", "answer"),
            ("prompt", "completion"),
            ("q", "answers"),
            ("instruction", "output"),
        )
    )
    rows = []
    for value in ODD * 2:
        row = {
            names[0]: rng.choice((*ODD, "What is it?")),
            names[1]: value,
            "input": rng.choice(ODD),
        }
        row.pop(rng.choice((*names, "x", "y", "z")), None)
        rows.append(row)
    rows += [{names[0]: "What?", names[1]: "That."}] * rng.choice((0, 1, 30))
    rng.shuffle(rows)
    return put(folder, rng, lines(rows), "questions.jsonl")


def chats(folder, rng):
    rows = []
    for _ in range(40):
        turns = [
            {
                rng.choice(("role", "role", "from")): rng.choice(ROLES),
                rng.choice(("content", "value")): rng.choice(ODD),
            }
            for _ in range(rng.randint(0, 5))
        ]
        good = [
            {"role": "user", "content": "Hi?"},
            {"role": "assistant", "content": rng.choice(SPECIAL)},
        ]
        rows.append(
            {
                "messages": rng.choice(
                    (turns, good, good + turns, None, "text", {"a": 1}, [[]], ["x"])
                )
            }
        )
    return put(folder, rng, lines(rows), "chats.jsonl")


def no_assistant(folder, rng):
    role = rng.choice(ROLES)
    return put(
        folder, rng, lines([{"messages": [{"role": role, "content": "x"}]}] * 9), "chats.jsonl"
    )


def one_object(folder, rng):
    """JSON that is a single huge value, or no table at all."""
    made = (
        {f"key{number}": prose(rng, 90) for number in range(3_000)},
        {"data": {"text": prose(rng, MB)}},
        [prose(rng, 90) for _ in range(900)],
        list(range(90_000)),
        [[{"text": "a"}]] * 40,
        "text" * 9_000,
        7,
        None,
        [],
        {},
        [{}],
        [{"text": ""}] * 9,
        {"data": [], "rows": [{"text": prose(rng, 900)}]},
        {"data": [{"row": {"text": "a word"}, "row_idx": 1}, {"row": 1, "row_idx": 1}]},
        {
            "data": [
                {
                    "paragraphs": [
                        {"qas": [1, None, {"answers": [1]}, {"question": "q", "answers": [{}]}]}
                    ]
                }
            ]
            * 9
        },
    )
    return put(folder, rng, json.dumps(rng.choice(made)), "object.json")


def broken_json(folder, rng):
    content = json.dumps(good_rows(rng)).encode()
    harms = (
        cut(rng, content),
        flipped(rng, content),
        content + b"]",
        content * 2,
        b"[" * 90_000,
        content[:-1] + b",]",
    )
    return put(folder, rng, rng.choice(harms), "broken.json")


def folder_of_tables(folder, rng):
    put(folder, rng, lines(good_rows(rng)), "a.jsonl")
    put(folder, rng, "other,n\nword,1\n" * 9, "b.csv")
    if rng.random() < 0.7:
        put(folder, rng, lines([{"question": "What?", "answer": "That."}] * 9), "0.jsonl")
    put(folder, rng, prose(rng, 4_000), rng.choice(("c.txt", "c.json", ".c")))
    put(folder, rng, "", "empty.csv")
    return folder


KINDS = {
    make: many
    for many, makers in (
        (4, (same_keys, many_names, no_assistant, broken_json, folder_of_tables)),
        (6, (odd_numbers, half_escapes, half_lines)),
        (9, (mixed_types, evil_names, broken_encoding_of_rows, one_object)),
        (12, (deep_nesting, answers, chats)),
    )
    for make in makers
}

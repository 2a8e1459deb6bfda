"""GGUF files made to exhaust the machine: each is refused in a line, at once, in little memory.

They go through the process of open_hostile_files.py, as those of test_hostile_files.py do.
"""

import json
import os
import struct

import pytest
from convert import gguf_files
from convert.gguf_models import SPLITTING, model_of, trained
from convert.hostile_outcomes import outcomes

SECONDS, MEGABYTES = 2.0, 250
U32, F32, TEXT, LIST, U64 = 4, 6, 8, 9, 10


def text(value):
    """A text as GGUF has it."""
    raw = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(raw)) + raw


def told(kind, value):
    """A value with its kind."""
    if kind == TEXT:
        return struct.pack("<I", kind) + text(value)
    return struct.pack("<I", kind) + struct.pack({U32: "<I", F32: "<f", U64: "<Q"}[kind], value)


def many(kind, count, raw=b""):
    """A list of so many values, whatever stands in it."""
    return struct.pack("<IIQ", LIST, kind, count) + raw


def tensor(name, shape, kind=0, start=0):
    """The entry of a tensor."""
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *reversed(shape), kind, start)


def gguf(entries=(), tensors=(), counts=None, version=3, tail=b""):
    """The bytes of a file."""
    pairs = list(entries.items()) if isinstance(entries, dict) else list(entries)
    ours = counts or (len(tensors), len(pairs))
    head = b"GGUF" + struct.pack("<IQQ", version, *ours)
    body = head + b"".join(text(key) + value for key, value in pairs) + b"".join(tensors)
    return body + bytes(-len(body) % 32) + tail


LLAMA = {
    "general.architecture": told(TEXT, "llama"),
    "llama.context_length": told(U32, 64),
    "llama.embedding_length": told(U32, 32),
    "llama.block_count": told(U32, 1),
    "llama.feed_forward_length": told(U32, 32),
    "llama.attention.head_count": told(U32, 2),
    "llama.attention.layer_norm_rms_epsilon": told(F32, 1e-5),
}
EMBEDDING = tensor("token_embd.weight", (300, 32))
ROWS = bytes(300 * 32 * 4)
LETTERS = [chr(letter) for letter in range(33, 127)]


def words(tokens, **entries):
    """What is told of a tokenizer of llama.cpp's 'llama'."""
    raw = b"".join(map(text, tokens))
    count = len(tokens)
    return LLAMA | {
        "tokenizer.ggml.model": told(TEXT, "llama"),
        "tokenizer.ggml.tokens": many(TEXT, count, raw),
        "tokenizer.ggml.scores": many(F32, count, bytes(4 * count)),
        **entries,
    }


def headers():
    """Names of files with their bytes, and the words they are refused with."""
    yield "nothing", b"", "cut short"
    yield "ten bytes", b"GGUF\3\0\0\0\0\0", "cut short"
    yield "no GGUF", b"PK\3\4" + bytes(100), "is no GGUF file"
    yield "the first version", gguf(version=1), "version 1"
    yield "the other order", gguf(version=3 << 24), "order of bytes"
    yield "tensors without end", gguf(counts=(1 << 63, 0)), "tensors, where"
    yield "entries without end", gguf(counts=(0, 1 << 63)), "entries, where"
    yield "entries that are not there", gguf(counts=(0, 4000)), "is damaged"
    yield "a long name", b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1 << 60) + bytes(99), "a text of"
    yield "a long text", gguf({"a": struct.pack("<IQ", TEXT, 1 << 62)}), "a text of"
    yield "names twice", gguf([("a", told(U32, 1)), ("a", told(U32, 1))]), "tells 'a' twice"
    yield "no letters", gguf({"a": told(TEXT, b"\xff\xfe")}), "no UTF-8"
    yield "a kind of value", gguf({"a": struct.pack("<II", 77, 1)}), "of kind 77"
    for kind in (0, TEXT, LIST, U64):
        yield f"a list of {kind} without end", gguf({"a": many(kind, 1 << 60)}), "in a list, where"
        yield f"a list of {kind} that is cut", gguf({"a": many(kind, 500_000)}), "is damaged"
    deep = struct.pack("<IQ", LIST, 1) * 500_000
    yield "lists in lists", gguf({"a": struct.pack("<I", LIST) + deep}), "of kind 9"
    empty = {f"a{n}": many(TEXT, 600_000, bytes(8 * 600_000)) for n in range(9)}
    yield "empty texts", gguf(empty), "more than 1,000,000 texts"
    yield "a long list", gguf({"a": many(U64, 600_000, bytes(8 * 600_000))} | LLAMA), "is missing"
    numbers = {f"a{n}": many(U64, 600_000, bytes(8 * 600_000)) for n in range(20)}
    yield "a long header", gguf(numbers), "header is of more than"
    for number, alignment in enumerate((0, 3, 1 << 31)):
        file = gguf({"general.alignment": told(U32, alignment)})
        yield f"alignment {number}", file, "general.alignment is"
    yield "alignment in words", gguf({"general.alignment": told(TEXT, "x")}), "alignment is 'x'"


def tensors():
    """Tensors that are none, or are not where they should be."""

    def file(*entries, tail=b""):
        return gguf(LLAMA, entries, tail=tail)

    name = "token_embd.weight"
    for number, shape in enumerate(((), (1,) * 5, (0, 32), (1 << 63, 32), (1 << 41,))):
        yield f"shape {number}", file(tensor(name, shape)), "is damaged: its tensor"
    yield "four large sides", file(tensor(name, (1 << 39,) * 4)), "cut short"
    yield "half a block", file(tensor(name, (300, 33), 8)), "is damaged: its tensor"
    yield "a kind of tensor", file(tensor(name, (300, 32), 99)), "tensors of kind 99"
    yield "two bits", file(tensor(name, (300, 256), 10)), "tensors of Q2_K"
    yield "between two numbers", file(tensor(name, (300, 32), 0, 7), tail=ROWS), "does not lie"
    yield "far out", file(tensor(name, (300, 32), 0, 1 << 62), tail=ROWS), "cut short"
    yield "twice", file(EMBEDDING, EMBEDDING, tail=ROWS), "twice"
    yield "overlap", file(EMBEDDING, tensor("b", (300, 32), 0, 32), tail=ROWS * 2), "does not lie"
    yield "the same place", file(EMBEDDING, tensor("b", (300, 32)), tail=ROWS), "does not lie"
    small = [tensor(f"t{n}", (8,), 0, 32 * n) for n in range(60_000)]
    yield "many tensors", gguf(LLAMA, small, tail=bytes(32 * 60_000)), "token_embd.weight is"
    yield "no tensors", file(), "token_embd.weight is missing"


def shapes():
    """Shapes that no model has."""
    with_tokens = words(LETTERS)
    for number, value in enumerate(
        (
            told(U32, 0),
            told(U32, 4_000_000_000),
            told(U64, 1 << 63),
            told(F32, float("nan")),
            told(TEXT, "8"),
            many(U32, 3, struct.pack("<3I", 1, 2, 3)),
            many(U32, 500_000, bytes(4 * 500_000)),
            many(TEXT, 1, text("x")),
        )
    ):
        for key in LLAMA if number < 4 else [*LLAMA][number % 5 + 1 :][:1]:
            if key == "llama.block_count" and not number:
                continue
            file = gguf(with_tokens | {key: value}, [EMBEDDING], tail=ROWS)
            yield f"{key} {number}", file, "" if "arch" in key else "is damaged"
    file = gguf(with_tokens | {"llama.block_count": told(U32, 9999)}, [EMBEDDING], tail=ROWS)
    yield "layers that are not there", file, "layers.0.input_layernorm.weight is missing"


def tokenizers():
    """Vocabularies that are none."""

    def file(entries):
        return gguf(entries, [EMBEDDING], tail=ROWS)

    yield "tokens twice", file(words(["a", "a"])), "two of its tokens are the same"
    yield "too many tokens", file(words([str(n) for n in range(301)])), "weights 300"
    yield (
        "numbers for tokens",
        file(words([], **{"tokenizer.ggml.tokens": many(U32, 2, bytes(8))})),
        "",
    )
    short = {"tokenizer.ggml.token_type": many(5, 3, bytes(12))}
    yield "few kinds", file(words(LETTERS, **short)), "token_type does not"
    nan = struct.pack("<f", float("nan")) * len(LETTERS)
    scores = {"tokenizer.ggml.scores": many(F32, len(LETTERS), nan)}
    yield "scores that are none", file(words(LETTERS, **scores)), "is no number"
    yield "long tokens", file(words([*LETTERS, "a" * 1_000_000])), "tokens are longer"
    wide = tensor("token_embd.weight", (500_000, 32))
    rows = bytes(500_000 * 32 * 4)
    letters = words(["x" * n for n in range(1, 1_024)])
    yield "merges with the square", gguf(letters, [wide], tail=rows), ""
    names = words([f"{n:x}" for n in range(500_000)])
    controls = {"tokenizer.ggml.token_type": many(5, 500_000, struct.pack("<i", 3) * 500_000)}
    yield "many added", gguf(names | controls, [wide], tail=rows), "added tokens, where"
    yield "many pieces", gguf(names, [wide], tail=rows), ""
    merges = LLAMA | {
        "tokenizer.ggml.model": told(TEXT, "gpt2"),
        "tokenizer.ggml.pre": told(TEXT, "smollm"),
        "tokenizer.ggml.tokens": many(TEXT, 3, text("a") + text("b") + text("ab")),
    }
    for number, merge in enumerate(("a c", "ab", "", " ", "a b a")):
        listed = {"tokenizer.ggml.merges": many(TEXT, 2, text("a b") + text(merge))}
        yield f"merge {number}", file(merges | listed), "is not of its vocabulary"
    same = {"tokenizer.ggml.merges": many(TEXT, 600_000, text("a b") * 600_000)}
    yield "one merge over and over", file(merges | same), ""
    for key in ("model", "pre"):
        odd = {f"tokenizer.ggml.{key}": many(U32, 2, bytes(8))}
        yield f"numbers for {key}", file(merges | odd), f"tokenizer.ggml.{key} is"
    odd = {"tokenizer.chat_template": told(U32, 7)}
    yield "a number for a template", file(words(LETTERS, **odd)), "chat_template is 7"


@pytest.fixture(scope="module")
def outcome(tmp_path_factory, book_text):
    """All cases with the words they are to be refused with, and what became of them."""
    place = tmp_path_factory.mktemp("hostile")
    wanted, cases = {}, []

    def add(name, content, line):
        path = place / f"{len(cases)}.gguf"
        path.write_bytes(content)
        cases.append((name, "import", str(path)))
        wanted[name] = line

    for make in (headers, tensors, shapes, tokenizers):
        for case in make():
            add(*case)
    words = trained(book_text, *SPLITTING["gpt-2"])
    whole = gguf_files.write(place / "whole", model_of("gpt2"), words).read_bytes()
    for cut in range(0, len(whole), len(whole) // 40):
        add(f"cut at {cut}", whole[:cut], "")
    path = place / "pipe.gguf"
    os.mkfifo(path)
    cases.append(("a pipe", "import", str(path)))
    wanted["a pipe"] = "it is no regular file"
    found = outcomes(place, cases)
    return {name: (words, *found[name]) for name, words in wanted.items()}


def test_each_is_refused_in_one_line(outcome):
    """The line tells what is wrong; nothing fails in another way, and nothing is published."""
    odd = {
        name: line[:300]
        for name, (words, line, *_) in outcome.items()
        if words not in line or "\n" in line or len(line) > 600 or line == "taken"
    }
    assert not odd, json.dumps(odd, indent=1)
    assert len(outcome) > 120


def test_each_is_refused_at_once_in_little_memory(outcome):
    """However much a file claims to hold."""
    assert {name: rest for name, (_, _, *rest) in outcome.items() if rest[0] > SECONDS} == {}
    assert {name: rest for name, (_, _, *rest) in outcome.items() if rest[1] > MEGABYTES} == {}

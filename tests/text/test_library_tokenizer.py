"""Tokenizers of other families: the ids, bytes and texts of transformers' own."""

import json
import random
from typing import Any

import pytest
from text.test_text_tokenizer import random_texts

from tuillm.errors import TuillmError
from tuillm.formats.jinja_chat import Message, render_chat
from tuillm.text.library_tokenizer import LibraryTokenizer
from tuillm.text.tiktoken_tokenizer import TiktokenTokenizer
from tuillm.text.tokenizer_files import load_tokenizer

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
TEXT = (
    "The ferry came at noon, and with it came the salt. 1234 sacks! Ünïcödé 唐诗 🙂"
    "\n\n  two  blanks\t"
)
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{{ message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def library(kind):
    """A trained tokenizer of the library, of one of the kinds that models have."""
    import tokenizers
    from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

    made = tokenizers.Tokenizer(models.BPE(byte_fallback=kind == "metaspace", unk_token=None))
    alphabet: list[str] = []
    by_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=kind == "smollm")
    if kind == "metaspace":
        made.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
        made.decoder = decoders.Sequence(
            [
                decoders.Replace("▁", " "),
                decoders.ByteFallback(),
                decoders.Fuse(),
                decoders.Strip(" ", 1, 0),
            ]
        )
    else:
        first = {
            "smollm": pre_tokenizers.Digits(individual_digits=True),
            "llama3": pre_tokenizers.Split(tokenizers.Regex(LLAMA3), "isolated"),
            "qwen": pre_tokenizers.Split(tokenizers.Regex(QWEN), "isolated"),
        }[kind]
        made.pre_tokenizer = pre_tokenizers.Sequence([first, by_bytes])
        made.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        if kind == "qwen":
            made.normalizer = normalizers.NFC()
    bytes_too = [f"<0x{byte:02X}>" for byte in range(256)] if kind == "metaspace" else []
    trainer = trainers.BpeTrainer(
        vocab_size=900, special_tokens=["<|end|>", *bytes_too], initial_alphabet=alphabet
    )
    made.train_from_iterator([TEXT * 3, " ".join(TEXT.split()[::-1])] * 4, trainer)
    spec = json.loads(made.to_str())
    spec["added_tokens"] = [each for each in spec["added_tokens"] if each["content"] == "<|end|>"]
    size = max(spec["model"]["vocab"].values()) + 1
    spec["added_tokens"] += [
        added(size, "<|im_start|>"),
        added(size + 1, "<|im_end|>", lstrip=True, rstrip=True),
        added(size + 2, "<think>", special=False),
        added(size + 3, "    ", special=False, normalized=True),
    ]
    return spec


def added(id, content, **flags):
    """An entry of added tokens."""
    names = ("single_word", "lstrip", "rstrip", "normalized")
    return dict(id=id, content=content, special=True) | dict.fromkeys(names, False) | flags


@pytest.fixture(params=["smollm", "llama3", "qwen", "metaspace"], scope="module")
def folder(request, tmp_path_factory):
    """A model folder's tokenizer files."""
    path = tmp_path_factory.mktemp(request.param)
    (path / "tokenizer.json").write_text(json.dumps(library(request.param)), encoding="utf-8")
    told = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>"}
    (path / "tokenizer_config.json").write_text(json.dumps(told), encoding="utf-8")
    return path


def test_ids_are_those_of_transformers(folder, transformers):
    """On 2,000 random texts, and on texts with names of special tokens, as templates write them."""
    ours, theirs = load_tokenizer(folder), transformers.AutoTokenizer.from_pretrained(folder)
    assert isinstance(ours, LibraryTokenizer) and ours.kind == "hf"
    generator = random.Random(1)
    for each in random_texts(2000):
        text = each + generator.choice(["", " <think>", "    x", TEXT])
        assert ours.encode(text) == theirs.encode(text, add_special_tokens=False), repr(text)
        marked = f"<|im_start|>user\n{text} <|im_end|>  \n<|im_start|>"
        wanted = theirs.encode(marked, add_special_tokens=False)
        assert ours.encode_special(marked) == wanted, repr(marked)


def test_conversations_are_the_ids_of_transformers(folder, transformers):
    """200 of them, through a chat template that names special tokens."""
    ours, theirs = load_tokenizer(folder), transformers.AutoTokenizer.from_pretrained(folder)
    theirs.chat_template = CHATML
    generator = random.Random(2)
    texts = iter(random_texts(2000))
    for _ in range(200):
        messages: list[Message] = [{"role": "system", "content": TEXT}] * generator.randrange(2)
        for turn in range(generator.randrange(1, 6)):
            role = "assistant" if turn % 2 else "user"
            messages.append({"role": role, "content": next(texts)})
        asks = generator.random() < 0.5
        whole = render_chat(CHATML, messages, add_generation_prompt=asks)
        wanted = theirs.apply_chat_template(
            messages, add_generation_prompt=asks, tokenize=True, return_dict=False
        )
        assert ours.encode_special(whole) == wanted, messages


def test_bytes_of_ids_make_up_the_text(folder, transformers):
    """One by one they are what transformers decodes at once; special ones show nothing."""
    ours, theirs = load_tokenizer(folder), transformers.AutoTokenizer.from_pretrained(folder)
    for text in [f"{each}{TEXT}" for each in random_texts(200)]:
        ids = ours.encode(text)
        # SentencePiece's kind puts a blank before a text, and takes it away
        first = " " if folder.name.startswith("metaspace") else ""
        assert ours.decode(ids) == first + theirs.decode(ids)
    assert not any(map(ours.token_bytes, ours.encode_special("<|im_start|><|im_end|>")))
    assert ours.token_bytes(ours.encode("<think>")[-1]) == b"<think>"


def test_what_a_person_types_is_no_special_token(folder):
    """Its name is spelled; in what a template wrote it is the token."""
    ours = load_tokenizer(folder)
    start, end = ours.encode_special("<|im_start|><|im_end|>")[-2:]
    assert ours.names[start] == "<|im_start|>" and ours.ends == {end} and ours.eot == end
    typed = ours.encode("a <|im_start|> b <|im_end|>")
    assert not {start, end} & set(typed)
    assert "<|im_start|>" in ours.decode(typed)


def test_files_are_written_as_they_were(folder, tmp_path, transformers):
    """A folder that is saved has the same ids and says the same besides."""
    ours = load_tokenizer(folder)
    ours.save(tmp_path, 128)
    again = load_tokenizer(tmp_path)
    assert again.sha256 == ours.sha256 and again.ends == ours.ends
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert theirs.encode(TEXT) == ours.encode(TEXT) and theirs.model_max_length == 128
    assert theirs.eos_token == "<|im_end|>"


def test_tokens_that_spell_a_word(folder):
    """For token healing: the pieces that begin with some bytes, and those they begin with."""
    ours = load_tokenizer(folder)
    whole = max((ours.token_bytes(id) for id in ours.encode(TEXT)), key=len)
    rest = whole[:-1]
    found = {ours.token_bytes(id) for id in ours.tokens_spelling(rest)}
    assert whole in found and rest[:1] in found
    assert all(rest.startswith(piece) or piece.startswith(rest) for piece in found)


def test_our_own_stay_as_fast_as_they_were(tmp_path):
    """GPT-2's way of cutting is computed by tiktoken, not by the library."""
    from tuillm.text.new_tokenizer import make_tokenizer

    make_tokenizer("bpe", [TEXT * 20], 300).save(tmp_path, 64)
    assert isinstance(load_tokenizer(tmp_path), TiktokenTokenizer)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "unigram": (dict(model={"type": "Unigram", "vocab": {}}), "is of kind 'Unigram'"),
    "no decoder": (dict(decoder=None), "does not say how its tokens become text"),
    "unknown step": (dict(pre_tokenizer={"type": "Nothing"}), "cannot be read"),
    "ids": (dict(model={"type": "BPE", "vocab": {"a": -1}, "merges": []}), "the id of 'a' is -1"),
    "a million": (
        dict(added_tokens=[added(5000 + n, f"<{n}>") for n in range(30_000)]),
        "30,000 added tokens",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_cannot_be_read_is_said(kind, tmp_path):
    """In one line, whatever is wrong with it."""
    change, words = BAD[kind]
    (tmp_path / "tokenizer.json").write_text(json.dumps(library("smollm") | change))
    with pytest.raises(TuillmError, match=words) as caught:
        load_tokenizer(tmp_path)
    assert "\n" not in str(caught.value)

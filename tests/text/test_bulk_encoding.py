"""Many documents at once come to the ids that each comes to alone."""

import random
from pathlib import Path

import numpy as np
import pytest

from tuillm.text.bulk_encoding import _MARK, BulkEncoder
from tuillm.text.chat_rendering import TURN_TOKENS
from tuillm.text.new_tokenizer import make_tokenizer
from tuillm.text.tokenizer import Tokenizer
from tuillm.text.tokenizer_files import load_tokenizer

GPT2 = Path(__file__).parents[3] / "shared" / "data" / "gpt2-bpe"
WORDS = [
    "The",
    " sea",
    "\n\n",
    "  ",
    "é",
    "鲸鱼",
    "，",
    "🐳",
    "\x00",
    "123",
    "<|endoftext|>",
    "\u00a0",
]


@pytest.fixture(scope="module", params=["char", "bpe", "gpt2"])
def tokenizer(request):
    """One of each kind."""
    if request.param == "gpt2":
        if not GPT2.exists():
            pytest.skip("GPT-2's vocabulary is not at hand")
        return load_tokenizer(GPT2)
    return make_tokenizer(request.param, ["The sea, the sea, the open sea. " * 40], 300)


def documents(seed, count=60):
    """Random documents, of a character and more."""
    draw = random.Random(seed)
    return ["".join(draw.choices(WORDS, k=draw.randint(1, 30))) for _ in range(count)]


@pytest.mark.parametrize("seed", range(20))
def test_the_ids_are_those_of_each_alone(tokenizer, seed):
    """Whatever stands in them: special names are text, other alphabets come in bytes."""
    texts = documents(seed)
    found = BulkEncoder(tokenizer).encode(texts, with_starts=True)
    parts = np.split(found.ids, found.ends[:-1])
    assert [part.tolist() for part in parts] == [tokenizer.encode(text) for text in texts]
    whole = "".join(texts).encode()
    stops = np.append(found.starts[1:], len(whole))
    pieces = [whole[start:stop] for start, stop in zip(found.starts, stops, strict=True)]
    assert pieces == [tokenizer.token_bytes(int(id)) for id in found.ids]


def test_a_text_with_the_mark_itself(tokenizer):
    """What joins documents is plain text where a document has it."""
    texts = [f"a{_MARK}b", _MARK, "c"]
    found = BulkEncoder(tokenizer).encode(texts)
    parts = np.split(found.ids, found.ends[:-1])
    assert [tokenizer.decode(part.tolist()) for part in parts] == texts


@pytest.mark.parametrize("kind", ["char", "bpe"])
def test_special_tokens_are_found_where_they_are_asked_for(kind):
    """As transformers finds them in what a chat template has written."""
    from tokenizers import Tokenizer as Oracle

    text = "The sea <|user|>is open<|assistant|>, the sea<|endoftext|><|user|>é<|assistant|>鲸"
    made = make_tokenizer(kind, ["The sea, the sea, the open sea. " * 40], 300, special=TURN_TOKENS)
    assert isinstance(made, Tokenizer) and made.vocab_size == 1 + max(made.names)
    oracle = Oracle.from_str(__import__("json").dumps(made.spec))
    found = BulkEncoder(made, special=True).encode([text, text], with_starts=True)
    assert found.ids.tolist() == oracle.encode(text).ids * 2
    assert found.starts[found.ends[0]] == len(text.encode())
    assert made.decode(found.ids[: found.ends[0]].tolist()) == ("The sea is open, the seaé鲸")
    plain = BulkEncoder(made).encode([text]).ids.tolist()
    assert made.decode(plain) == text and plain == made.encode(text)

"""Tokens of other models: added ones, and what ends a text; transformers is the oracle."""

import json
import random
import shutil
import time
import warnings

import pytest

from tuillm.errors import TuillmError
from tuillm.text.added_tokens import AddedTexts, AddedToken
from tuillm.text.new_tokenizer import make_tokenizer
from tuillm.text.tiktoken_tokenizer import TiktokenTokenizer
from tuillm.text.tokenizer import slices
from tuillm.text.tokenizer_files import load_tokenizer
from tuillm.text.tokenizer_json import END_OF_TEXT

WORDS = [
    "the",
    " road",
    " ",
    "  ",
    "\n",
    "\u00a0",
    "word",
    "قلم",
    "x",
    "<note>",
    "<note",
    "note>",
    "\n\n",
    "    ",
    "<a><b>",
    "<a>",
    "<b>",
    "the road",
    "<|im_end|>",
]
ADDED = [
    {"content": "<note>"},
    {"content": "<a>", "lstrip": True},
    {"content": "<b>", "rstrip": True, "normalized": True},
    {"content": "<a><b>", "normalized": True},
    {"content": "    "},
    {"content": "\n\n", "normalized": True},
    {"content": "word", "single_word": True},
    {"content": "قلم", "single_word": True, "lstrip": True, "rstrip": True},
]


@pytest.fixture(scope="module")
def plain(book_text):
    return make_tokenizer("bpe", [book_text], 300)


@pytest.fixture
def folder(plain, tmp_path):
    """Make a tokenizer folder with added tokens behind the vocabulary's 299 pieces."""

    def make(*added, **config):
        spec = json.loads(json.dumps(plain.spec))
        kept = [] if config.pop("without_end", False) else spec["added_tokens"]
        flags = {
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": False,
        }
        last = max(spec["model"]["vocab"].values()) + len(kept)
        spec["added_tokens"] = kept + [
            flags | each | {"id": last + number} for number, each in enumerate(added, 1)
        ]
        place = tmp_path / "model"
        place.mkdir(exist_ok=True)
        (place / "tokenizer.json").write_text(json.dumps(spec))
        told = {"tokenizer_class": "PreTrainedTokenizerFast"} | config
        (place / "tokenizer_config.json").write_text(json.dumps(told))
        return place

    return make


def theirs(place):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(place)


def texts(count):
    """Seeded texts in which the added tokens stand side by side, in words and in blanks."""
    rng = random.Random(5)
    for _ in range(count):
        yield "".join(rng.choices(WORDS[:-1], k=rng.randrange(1, 12)))


@pytest.mark.parametrize(
    "added",
    [ADDED, ADDED[:1], ADDED[1:3], ADDED[4:6], ADDED[6:]],
    ids=lambda added: " ".join(repr(each["content"]) for each in added),
)
def test_added_tokens_have_the_ids_of_transformers(folder, added):
    """Wherever they stand in a text, with each flag; and the text comes back as theirs does."""
    place = folder(*added)
    ours, oracle = load_tokenizer(place), theirs(place)
    for text in texts(400):
        ids = ours.encode(text)
        assert ids == oracle.encode(text, add_special_tokens=False), repr(text)
        assert ours.decode(ids) == oracle.decode(ids, skip_special_tokens=True), repr(text)
        assert [id for part in ours.slices(text) for id in ours.encode(part)] == ids


def test_a_special_token_that_is_typed_stays_text(folder):
    """Nobody ends a text, or speaks for another, by typing how a model writes that."""
    place = folder({"content": "<|im_end|>", "special": True}, {"content": "<note>"})
    tokenizer = load_tokenizer(place)
    text = f"so <|im_end|> <note>{END_OF_TEXT}"
    ids = tokenizer.encode(text)
    assert not {299, 300} & {*ids} and 301 in ids or 300 not in ids
    assert tokenizer.decode(ids) == text
    assert tokenizer.token_bytes(tokenizer.spec["added_tokens"][1]["id"]) == b""
    assert tokenizer.n_vocab == tokenizer.spec["added_tokens"][2]["id"] + 1


ENDS = {"content": "</s>", "special": True}, {"content": "<|im_end|>", "special": True}


@pytest.mark.parametrize(
    ("config", "generation", "model", "named"),
    [
        ({"eos_token": "</s>"}, None, None, ["</s>"]),
        ({"eos_token": {"content": "<|im_end|>"}}, None, None, ["<|im_end|>"]),
        ({}, [299, 300], None, ["</s>", "<|im_end|>"]),
        ({"eos_token": "<|im_end|>"}, [299, 300], 299, ["<|im_end|>", "</s>"]),
        ({}, None, 300, ["<|im_end|>"]),
        ({}, None, 50_256, []),  # transformers' default, which is no id here
        ({}, 42, 42, []),  # an ordinary piece, which a default has hit
        ({"eos_token": "<|nowhere|>"}, "299", [True, None, "x"], []),
    ],
)
def test_what_ends_a_text(folder, config, generation, model, named):
    """The files beside the tokenizer tell, in each of the ways they have; a saved one keeps it."""
    place = folder(*ENDS, without_end=True, **config)
    (place / "config.json").write_text(json.dumps({"eos_token_id": model}))
    (place / "generation_config.json").write_text(json.dumps({"eos_token_id": generation}))
    tokenizer = load_tokenizer(place)
    ids = {entry["content"]: entry["id"] for entry in tokenizer.spec["added_tokens"]}
    assert ids == {"</s>": 299, "<|im_end|>": 300}
    assert tokenizer.eot == (ids[named[0]] if named else None)
    assert tokenizer.ends == {ids[name] for name in named}
    (copy := place / "copy").mkdir()
    tokenizer.save(copy, 16)
    again = load_tokenizer(copy)
    assert again.eot == tokenizer.eot and again.sha256 == tokenizer.sha256
    if named:
        assert theirs(copy).eos_token_id == tokenizer.eot


def test_an_end_that_stands_in_the_vocabulary(plain, tmp_path):
    """As in vocabularies that begin with `<s> <pad> </s>`: no merge comes to it, no text has it."""
    spec = json.loads(json.dumps(plain.spec))
    spec["model"]["vocab"] |= {"</s>": 299, "<pad>": 300}
    spec["added_tokens"] = []
    (tmp_path / "tokenizer.json").write_text(json.dumps(spec))
    (tmp_path / "config.json").write_text(json.dumps({"eos_token_id": 299}))
    tokenizer = load_tokenizer(tmp_path)
    assert (tokenizer.eot, tokenizer.token_bytes(299)) == (299, b"")
    assert not {299, 300} & {*tokenizer.encode("a</s> <pad>")}
    assert tokenizer.decode([300]) == "<pad>"


def test_the_older_files(plain, tmp_path):
    """vocab.json and merges.txt with `added_tokens.json`, or what tokenizer_config.json adds."""
    plain.save(tmp_path, 16)
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<|im_end|>": 300, "<note>": 301}))
    (tmp_path / "special_tokens_map.json").write_text(
        json.dumps({"additional_special_tokens": ["<|im_end|>"], "eos_token": "<|im_end|>"})
    )
    (tmp_path / "tokenizer_config.json").write_text("{}")
    first = load_tokenizer(tmp_path)
    assert (first.eot, first.n_vocab) == (300, 302)
    assert 301 in first.encode("a <note>") and 300 not in first.encode("a <|im_end|>")
    for name in ("added_tokens.json", "special_tokens_map.json"):
        (tmp_path / name).unlink()
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "eos_token": "<|im_end|>",
                "added_tokens_decoder": {
                    "300": {"content": "<|im_end|>", "special": True},
                    "301": {"content": "<note>", "special": False},
                },
            }
        )
    )
    second = load_tokenizer(tmp_path)
    assert (second.eot, second.n_vocab) == (300, 302)
    assert second.encode("a <note>") == first.encode("a <note>")


def test_unused_ids_have_no_text(plain):
    """Rows that pad a table, and ids beyond it, decode to nothing and are told."""
    assert plain.decode([*plain.encode("the "), 300, 5_000, 1 << 40, *plain.encode("road")]) == (
        "the road"
    )
    assert plain.unused(304) == [300, 301, 302, 303]
    with pytest.raises(TuillmError, match="ids up to 299, its weights only 299 rows"):
        plain.refuse_beyond(299, "it")


def test_ends_change_what_tells_tokenizers_apart(plain):
    """Token files hold ends of documents, so two ends are two tokenizers."""
    assert (
        TiktokenTokenizer(plain.spec).sha256
        == plain.sha256
        == TiktokenTokenizer(plain.spec, [plain.eot]).sha256
    )
    assert TiktokenTokenizer(plain.spec, [5, plain.eot]).sha256 != plain.sha256


def test_a_file_of_gpt2s_own(shared_data, tmp_path):
    """GPT-2's own files say nothing new: its end stays the end, its ids stay its ids."""
    for path in (shared_data / "gpt2-bpe").iterdir():
        shutil.copy(path, tmp_path)
    before = load_tokenizer(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"eos_token_id": 50_256}))
    after = load_tokenizer(tmp_path)
    assert (after.eot, after.sha256) == (before.eot, before.sha256) == (50_256, before.sha256)


@pytest.mark.parametrize(
    "added",
    [ADDED[:2], ADDED[4:5], ADDED[6:7], ADDED[1:3], ADDED[5:]],
    ids=lambda added: " ".join(repr(each["content"]) for each in added),
)
def test_slices_tear_no_added_token(folder, added, monkeypatch):
    """Cut into slices of a few characters, a text has the ids it has as a whole."""
    monkeypatch.setattr(slices, "__defaults__", (3,))
    tokenizer = load_tokenizer(folder(*added))
    for text in texts(300):
        parts = list(tokenizer.slices(text))
        assert [id for part in parts for id in tokenizer.encode(part)] == tokenizer.encode(text)
        assert "".join(parts) == text


def test_blanks_before_a_token_take_time_in_proportion(folder):
    """A book with long runs of blanks is encoded as fast as another."""
    added = AddedTexts([AddedToken(300, "<m>", False, lstrip=True)])
    text = ("a" + " " * 50_000) * 20 + "<m>b" + " " * 50_000 + "<m>"
    begin = time.perf_counter()
    parts = list(added.split(text))
    assert time.perf_counter() - begin < 10  # hours where it is quadratic
    assert parts[1:] == [300, "b", 300] and parts[0] == text.partition("<m>")[0].rstrip()

"""Text to ids and back: three kinds, one behaviour, and the ids that transformers gives."""

import copy
import random
import shutil
import warnings

import pytest
from tokenizers import Tokenizer as Foreign
from tokenizers import models, normalizers, pre_tokenizers, trainers

from tuillm.errors import TuillmError
from tuillm.store.files import write_json
from tuillm.text.new_tokenizer import make_tokenizer
from tuillm.text.tiktoken_tokenizer import TiktokenTokenizer
from tuillm.text.tokenizer import slices
from tuillm.text.tokenizer_files import load_tokenizer
from tuillm.text.tokenizer_json import END_OF_TEXT

KINDS = ["char", "bpe", "gpt2"]
ALPHABETS = [
    "abcdefghij ABC",
    " \n\t\r\f\u00a0\u2003\u2028\u0085\u200b",
    "'s'll've'LL'd ",
    "0123456789٣४²½",
    "қазақ тілі әіңғүұқөһ ӘІҢ",
    "白鲸記 我叫以实玛利。",
    "🐋👩‍👩‍👧🏽🇰🇿❤️",
    "e\u0301a\u0308q\u0323\u0307\u0651\u0639",
    "<|endoftex>{}[]\\\"'`~#$",
    "\0\x07\x1b\x7f\x85\xad\ufeff\ufffd",
]


def random_texts(count, seed=7):
    """Seeded texts: each from one alphabet, or mixed from all, or from all of Unicode."""
    rng = random.Random(seed)
    texts = []
    for number in range(count):
        letters = ALPHABETS[number % 12] if number % 12 < len(ALPHABETS) else "".join(ALPHABETS)
        if number % 12 == 11:
            points = (rng.randrange(0x10FFFF) for _ in range(60))
            letters = "".join(chr(point) for point in points if not 0xD800 <= point < 0xE000)
        texts.append("".join(rng.choices(letters, k=rng.randrange(1, 60))))
    return texts


TEXTS = random_texts(204)


@pytest.fixture(scope="module")
def tokenizers(book_text, shared_data):
    """A tokenizer of each kind; gpt2 from the two older files alone."""
    return {
        "char": make_tokenizer("char", [book_text]),
        "bpe": make_tokenizer("bpe", [book_text], 600),
        "gpt2": load_tokenizer(shared_data / "gpt2-bpe"),
    }


@pytest.fixture(params=KINDS)
def tokenizer(request, tokenizers):
    """Each kind in turn."""
    return tokenizers[request.param]


@pytest.fixture(scope="module")
def folders(tokenizers, tmp_path_factory):
    """The saved folder of each kind."""
    place = tmp_path_factory.mktemp("tokenizers")
    for kind, tokenizer in tokenizers.items():
        (place / kind).mkdir()
        tokenizer.save(place / kind, context=128)
    return {kind: place / kind for kind in tokenizers}


@pytest.fixture(scope="module")
def auto_tokenizers(folders):
    """What transformers makes of the saved folders."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of transformers' own imports
        from transformers import AutoTokenizer

        return {kind: AutoTokenizer.from_pretrained(path) for kind, path in folders.items()}


def test_every_text_comes_back(tokenizer):
    """Encoding and decoding is the identity, also for characters that were never seen."""
    for text in TEXTS:
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_ids_are_inside_the_vocabulary(tokenizer):
    """No id reaches the size of the vocabulary, and text never yields the end-of-text id."""
    ids = {id for text in TEXTS for id in tokenizer.encode(text)}
    assert 0 <= min(ids) and max(ids) < tokenizer.n_vocab
    assert tokenizer.eot == tokenizer.n_vocab - 1
    assert tokenizer.eot not in ids


@pytest.mark.parametrize("kind", KINDS)
def test_transformers_gives_the_same_ids(tokenizers, auto_tokenizers, kind):
    """AutoTokenizer on the saved folder encodes and decodes as we do."""
    ours, theirs = tokenizers[kind], auto_tokenizers[kind]
    for text in TEXTS:
        if END_OF_TEXT not in text:
            assert theirs.encode(text, add_special_tokens=False) == ours.encode(text), repr(text)
            assert theirs.decode(ours.encode(text)) == text


@pytest.mark.parametrize("kind", KINDS)
def test_transformers_knows_the_end_and_the_context(tokenizers, auto_tokenizers, kind):
    """End of text, vocabulary size and context length stand in the saved files."""
    ours, theirs = tokenizers[kind], auto_tokenizers[kind]
    assert (theirs.eos_token, theirs.eos_token_id) == (END_OF_TEXT, ours.eot)
    assert len(theirs) == ours.n_vocab
    assert theirs.model_max_length == 128


@pytest.mark.parametrize("kind", KINDS)
def test_saving_and_loading_changes_no_id(tokenizers, folders, kind):
    """A loaded tokenizer is the saved one: same kind, same ids, same contents."""
    ours, loaded = tokenizers[kind], load_tokenizer(folders[kind])
    assert (loaded.kind, loaded.n_vocab, loaded.eot) == (kind, ours.n_vocab, ours.eot)
    assert loaded.spec == ours.spec
    assert [loaded.encode(text) for text in TEXTS] == [ours.encode(text) for text in TEXTS]


@pytest.mark.parametrize("kind", ["bpe", "gpt2"])
def test_the_older_pair_of_files_is_enough(tokenizers, folders, tmp_path, kind):
    """vocab.json and merges.txt alone give the same ids as tokenizer.json."""
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(folders[kind] / name, tmp_path / name)
    loaded, ours = load_tokenizer(tmp_path), tokenizers[kind]
    assert (loaded.kind, loaded.n_vocab, loaded.eot) == (kind, ours.n_vocab, ours.eot)
    assert [loaded.encode(text) for text in TEXTS] == [ours.encode(text) for text in TEXTS]


def test_end_of_text_keeps_the_id_its_vocabulary_gives(tokenizers, folders, tmp_path):
    """Where an older vocabulary has end of text first, its id is 0 and the others move up."""
    ours = tokenizers["bpe"]
    vocab = {token: id + 1 for token, id in ours.spec["model"]["vocab"].items()}
    write_json(tmp_path / "vocab.json", {END_OF_TEXT: 0} | vocab)
    shutil.copy(folders["bpe"] / "merges.txt", tmp_path / "merges.txt")
    loaded = load_tokenizer(tmp_path)
    assert (loaded.eot, loaded.n_vocab) == (0, ours.n_vocab)
    assert loaded.encode("the road") == [id + 1 for id in ours.encode("the road")]
    loaded.save(tmp_path, context=8)
    theirs = Foreign.from_file(str(tmp_path / "tokenizer.json"))
    assert theirs.token_to_id(END_OF_TEXT) == 0
    assert theirs.encode("the road").ids == loaded.encode("the road")


def test_gpt2_is_made_from_the_cached_vocabulary(gpt2_vocabulary, tokenizers):
    """The tokenizer for training from scratch is the one of GPT-2's model folders."""
    made = make_tokenizer("gpt2", [])
    assert (made.kind, made.n_vocab, made.eot) == ("gpt2", 50_257, 50_256)
    assert made.spec == tokenizers["gpt2"].spec


def test_gpt2_counts_tiny_shakespeare(tokenizers, shared_data):
    """GPT-2's vocabulary makes the known 338,025 tokens of tinyshakespeare."""
    text = (shared_data / "tinyshakespeare.txt").read_text(encoding="utf-8")
    assert sum(len(tokenizers["gpt2"].encode(part)) for part in slices(text)) == 338_025


def test_the_end_mark_in_a_text_is_plain_text(tokenizer):
    """A book that contains '<|endoftext|>' does not end there, and comes back unchanged."""
    text = f"before {END_OF_TEXT} after{END_OF_TEXT}"
    ids = tokenizer.encode(text)
    assert tokenizer.eot not in ids
    assert tokenizer.decode(ids) == text


def test_seen_characters_are_one_token_and_others_their_bytes():
    """A char tokenizer has a token a character of the corpus, and bytes for all others."""
    tokenizer = make_tokenizer("char", ["aқ🐋", "b"])
    assert [len(tokenizer.encode(letter)) for letter in "abқ🐋"] == [1, 1, 1, 1]
    assert [len(tokenizer.encode(letter)) for letter in "zғ白🦈"] == [1, 2, 3, 4]
    assert b"".join(map(tokenizer.token_bytes, tokenizer.encode("白"))) == "白".encode()
    # a, b stand for their own bytes; the other 254 bytes, two long characters, end of text
    assert tokenizer.n_vocab == 2 + 254 + 2 + 1


@pytest.mark.parametrize("size", [260, 300, 600])
def test_bpe_has_the_asked_number_of_entries(book_text, size):
    """The vocabulary size counts everything: 256 bytes, pieces, and end of text."""
    assert make_tokenizer("bpe", [book_text], size).n_vocab == size


def test_bpe_learns_the_same_each_time(book_text):
    """Training twice on one text gives the very same tokenizer."""
    made = [make_tokenizer("bpe", [book_text], 500).spec for _ in range(2)]
    assert made[0] == made[1]


def test_bpe_takes_any_little_text():
    """Texts with few letters and many repeats give a tokenizer too, if a small one."""
    rng = random.Random(3)
    for length in (0, 1, 2, 5, 40, 300, 300, 300):
        text = "".join(rng.choices("aab \n", k=length))
        tokenizer = make_tokenizer("bpe", [text], 300)
        assert 257 <= tokenizer.n_vocab <= 300
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_token_bytes_add_up_to_the_text(tokenizer):
    """The bytes of the ids, one after another through the decoder, are the text."""
    decoder = tokenizer.text_decoder()
    text = "Ишмаэль 白鲸 🐋 e\u0301\n"
    parts = [decoder.decode(tokenizer.token_bytes(id)) for id in tokenizer.encode(text)]
    assert "".join(parts) + decoder.decode(b"", True) == text
    assert "\ufffd" not in "".join(parts)


def test_ids_without_text_have_no_bytes(tokenizer):
    """End of text and ids beyond the vocabulary show nothing."""
    assert tokenizer.token_bytes(tokenizer.eot) == b""
    assert tokenizer.token_bytes(tokenizer.n_vocab + 5) == b""


def test_half_a_character_is_replaced_not_raised(tokenizers):
    """Ids that stop in the middle of a character decode to U+FFFD."""
    ids = tokenizers["char"].encode("白")[:2]
    assert tokenizers["char"].decode(ids) == "\ufffd"


def whitespace_texts():
    """Texts with blank lines, indents and trailing blanks, where a cut could tear a piece."""
    rng = random.Random(11)
    words = ["the", "road", "сөз", "白", "🐋", "it's", "42", "--", ",", "e\u0301"]
    gaps = [
        "\n",
        "\n",
        "\n\n",
        " ",
        "  ",
        " \n",
        "\n ",
        "\n\n\n",
        "\t\n",
        "\n\u2028",
        "\x1c\n",
        "\n\u00a0",
        " \n \n ",
        "\n\n  ",
    ]
    for _ in range(150):
        pairs = ((rng.choice(words), rng.choice(gaps)) for _ in range(rng.randrange(1, 25)))
        yield rng.choice(["", "\n\n", " "]) + "".join(word + gap for word, gap in pairs)


def test_slices_change_no_id(tokenizer):
    """Encoding slice by slice is encoding the whole, wherever the cuts fall."""
    rng = random.Random(5)
    for text in whitespace_texts():
        parts = list(slices(text, rng.randrange(1, 12)))
        assert "".join(parts) == text
        pieces = [id for part in parts for id in tokenizer.encode(part)]
        assert pieces == tokenizer.encode(text), repr(text)


def test_slices_do_cut_a_book(book_text):
    """A text with lines comes in parts near the asked size, with or without blank lines."""
    for text in (book_text, "a line\n" * 5000, "a paragraph\n\n" * 5000):
        parts = list(slices(text, 2000))
        assert len(parts) > len(text) / 2000 / 2
        assert "".join(parts) == text


@pytest.mark.parametrize("text", ["", "x" * 5000, " " * 5000, "\n" * 5000])
def test_a_text_without_lines_is_one_slice(text):
    """Where no cut is safe the text stays whole."""
    assert list(slices(text, 100)) == ([text] if text else [])


def byte_level(**options):
    """A byte-level BPE that does to the text what ours do not."""
    foreign = Foreign(models.BPE())
    foreign.pre_tokenizer = pre_tokenizers.ByteLevel(**options)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(show_progress=False, initial_alphabet=alphabet, vocab_size=270)
    foreign.train_from_iterator(["hello world"], trainer)
    return foreign


def normalizing():
    """A byte-level BPE with a normalizer."""
    foreign = byte_level(add_prefix_space=False)
    foreign.normalizer = normalizers.NFC()
    return foreign


def without_all_bytes():
    """A byte-level BPE that knows only the letters it was trained on."""
    foreign = Foreign(models.BPE())
    foreign.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    foreign.train_from_iterator(["hello"], trainers.BpeTrainer(show_progress=False))
    return foreign


FOREIGN = {
    "unigram": lambda: Foreign(models.Unigram([("<unk>", 0.0), ("a", -1.0)], unk_id=0)),
    "unigram with bytes": lambda: Foreign(
        models.Unigram([("<unk>", 0.0), ("a", -1.0)], unk_id=0, byte_fallback=True)
    ),
    "wordpiece": lambda: Foreign(models.WordPiece({"[UNK]": 0, "a": 1}, unk_token="[UNK]")),
    "wordlevel": lambda: Foreign(models.WordLevel({"[UNK]": 0, "a": 1}, unk_token="[UNK]")),
    "word bpe": lambda: Foreign(models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")])),
    "prefix space": lambda: byte_level(add_prefix_space=True),
    "other cuts": lambda: byte_level(add_prefix_space=False, use_regex=False),
    "normalizer": normalizing,
    "few letters": without_all_bytes,
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_foreign_tokenizer_is_refused_in_one_line(tmp_path, kind):
    """A tokenizer that would give other ids than its own library is not used at all."""
    FOREIGN[kind]().save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(TuillmError, match="this tokenizer") as caught:
        load_tokenizer(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"model": 3}'])
def test_a_damaged_tokenizer_is_named(tmp_path, content):
    """A damaged tokenizer.json is told in one line that names the file."""
    path = tmp_path / "tokenizer.json"
    path.write_text(content)
    with pytest.raises(TuillmError) as caught:
        load_tokenizer(tmp_path)
    assert str(path) in caught.value.message
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("vocab", "merges"),
    [
        (None, b""),
        (b"{", b""),
        (b"{}", b""),
        (b'{"a": "x"}', b""),
        (b'{"a": 0}', b"a b\n"),
        (b'{"a": 0}', b"one\n"),
        (b'{"a": 0}', b"\xff\xfe\n"),
    ],
)
def test_a_damaged_pair_of_files_is_named(tmp_path, vocab, merges):
    """Damaged or missing vocab.json and merges.txt are told in one line with their place."""
    (tmp_path / "merges.txt").write_bytes(merges)
    if vocab is not None:
        (tmp_path / "vocab.json").write_bytes(vocab)
    with pytest.raises(TuillmError) as caught:
        load_tokenizer(tmp_path)
    assert str(tmp_path) in caught.value.message
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_tokenizer_says_so(tmp_path):
    """Nothing to load is told as a missing file."""
    with pytest.raises(TuillmError, match="tokenizer.json is missing"):
        load_tokenizer(tmp_path)


def test_a_vocabulary_without_one_byte():
    """Only what that byte alone would spell is left out; all other text comes back."""
    whole = make_tokenizer("char", ["abc"])
    spec = copy.deepcopy(whole.spec)
    del spec["model"]["vocab"]["<0x21>"]
    found = TiktokenTokenizer(spec)
    assert found.decode(found.encode("a!b қ 🐐")) == "ab қ 🐐"

"""Tokenizers of other families in GGUF files: the same ids come back, or a line says why not."""

import json

import pytest
from convert import gguf_files
from convert.gguf_models import (
    ROWS,
    SPLITTING,
    add_pieces,
    cut,
    model_of,
    pieces_of,
    trained,
    write_folder,
)
from convert.gguf_round_trip import assert_same_ids, back, entries
from tokenizers import pre_tokenizers, processors

from tuillm.convert.export_model import export
from tuillm.errors import TuillmError


@pytest.fixture(scope="module")
def words(book_text):
    """A byte-level tokenizer of GPT-2's kind with special and other added tokens."""
    return trained(book_text, *SPLITTING["gpt-2"])


@pytest.fixture
def folder(home, tmp_path):
    """Where a model folder is written."""
    return tmp_path / "folder"


@pytest.mark.parametrize("pre", [*SPLITTING, "dbrx"])
def test_names_of_patterns(folder, tmp_path, book_text, pre):
    """How a text is cut is told by llama.cpp's name of it, and comes back."""
    llama3, _, _ = SPLITTING["llama-bpe"]
    parts = SPLITTING.get(pre, (llama3, None, False))
    family = "qwen2" if pre == "qwen2" else "llama"
    write_folder(folder, model_of(family), trained(book_text, *parts))
    done = export(str(folder), tmp_path / "a.gguf", "gguf")
    assert entries(done.path)["tokenizer.ggml.pre"] == pre
    assert [("(NFC)" in note) for note in done.notes] == [True] * (pre == "qwen2")
    assert_same_ids(folder, back(done.path, tmp_path / "back"))


def test_words_that_merges_come_to_anyhow(folder, tmp_path, book_text):
    """A tokenizer that takes whole words is one that does not where its merges come to all."""
    write_folder(folder, model_of("llama"), trained(book_text, *SPLITTING["smollm"][:2], True))
    assert export(str(folder), tmp_path / "a.gguf", "gguf").notes == ()
    path = folder / "tokenizer.json"
    spec = json.loads(path.read_text())
    del spec["model"]["merges"][-1]
    path.write_text(json.dumps(spec))
    with pytest.raises(TuillmError, match="words of its vocabulary that its merges do not come to"):
        export(str(folder), tmp_path / "b.gguf", "gguf")


@pytest.mark.parametrize(
    ("line", "change"),
    [
        ("cuts a text in a way that llama.cpp has no name for", {"pre_tokenizer": "[a-z]+|."}),
        ("changes a text by 'Lowercase'", {"normalizer": {"type": "Lowercase"}}),
        ("sets dropout 0.1", {"dropout": 0.1}),
        ("sets end_of_word_suffix '</w>'", {"end_of_word_suffix": "</w>"}),
    ],
)
def test_tokenizers_that_llama_cpp_does_not_have(folder, tmp_path, words, line, change):
    """One line says what it is, and nothing is left behind."""
    write_folder(folder, model_of("llama"), words)
    path = folder / "tokenizer.json"
    spec = json.loads(path.read_text())
    digits = pre_tokenizers.Sequence([pre_tokenizers.Digits(True), words.pre_tokenizer])
    spec["pre_tokenizer"] = json.loads(digits.__getstate__())
    for key, value in change.items():
        if key == "pre_tokenizer":
            spec[key] = json.loads(cut(value).__getstate__())
        elif key == "normalizer":
            spec[key] = value
        else:
            spec["model"][key] = value
    path.write_text(json.dumps(spec))
    before = sorted(tmp_path.iterdir())
    for to in ("gguf", "ollama"):
        with pytest.raises(TuillmError) as caught:
            export(str(folder), tmp_path / "out", to)
        assert line in str(caught.value) and "\n" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


@pytest.fixture
def sentencepiece(folder, tmp_path, book_text):
    """A folder with a tokenizer of SentencePiece's, and what the file that it is of tells."""

    def make(prefix=True):
        names, kinds, scores = pieces_of(book_text)
        path = gguf_files.write(
            tmp_path / "theirs.gguf",
            model_of("llama", vocab_size=len(names)),
            change=lambda writer: add_pieces(writer, names, kinds, scores, prefix),
        )
        back(path, folder)
        return entries(path)

    return make


@pytest.mark.parametrize("prefix", [True, False])
def test_pieces_of_characters(sentencepiece, folder, tmp_path, prefix):
    """SentencePiece's BPE: the same pieces and kinds, with scores in the same order."""
    theirs = sentencepiece(prefix)
    done = export(str(folder), tmp_path / "a.gguf", "gguf")
    ours = entries(done.path)
    for key in ("model", "tokens", "token_type", "bos_token_id", "eos_token_id"):
        assert ours[f"tokenizer.ggml.{key}"] == theirs[f"tokenizer.ggml.{key}"], key
    assert ours["tokenizer.ggml.add_bos_token"] is True
    assert ours["tokenizer.ggml.add_space_prefix"] is prefix
    joined = [
        (score, told)
        for name, kind, score, told in zip(
            *(ours[f"tokenizer.ggml.{key}"] for key in ("tokens", "token_type", "scores")),
            theirs["tokenizer.ggml.scores"],
            strict=True,
        )
        if kind == 1 and len(name) > 1
    ]
    joined.sort(key=lambda pair: -pair[0])
    assert [told for _, told in joined] == sorted((told for _, told in joined), reverse=True)
    assert_same_ids(folder, back(done.path, tmp_path / "back"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prepend_scheme": "always"}, "llama.cpp puts a blank before every text, this tokenizer"),
        ({"prepend_scheme": "first"}, "and behind every special token"),
        ({"prepend_scheme": "never"}, None),
        ({"replacement": "_"}, TuillmError),
        ({"prepend_scheme": "never", "split": True}, TuillmError),
    ],
    ids=str,
)
def test_blanks_as_newer_folders_have_them(sentencepiece, folder, tmp_path, change, said):
    """transformers 5 writes blanks otherwise: what differs is told, or refused."""
    sentencepiece()
    path = folder / "tokenizer.json"
    spec = json.loads(path.read_text())
    step = {"type": "Metaspace", "replacement": "\u2581", "split": False}
    spec |= {"normalizer": None, "pre_tokenizer": step | change}
    path.write_text(json.dumps(spec))
    if said is TuillmError:
        with pytest.raises(TuillmError, match="would not come to the same ids"):
            export(str(folder), tmp_path / "a.gguf", "gguf")
        return
    done = export(str(folder), tmp_path / "a.gguf", "gguf")
    assert [said in note for note in done.notes] == ([] if said is None else [True])
    told = entries(done.path)["tokenizer.ggml.add_space_prefix"]
    assert told is (change["prepend_scheme"] != "never")


@pytest.mark.parametrize("change", ["order", "missing", "bytes"])
def test_merges_that_are_no_scores(sentencepiece, folder, tmp_path, change):
    """Merges that no scores come to, and bytes that are missing, are refused."""
    sentencepiece()
    path = folder / "tokenizer.json"
    spec = json.loads(path.read_text())
    model = spec["model"]
    pieces = ["".join(pair) for pair in model["merges"]]
    twice = next(piece for piece in pieces if pieces.count(piece) > 1)
    first = pieces.index(twice)
    if change == "order":
        model["merges"].append(model["merges"].pop(first))
    elif change == "missing":
        del model["merges"][first]
    else:
        del model["vocab"]["<0x41>"]
    path.write_text(json.dumps(spec))
    with pytest.raises(TuillmError, match="would not come to the same ids"):
        export(str(folder), tmp_path / "a.gguf", "gguf")


def test_roles_of_tokens(folder, tmp_path, book_text):
    """bos before a text, several ends of a reply, unknown and padding, as the folder tells them."""
    tokenizer = trained(book_text, *SPLITTING["smollm"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|im_start|> $A", special_tokens=[("<|im_start|>", 1)]
    )
    roles = {"bos_token": "<|im_start|>", "pad_token": "<|endoftext|>", "unk_token": "<|im_end|>"}
    write_folder(folder, model_of("llama"), tokenizer, **roles)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 0]}))
    done = export(str(folder), tmp_path / "a.gguf", "gguf")
    found = entries(done.path)
    ids = {"bos": 1, "eos": 2, "eot": 0, "padding": 0, "unknown": 2}
    assert {role: found[f"tokenizer.ggml.{role}_token_id"] for role in ids} == ids
    assert found["tokenizer.ggml.add_bos_token"] is True
    assert found["tokenizer.ggml.add_eos_token"] is False
    kinds = found["tokenizer.ggml.token_type"]
    names = found["tokenizer.ggml.tokens"]
    assert [kinds[id] for id in (0, 1, 2, names.index("<think>"))] == [3, 3, 3, 4]
    assert kinds.count(5) == sum(name.startswith("<unused ") for name in names) > 0
    assert len(names) == ROWS
    assert_same_ids(folder, back(done.path, tmp_path / "back"))


def test_added_tokens_with_blanks_around(folder, tmp_path, book_text):
    """What llama.cpp cannot be told of them is said."""
    tokenizer = trained(book_text, *SPLITTING["smollm"])
    spec = json.loads(tokenizer.to_str())
    spec["added_tokens"][-1]["lstrip"] = True
    write_folder(folder, model_of("llama"), tokenizer)
    (folder / "tokenizer.json").write_text(json.dumps(spec))
    (note,) = export(str(folder), tmp_path / "a.gguf", "gguf").notes
    assert "<think> take blanks around them" in note


def test_a_template_with_half_a_character(folder, tmp_path, words):
    """JSON can hold it, no file can: it is replaced."""
    write_folder(folder, model_of("llama"), words, chat_template="{{ '\ud83d' }}x")
    for to in ("gguf", "ollama"):
        done = export(str(folder), tmp_path / to, to)
        (path,) = done.path.glob("*.gguf") if done.path.is_dir() else [done.path]
        assert entries(path)["tokenizer.chat_template"] == "{{ '?' }}x"

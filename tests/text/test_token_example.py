"""What `explore` shows as the first tokens is what training reads: ids, ends of text and mask."""

import json

import numpy as np
import pytest

from tuillm.config import build_train
from tuillm.errors import UsageError
from tuillm.store.registry import find_model
from tuillm.store.workers.exploration_record import ExampleToken, Exploration, TokenExample
from tuillm.text import load_tokenizer, read_corpus, tokenize
from tuillm.text.corpus import Corpus
from tuillm.text.progress_tick import unwatched
from tuillm.text.read_options import ReadOptions
from tuillm.text.statistics.token_example import token_example
from tuillm.text_report.token_rows import GAP, token_rows

QUESTION = "What is the answer to the {number}th of all the questions?"
LONG = " ".join(f"sentence {number} of a very long passage." for number in range(300))


def example_of(*sources, **settings):
    """The example of a run with these settings, and the token files that the run would read."""
    config = build_train({"corpus": tuple(map(str, sources))} | settings)
    corpus = read_corpus(config.corpus, options=ReadOptions.of(config))
    example = token_example(corpus, config, unwatched)
    return example, tokenize(corpus, config)


def records(path, **fields):
    """A file of 60 records with these fields, `{number}` in them replaced."""
    lines = (
        json.dumps({name: text.format(number=number) for name, text in fields.items()})
        for number in range(60)
    )
    path.write_text("\n".join(lines))
    return path


def written(example):
    """The tokens as text, those that are not learned in brackets."""
    return "".join(
        token.text if token.learned else f"({token.text})" for token in example.tokens
    ).replace(")(", "")


def agrees(example, files):
    """Whether the ids and the mask are those at the beginning of the training file."""
    ids, learned = files.train, files.train_mask
    begin = len(example.tokens) if example.gap is None else example.gap
    tokens = example.tokens[:begin]
    assert ids[:begin].tolist() == [token.id for token in tokens]
    flags = [True] * begin if learned is None else learned[:begin].tolist()
    assert flags == [token.learned for token in tokens]
    behind = [token.id for token in example.tokens[begin:]]
    if behind:
        windows = np.lib.stride_tricks.sliding_window_view(ids, len(behind))
        at = np.flatnonzero((windows == behind).all(axis=1))
        assert len(at), "what stands behind the gap stands in the file"
        if learned is not None:
            flags = learned[at[0] : at[0] + len(behind)].tolist()
            assert flags == [token.learned for token in example.tokens[begin:]]
    return True


@pytest.mark.parametrize("tokenizer", ["auto", "char", "bpe"])
def test_of_questions_the_answers_are_learned(tmp_path, tokenizer):
    """The template's tokens stand as such; the question is read only."""
    path = records(tmp_path / "qa.jsonl", question=QUESTION, answer="It is {number}.")
    example, files = example_of(path, tokenizer=tokenizer)
    assert agrees(example, files) and example.masked and example.gap is None
    text = written(example)
    assert text.startswith("(<|user|>What is the answer")
    assert "questions?<|assistant|>)It is " in text and ".<|endoftext|>(<|user|>" in text
    special = {token.text for token in example.tokens if token.special}
    assert special == {"<|user|>", "<|assistant|>", "<|endoftext|>"}
    assert [files.tokenizer.names[id] for id in example.ends] == ["<|endoftext|>"]


def test_with_the_prompts_all_is_learned(tmp_path):
    """--no-mask-prompt counts for the example as for the run."""
    path = records(tmp_path / "qa.jsonl", question=QUESTION, answer="It is {number}.")
    example, files = example_of(path, mask_prompt=False)
    assert agrees(example, files) and not example.masked


def test_of_a_long_passage_the_middle_is_left_out(tmp_path):
    """One sees where the answer begins, however long the passage before it."""
    path = records(tmp_path / "qa.jsonl", question=QUESTION, answer="It is {number}.", context=LONG)
    example, files = example_of(path, context_field="context")
    assert agrees(example, files) and example.gap
    assert "<|assistant|>)It is " in written(example)


def test_ends_of_text_stand_between_documents(tmp_path):
    """One at the beginning, one behind each; also behind a long document."""
    for name, text in (("short", "A short text, number {number}."), ("long", LONG + "{number}")):
        path = records(tmp_path / f"{name}.jsonl", text=text)
        example, files = example_of(path)
        assert agrees(example, files) and not example.masked
        assert (example.gap is not None) == (name == "long")
        assert written(example).startswith("<|endoftext|>")
        assert [token.text for token in example.tokens if token.special].count("<|endoftext|>") > 1


def test_a_text_of_several_megabytes(tmp_path):
    """Its parts are encoded as training cuts them: the end of the first document is looked at."""
    path, other = tmp_path / "a.txt", tmp_path / "b.txt"
    path.write_text("".join(f"line {number} of many\n" for number in range(130_000)))
    other.write_text("another text\n" * 60_000)
    example, files = example_of(path, other, tokenizer="char")
    assert agrees(example, files) and example.gap
    assert "line 129999 of many\n<|endoftext|>another" in written(example)


def test_a_book_begins_as_it_begins(book, book_text):
    """One document has no end of text but the one before it."""
    example, files = example_of(book)
    assert agrees(example, files) and example.tokenizer == "bpe 320"
    text = written(example).removeprefix("<|endoftext|>")
    assert len(example.tokens) == 120 and book_text.startswith(text)


def test_a_model_to_start_from_reads_with_its_own(book, model):
    """Its tokenizer is taken, and another kind refused, as in training."""
    config = build_train({"corpus": (str(book),), "init_from": model})
    corpus = read_corpus(config.corpus, options=ReadOptions.of(config))
    example = token_example(corpus, config, unwatched)
    assert agrees(example, tokenize(corpus, config, load_tokenizer(find_model(model).path)))
    assert example.tokenizer == f"that of {model}"
    with pytest.raises(UsageError, match="cannot be 'gpt2'"):
        token_example(corpus, config.model_copy(update={"tokenizer": "gpt2"}), unwatched)


def test_nothing_is_fetched_for_it():
    """Where GPT-2's vocabulary is not at hand the example is missing, and says why."""
    config = build_train({"corpus": ("text",), "tokenizer": "gpt2"})
    example = token_example(Corpus.of(["some text"]), config, unwatched)
    assert not example.tokens and "will be downloaded" in example.missing


@pytest.mark.parametrize("text", ["a", "ab", "\n", "\ufffd\u0301 x"])
def test_very_short_texts(text):
    """There is something to see of each."""
    example = token_example(Corpus.of([text]), build_train({"corpus": ("text",)}), unwatched)
    assert example.tokens


def test_rows_are_read_like_a_text():
    """A turn begins a row, an end ends one, no row is too wide, and none is a line end alone."""
    tokens = [
        ExampleToken(text, id, True, id > 90)
        for text, id in (
            ("<|user|>", 91),
            ("What", 1),
            ("\n", 2),
            ("\n", 2),
            ("is it?", 3),
            ("<|assistant|>", 92),
            ("a long word that is cut", 4),
            ("<|end|>", 93),
            ("\x1b[31m", 5),
        )
    ]
    rows = list(token_rows(TokenExample("x", "", tuple(tokens), 8, (93,)), 18))
    assert [[shown.text for shown in row] for row in rows] == [
        ["<|user|>", "What", "⏎", "⏎"],
        ["is·it?"],
        ["<|assistant|>"],
        ["a·long·word·that…"],
        ["<|end|>"],
        [GAP],
        ["\\x1b[31m"],
    ]


def test_the_record_comes_back_from_json(book):
    """All of it, as another process prints it; what is none is refused."""
    from tuillm.formats.json_text import to_json
    from tuillm.text.statistics.exploration import explore

    seen = explore(read_corpus((str(book),)))
    assert Exploration.from_json(json.loads(to_json(seen.as_json()))) == seen
    with pytest.raises(ValueError):
        Exploration.from_json({"label": "book.txt"})

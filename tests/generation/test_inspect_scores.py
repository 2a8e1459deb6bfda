"""What a model made of a text, against transformers' model and against the replies themselves."""

import math

import numpy as np
import pytest
import torch

from tuillm import Sampler
from tuillm.errors import UsageError, printable
from tuillm.generation.scoring import alternatives, label_of, score, summarise
from tuillm.text.new_tokenizer import make_tokenizer
from tuillm.text.tokenizer_json import END_OF_TEXT
from tuillm.training.evaluate import evaluate

BLOCK = 32  # of the preset nano, and of the talker


@pytest.fixture(params=["char", "bpe"])
def grown(request, transformers, trained_folders):
    """A trained model as our sampler and as transformers' model, read from one folder."""
    folder = trained_folders[request.param]
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    assert theirs.config.n_positions == BLOCK
    return Sampler(folder, device="cpu", dtype="float32"), theirs


@pytest.fixture(scope="module")
def byte_tokenizer():
    """A tokenizer that knows two letters, and of all else the bytes."""
    return make_tokenizer("char", ["ab"])


def seen_before(ids, place, n_keep):
    """What stands before a place, one token after the other, as a chat would have gone on."""
    window = []
    for token in ids[:place]:
        if len(window) == BLOCK:
            first = min(n_keep, BLOCK // 2 - 1)
            window = window[:first] + window[len(window) - (BLOCK // 2 - first) :]
        window = [*window, token]
    return window


def their_logprobs(theirs, ids, place, n_keep=0):
    """transformers' log probabilities [V] of what may stand at a place."""
    with torch.no_grad():
        logits = theirs(torch.tensor([seen_before(ids, place, n_keep)])).logits
    return logits[0, -1].log_softmax(-1)


@pytest.mark.everyday(10)
@pytest.mark.parametrize("n_keep", [0, 5, 100])
@pytest.mark.parametrize("length", [2, BLOCK, BLOCK + 1, BLOCK + 2, 3 * BLOCK, 107])
def test_scores_are_those_of_transformers(grown, book_text, length, n_keep):
    """Each token scores as transformers' model says, given its window, however long the text."""
    sampler, theirs = grown
    ids = sampler.tokenizer.encode(book_text[900:2000])[:length]
    found = score(sampler, ids, n_keep=n_keep)
    expected = [
        float(their_logprobs(theirs, ids, place, n_keep)[ids[place]]) for place in range(1, length)
    ]
    assert [(one.index, one.id) for one in found] == list(enumerate(ids))[1:]
    assert [one.logprob for one in found] == pytest.approx(expected, abs=1e-4)
    assert [one.bits for one in found] == pytest.approx(
        [-logprob / math.log(2) for logprob in expected], abs=2e-4
    )


@pytest.mark.parametrize("block_size", [1, 2, 3, 31, 32])
def test_each_place_past_the_first_block_has_half_a_context_before_it(talker, block_size):
    """The scores are those of the window policy at every place, for the smallest contexts too."""
    sampler = talker(block_size=block_size)
    ids = sampler.tokenizer.encode("the quick brown fox jumps over the lazy dog " * 2)
    kept, window, expected = block_size // 2, [], []
    for token, following in zip(ids, ids[1:], strict=False):
        window = [*(window if len(window) < block_size else window[block_size - kept :]), token]
        assert len(window) > kept or len(expected) < block_size
        with torch.no_grad():
            logits = sampler.model(torch.tensor([window]))[0, -1]
        expected.append(float(logits.log_softmax(-1)[following]))
    assert [one.logprob for one in score(sampler, ids)] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("start", [1, 2, 31, 32, 33, 48, 49, 50, 89, 90, 91, 500])
def test_start_leaves_out_what_stands_before(talker, start):
    """Scoring from a place on gives the end of the whole text's scores, without what is before."""
    sampler = talker()
    ids = sampler.tokenizer.encode("abcdefghi " * 9)
    whole, part = score(sampler, ids), score(sampler, ids, start=start)
    assert [one.index for one in part] == list(range(start, len(ids)))
    assert [one.logprob for one in part] == pytest.approx(
        [one.logprob for one in whole[start - 1 :]], abs=1e-5
    )


@pytest.mark.parametrize("at_once", [1, 3 * BLOCK * 300, 10**9])
def test_windows_side_by_side_change_nothing(talker, monkeypatch, at_once):
    """However many windows go through the model at once, the scores are the same."""
    sampler = talker()
    ids = sampler.tokenizer.encode("some text, longer than a few windows " * 20)
    expected = [one.logprob for one in score(sampler, ids)]
    monkeypatch.setattr("tuillm.config.gpt_config.LOGITS_AT_ONCE", at_once)
    assert [one.logprob for one in score(sampler, ids)] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("n_keep", [0, 5])
def test_a_reply_scores_as_it_was_streamed(talker, n_keep):
    """The scores of a reply past the context are the log probabilities that came with it."""
    sampler = talker()
    prompt = sampler.tokenizer.encode("hello there")
    settings = dict(temperature=0.7, max_new_tokens=150, seed=4, n_keep=n_keep)
    tokens = list(sampler.stream(prompt, **settings))
    assert sum(token.dropped > 0 for token in tokens) > 3
    ids = prompt + [token.id for token in tokens]
    found = score(sampler, ids, start=len(prompt), n_keep=n_keep)
    streamed = [token.logprob for token in tokens]
    assert [one.logprob for one in found] == pytest.approx(streamed, abs=1e-4)


@pytest.mark.parametrize("start", [0, -1])
def test_the_first_token_cannot_be_scored(talker, start):
    """Nothing stands before the first token, and asking for its score is an error."""
    with pytest.raises(ValueError, match="nothing stands before"):
        score(talker(), [1, 2, 3], start=start)


def test_bits_per_byte_are_those_of_training(trained_folders, book_text):
    """Within one window the summary of a text is what training's evaluation measures."""
    for folder in trained_folders.values():
        sampler = Sampler(folder, device="cpu", dtype="float32")
        ids = sampler.tokenizer.encode(book_text[5000:])[: BLOCK + 1]
        text_bytes = len(sampler.tokenizer.decode(ids).encode())
        expected = evaluate(sampler.model, np.array(ids), text_bytes, sampler.tokenizer)
        found = summarise(score(sampler, ids))
        assert found.tokens == BLOCK
        assert found.bytes == text_bytes - len(sampler.tokenizer.token_bytes(ids[0]))
        assert found.nats_per_token == pytest.approx(expected.val_loss, abs=1e-5)
        assert found.bits_per_byte == pytest.approx(expected.bits_per_byte, abs=1e-5)
        assert found.perplexity == pytest.approx(math.exp(expected.val_loss), rel=1e-4)


def test_nothing_to_summarise(talker):
    """A text of one token has no scores, and a summary says why."""
    sampler = talker()
    assert score(sampler, []) == score(sampler, [3]) == []
    with pytest.raises(UsageError, match="nothing to score"):
        summarise([])


@pytest.mark.parametrize("place", [1, 7, BLOCK, BLOCK + 1, 70])
def test_alternatives_are_those_of_transformers(grown, book_text, place):
    """The likeliest tokens, their probabilities and the actual one's rank are transformers'."""
    sampler, theirs = grown
    ids = sampler.tokenizer.encode(book_text[900:2000])[:90]
    found = alternatives(sampler, ids, place)
    expected = their_logprobs(theirs, ids, place).exp()
    assert [one.probability for one in found[:10]] == pytest.approx(
        expected.topk(10).values.tolist(), abs=1e-4
    )
    assert [one.rank for one in found[:10]] == list(range(1, 11))
    for one in found:
        assert one.probability == pytest.approx(float(expected[one.id]), abs=1e-4)
        assert one.text == label_of(sampler.tokenizer, one.id)
    (actual,) = (one for one in found if one.actual)
    assert actual.id == ids[place] and (actual.rank <= 10 or actual is found[10])
    assert actual.rank == int((expected > expected[ids[place]]).sum()) + 1
    assert score(sampler, ids)[place - 1].logprob == pytest.approx(
        math.log(actual.probability), abs=1e-4
    )


def test_alternatives_at_the_end(talker):
    """At the place behind the last token nothing stands yet, and a greedy reply takes the first."""
    sampler = talker()
    ids = sampler.tokenizer.encode("once upon a time")
    found = alternatives(sampler, ids, len(ids), count=3)
    assert [one.rank for one in found] == [1, 2, 3] and not any(one.actual for one in found)
    (token,) = sampler.stream(ids, max_new_tokens=1, temperature=0)
    assert (token.id, token.logprob) == (
        found[0].id,
        pytest.approx(math.log(found[0].probability), abs=1e-4),
    )
    everything = alternatives(sampler, ids, 3, count=10**6)
    assert len(everything) == sampler.tokenizer.n_vocab
    assert sum(one.probability for one in everything) == pytest.approx(1, abs=1e-5)
    assert [one.rank for one in everything if one.actual] == [
        one.rank for one in alternatives(sampler, ids, 3, count=0)
    ]


def test_equally_likely_tokens_stand_by_their_ids(talker):
    """A model that knows nothing lists its tokens in the order of their ids."""
    sampler = talker()
    with torch.no_grad():
        sampler.model.lm_head.weight.zero_()
    found = alternatives(sampler, [5, 9], 1, count=4)
    assert [(one.id, one.rank, one.actual) for one in found] == [
        (0, 1, False),
        (1, 2, False),
        (2, 3, False),
        (3, 4, False),
        (9, 10, True),
    ]


@pytest.mark.parametrize("place", [-1, 0, 4])
def test_places_without_alternatives(talker, place):
    """There are alternatives from the second token to the one behind the last."""
    with pytest.raises(ValueError, match="outside 1 to 3"):
        alternatives(talker(), [1, 2, 3], place)


@pytest.mark.parametrize("num_samples", [1, 2])
def test_looking_inside_changes_no_reply(talker, num_samples):
    """A reply that is looked into while it streams, and the one after it, are the same as ever."""
    settings = dict(max_new_tokens=60, temperature=1.0, seed=9)

    def talk(look):
        sampler, said = talker(), []
        for prompt in ("hello", "hello there"):
            ids = sampler.tokenizer.encode(prompt)
            for token in sampler.stream(ids, num_samples=num_samples, **settings):
                said.append((token.id, token.logprob, token.dropped))
                if look:
                    score(sampler, ids + ids * 9, n_keep=2)
                    alternatives(sampler, ids * 12, 40)
        return said, sampler.context.prefilled, sampler.context.rows

    assert talk(look=True) == talk(look=False)


def test_texts_make_up_the_whole(byte_tokenizer, talker):
    """A character split over tokens is told with its last byte; a cut one at the end as U+FFFD."""
    sampler = Sampler.of(talker().model, byte_tokenizer)
    text = "ab 😀é\x1b[2J\u202eb"
    ids = byte_tokenizer.encode("a" + text)
    found = score(sampler, ids)
    assert "".join(one.text for one in found) == printable(text)
    assert [one.text for one in found[3:7]] == ["", "", "", "😀"]
    assert [one.label for one in found[3:7]] == ["<0xF0>", "<0x9F>", "<0x98>", "<0x80>"]
    assert b"".join(one.as_bytes for one in found) == text.encode()
    assert [one.text for one in score(sampler, ids[:6])] == ["a", "b", " ", "", "\ufffd"]


def test_labels_are_harmless(byte_tokenizer):
    """A token alone shows its characters, escapes what acts on a terminal, and names its bytes."""
    tokenizer = make_tokenizer("char", ["a é😀\n\t\x1b\x7f\x9b\u202e\u2067"])
    shown = [
        label_of(tokenizer, tokenizer.encode(character)[0])
        for character in "a é😀\n\t\x1b\x7f\x9b\u202e\u2067"
    ]
    assert shown == [
        "a",
        " ",
        "é",
        "😀",
        r"\n",
        r"\t",
        r"\x1b",
        r"\x7f",
        r"\x9b",
        r"\u202e",
        r"\u2067",
    ]
    assert label_of(tokenizer, tokenizer.eot) == END_OF_TEXT
    assert label_of(tokenizer, 100_000) == "<id 100000>"
    labels = [label_of(byte_tokenizer, token) for token in range(byte_tokenizer.n_vocab)]
    assert len(set(labels)) == len(labels)
    assert all(printable(label) == label and "\n" not in label for label in labels)

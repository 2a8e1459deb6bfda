"""Where drafts come from and how long they are: the book's index, the conversation, the pace."""

import random

import numpy as np
import pytest

from tuillm.config import build_train
from tuillm.generation.draft_length import SIZES, DraftLength
from tuillm.generation.draft_tokens import ConversationLookup
from tuillm.generation.suffix_index import (
    BookLookup,
    SuffixIndex,
    index_folder,
    open_index,
    sort_suffixes,
)


def random_ids(chance):
    """Ids as a book might have them: few or many different ones, with passages that recur."""
    entries = chance.choice([1, 2, 3, 20, 300])
    ids = [chance.randrange(entries) for _ in range(chance.randint(1, 300))]
    for _ in range(chance.randrange(4)):
        start = chance.randrange(len(ids))
        ids += ids[start : start + chance.randrange(60)]
    return ids, entries


@pytest.mark.parametrize("seed", range(60))
def test_the_index_finds_what_a_search_finds(seed):
    """Suffixes stand in their order, and a pattern is found as often as it occurs, or not."""
    chance = random.Random(seed)
    ids, entries = random_ids(chance)
    dtype = np.uint8 if entries < 256 else chance.choice([np.uint16, np.uint32])
    order = sort_suffixes(np.array(ids, dtype))
    assert sorted(order.tolist()) == list(range(len(ids)))
    starts = [ids[position : position + 32] for position in order]
    assert starts == sorted(starts)
    index = SuffixIndex(np.array(ids, dtype), order)
    for _ in range(60):
        size = chance.randint(1, 32)
        start = chance.randrange(len(ids))
        pattern = ids[start : start + size]
        if chance.random() < 0.4:
            pattern[-1] = chance.randrange(entries + 1)
        size = len(pattern)
        positions = [at for at in range(len(ids)) if ids[at : at + size] == pattern]
        count, position = index.find(pattern)
        assert count == len(positions) and (position in positions if positions else position == -1)


@pytest.mark.parametrize("seed", range(40))
def test_a_draft_of_the_book_is_what_follows_the_last_ids(seed):
    """Whatever is seen: a draft stands in the book behind as many of the last ids as is told."""
    chance = random.Random(seed)
    ids, entries = random_ids(chance)
    book = np.array(ids, np.uint16)
    lookup = BookLookup(SuffixIndex(book, sort_suffixes(book)))
    seen = [chance.randrange(entries) for _ in range(5)]
    lookup.begin(seen)
    for _ in range(200):
        if chance.random() < 0.1:
            start = chance.randrange(len(ids))
            more = ids[start : start + chance.randrange(1, 30)]
        else:
            more = [chance.randrange(entries)]
        for token in more:
            seen.append(token)
            lookup.push(token)
        known = any(ids[at : at + 4] == seen[-4:] for at in range(len(ids) - 4))
        for _ in range(4):  # in a text that is not of the book it is searched seldom
            match, count = lookup.match(), chance.randint(1, 9)
            lookup._searched = False
        assert bool(match) or not known
        if match:
            draft, size = lookup.take(count), min(match, 32)
            whole = seen[-size:] + draft
            assert draft and len(draft) <= count
            assert any(ids[at : at + len(whole)] == whole for at in range(len(ids)))


@pytest.mark.parametrize("seed", range(40))
def test_a_draft_of_the_conversation_is_what_followed_before(seed):
    """A match is a position before this one with the same ids, and a draft what followed there."""
    chance = random.Random(seed)
    ids, _ = random_ids(chance)
    lookup = ConversationLookup()
    begun = chance.randrange(len(ids))
    lookup.begin(ids[:begun])
    for end in range(begun + 1, len(ids) + 1):
        lookup.push(ids[end - 1])
        seen = ids[:end]
        before = [at for at in range(3, end) if seen[at - 3 : at] == seen[-3:]]
        match = lookup.match()
        assert bool(match) == bool(before)
        if match:
            draft, size = lookup.take(6), min(match, 32)
            follows = [
                at
                for at in range(size, end)
                if seen[at - size : at] == seen[-size:]
                and (seen + draft)[at : at + 6] == draft  # what it drafts may follow itself
            ]
            assert follows


def test_a_conversation_goes_on_or_begins_anew():
    """Of a conversation that goes on only the rest is seen; of another one nothing is left."""
    lookup = ConversationLookup()
    lookup.begin([1, 2, 3, 4, 5, 6])
    lookup.begin([1, 2, 3, 4, 5, 6, 1, 2, 3])
    assert lookup.match() == 3 and lookup.take(3) == [4, 5, 6]
    lookup.begin([1, 2, 3])
    assert lookup.match() == 0


def run(pace, one, several, chance, steps, seed=0):
    """Let a pace choose for so many steps; return how much faster it is than plain decoding."""
    random_ = random.Random(seed)
    seconds, tokens = 0.0, 0
    for _ in range(steps):
        size, _ = pace.choose(0, 8, 0.0) if pace.ready else (1, 1.0)
        took = one if size == 1 else several(size)
        right = 0
        while right < size - 1 and random_.random() < chance:
            right += 1
        seconds, tokens = seconds + took, tokens + 1 + right
        if size == 1:
            pace.plain(took)
        else:
            pace.verified(size, took)
            pace.settled(0, 8, size - 1, right, took)
    return tokens * one / seconds


@pytest.mark.parametrize("each", [0.02, 0.3, 1.0])
@pytest.mark.parametrize("chance", [0.0, 0.1, 0.3])
def test_drafts_rejected_cost_next_to_nothing(each, chance):
    """Where drafts are mostly wrong, or a step costs as much as its tokens, it is turned off."""

    def several(size):
        return 1 + each * (size - 1)

    assert run(DraftLength(), 1.0, several, chance, 600) > 0.975


def test_drafts_that_are_right_are_long():
    """Where drafts are right, and tokens beside others cheap, nearly all that can be is gained."""
    assert run(DraftLength(), 1.0, lambda size: 1 + 0.03 * (size - 1), 0.98, 200) > 6


def test_it_is_tried_again():
    """After a long time in which drafts were wrong, those that are right are found out."""
    pace = DraftLength()
    cost = lambda size: 1 + 0.05 * (size - 1)  # noqa: E731
    run(pace, 1.0, cost, 0.0, 1500)
    assert run(pace, 1.0, cost, 0.97, 300) > 2
    assert max(SIZES) == 16


def test_a_step_that_was_held_up_does_not_turn_it_off():
    """One measurement a hundred times too long is not believed."""
    pace = DraftLength()
    cost = lambda size: 1 + 0.05 * (size - 1)  # noqa: E731
    run(pace, 1.0, cost, 0.97, 50)
    pace.verified(16, 100.0)
    pace.settled(0, 8, 15, 15, 100.0)
    assert run(pace, 1.0, cost, 0.97, 50) > 4


def test_the_index_lies_beside_the_tokens(book, home):
    """The tokens of a corpus are found by what they are of, and their index is mapped."""
    from tuillm.text.corpus import read_corpus
    from tuillm.text.tokens import tokenize

    config = build_train({"corpus": str(book), "tokenizer": "bpe", "vocab_size": 400})
    corpus = read_corpus((str(book),))
    tokens = tokenize(corpus, config)
    names = corpus.sha256, tokens.tokenizer.sha256
    assert open_index(*names) is None
    index_folder(tokens.folder, tokens.train)
    index = open_index(*names)
    assert index is not None and index.ids.tolist() == tokens.train.tolist()
    lookup = BookLookup(index)
    lookup.begin(tokens.train[1000:1040].tolist())
    assert lookup.match() == 32 and lookup.take(9) == tokens.train[1040:1049].tolist()
    assert open_index(names[0], "another") is None
    path = tokens.folder / "suffixes.bin"
    path.write_bytes(path.read_bytes()[:-4])  # damaged
    assert open_index(*names) is None
    index_folder(tokens.folder, tokens.train)
    assert open_index(*names) is not None
    (tokens.folder / "meta.json").write_text("{")
    assert open_index(*names) is None

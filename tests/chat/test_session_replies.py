"""Replies of a session: against a cache-free reference, and against one that was left in peace."""

import random
from dataclasses import asdict
from typing import Any

import pytest
import torch

from tuillm import Sampler
from tuillm.chat.conversation.session import Session
from tuillm.chat.conversation.transcript import dropped_of, window_of
from tuillm.config import build_sampling
from tuillm.errors import UsageError
from tuillm.generation.context_window import slide
from tuillm.generation.sampling import draw
from tuillm.model import GPT
from tuillm.store.chat_template import ChatMode

BLOCK = 32
PLACES = sorted(random.Random(7).sample(range(1, 79), 10))
DIALOGUE = ChatMode("chat", "u: {question}\nm:", ("\nu:", "e"))


def run(tokens, count=None):
    """Take `count` tokens of a reply and close it, or all of them."""
    found = []
    for token in tokens:
        found.append(token)
        if len(found) == count:
            tokens.close()
            break
    return found


class Near(float):
    """A log probability, whose last digits depend on how many tokens were computed at once."""

    __hash__ = float.__hash__

    def __eq__(self, other):
        return isinstance(other, float) and abs(self - other) < 5e-4


def record(session):
    """All that a session holds, but for the times."""
    nodes = [
        asdict(node) | {"created": 0, "logprobs": list(map(Near, node.logprobs))}
        for node in session.tree.nodes.values()
    ]
    return nodes, session.tree.head, session.text


def folded(ids, n_keep=0, block=BLOCK):
    """The window of a text by its policy, one id after another."""
    window = []
    for token in ids:
        window = [*(window if len(window) < block else slide(window, block, n_keep)), token]
    return window


@pytest.mark.parametrize("n_keep", [0, 5])
@pytest.mark.parametrize("length", [1, 2, 31, 32, 33, 47, 48, 49, 64, 65, 200])
def test_window_is_the_policy_id_by_id(length, n_keep):
    """What the model sees of a text is what sliding at each id that finds no place leaves."""
    ids = list(range(length))
    assert window_of(ids, BLOCK, n_keep) == folded(ids, n_keep)
    assert dropped_of(length, BLOCK) == length - len(folded(ids))
    assert window_of(ids, 1) == ids[-1:]


@pytest.mark.parametrize(
    ("block", "count", "n_keep"),
    [(BLOCK, 150, 0), (BLOCK, 150, 5), pytest.param(256, 3000, 0, marks=pytest.mark.slow)],
)
def test_replies_equal_a_reference_without_cache(talker, config, block, count, n_keep):
    """Three turns, in all far past the context, are those of a full forward at every token."""
    session = Session(
        talker(block_size=block),
        build_sampling({"max_new_tokens": count, "n_keep": n_keep}, config),
    )
    expected, dropped = [], 0
    for text in ("hello", "and then " * 9, "go on"):
        session.say(text)
        typed = ("\n" if expected and expected[-1] != 0 else "") + text
        expected += session.sampler.tokenizer.encode(typed)
        tokens = run(session.reply())
        generator = torch.Generator().manual_seed(1)
        for token in tokens:
            window = folded(expected, n_keep, block)
            with torch.no_grad():
                logits = session.sampler.model(torch.tensor([window]))[:, -1]
            expected.append(int(draw(logits, [generator])))
            logprob = float(logits.log_softmax(-1)[0, expected[-1]])
            assert (token.id, token.logprob) == (expected[-1], pytest.approx(logprob, abs=1e-3))
        dropped += sum(token.dropped for token in tokens)
        assert len(tokens) == count and session.ids == expected and session.consistent()
        assert dropped == dropped_of(len(expected) - 1, block)
    assert session.used == (len(folded(expected, n_keep, block)), block)


@pytest.mark.everyday(6)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("mode", ["completion", "chat"])
def test_interrupted_and_taken_up_again(talker, config, place, mode):
    """A reply stopped at any token and gone on with is the very reply, and its node the same."""

    def begin():
        session = Session(
            talker(3, "abcu:\n ", mode == "completion"),
            build_sampling({"max_new_tokens": 80}, config),
        )
        if mode == "chat":
            session.mode = DIALOGUE
        session.say("abba")
        return session

    undisturbed, stopped = begin(), begin()
    run(undisturbed.reply())
    shown = run(stopped.reply(), place)
    assert stopped.consistent() and stopped.tree.head_node.ids == [one.id for one in shown]
    if len(shown) == place and not shown[-1].finish:
        assert stopped.tree.head_node.stopped
        shown += run(stopped.reply())
    assert record(stopped) == record(undisturbed) and stopped.consistent()
    assert "".join(token.text for token in shown) == stopped.tree.head_node.text
    for session in (stopped, undisturbed):
        session.say("more")
        run(session.reply())
    assert record(stopped) == record(undisturbed)


def test_interrupted_at_random_and_spoken_to(talker, config):
    """Ten replies stopped anywhere: what follows is as if each had been that long by its limit."""
    stopped, undisturbed = (Session(talker(), config) for _ in range(2))
    for place in PLACES:
        undisturbed.config = config.model_copy(update={"max_new_tokens": place})
        stopped.config = config.model_copy(update={"max_new_tokens": 200})
        for session, count in ((stopped, place), (undisturbed, None)):
            session.say("hello")
            run(session.reply(), count)
            assert session.consistent()
            cache: Any = session.sampler.context._cache
            assert cache.length == session.sampler.context.length
        assert stopped.ids == undisturbed.ids
        assert stopped.sampler.context.rows == undisturbed.sampler.context.rows
        other: Any = stopped.sampler.context._cache
        for mine, theirs in zip(other._layers, cache._layers, strict=True):
            there = slice(0, cache.length)
            assert torch.allclose(mine[..., there, :], theirs[..., there, :], atol=1e-5)


def test_a_stopped_reply_that_was_answered_goes_on_in_a_copy(talker, config):
    """Going on with a reply that others follow leaves it, and them, as they are."""
    session = Session(talker(), config)
    session.say("hello")
    run(session.reply(), 9)
    reply = session.tree.head
    session.say("more")
    run(session.reply(), 3)
    before = session.ids
    leaf = session.tree.head
    session.goto(reply)
    run(session.reply())
    assert session.tree.ids(leaf) == before and session.tree.head not in (reply, leaf)
    assert session.tree.head_node.ids[:9] == session.tree.nodes[reply].ids
    alone = Session(talker(), config)
    alone.say("hello")
    run(alone.reply())
    assert session.text == alone.text


@pytest.mark.parametrize("calls", [1, 2, 9, 29, 30])
def test_interrupted_inside_the_model(talker, config, calls):
    """Ctrl-C in the middle of a forward pass loses no token that was shown, and nothing else."""
    session, undisturbed, left = Session(talker(), config), Session(talker(), config), [calls]

    def interrupt(*_):
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt

    assert isinstance(session.sampler.model, GPT)
    hook = session.sampler.model.h[1].register_forward_pre_hook(interrupt)
    for one in (session, undisturbed):
        one.say("hello")
    with pytest.raises(KeyboardInterrupt):
        run(session.reply())
    hook.remove()
    run(session.reply())
    run(undisturbed.reply())
    assert record(session) == record(undisturbed) and session.consistent()


def test_seeds(talker, config):
    """A fixed seed counts up with each retry; without one the node tells which it was."""
    session = Session(talker(), config)
    session.say("hello")
    texts = {
        "".join(token.text for token in run(tokens))
        for tokens in (session.reply(), *session.retry(2), session.regenerate())
    }
    assert len(texts) == 4
    assert [node.seed for node in session.tree.children(1)] == [1, 2, 3, 4]
    session.config = build_sampling({"seed": None}, config)
    run(session.regenerate())
    run(session.regenerate())
    first, second = session.tree.children(1)[-2:]
    assert first.seed != second.seed and first.ids != second.ids
    again = Session(talker(), build_sampling({**first.settings, "seed": first.seed}))
    again.say("hello")
    run(again.reply())
    assert again.tree.head_node.ids == first.ids
    assert again.tree.head_node.logprobs == pytest.approx(first.logprobs, abs=1e-3)


def test_settings_change_within_a_reply(talker, config):
    """Set in the middle, a temperature holds from the next token on, and the node tells."""
    session = Session(talker(), config)
    session.say("hello")
    tokens = []
    for token in session.reply():
        tokens.append(token)
        if token.index in (9, 19):
            session.config = build_sampling({"temperature": 0 if token.index == 9 else 1}, config)
        if token.index == 24:
            session.config = build_sampling({"max_new_tokens": 30, "seed": 99, "stop": "a"}, config)
    sampler = talker()
    plain = [token.id for token in sampler.stream("hello", config, max_new_tokens=30)]
    found = [token.id for token in tokens]
    assert found[:10] == plain[:10] and len(found) == 30 and tokens[-1].finish == "length"
    prompt = sampler.tokenizer.encode("hello")
    cold = sampler.stream(prompt + found[:10], config, temperature=0, max_new_tokens=10)
    assert found[10:20] == [token.id for token in cold] != plain[10:20]
    generator = torch.Generator().manual_seed(1)
    torch.rand(20, generator=generator, dtype=torch.float64)  # one number a token, come what may
    with torch.no_grad():
        logits = sampler.model(torch.tensor([prompt + found[:20]]))[:, -1]
    assert found[20] == int(draw(logits, [generator]))
    node = session.tree.head_node
    assert node.settings["temperature"] == 1 and node.seed == 1
    assert node.changes == [
        (10, {"temperature": 0}),
        (20, {"temperature": 1}),
        (25, {"max_new_tokens": 30}),
    ]


def cost(session, tokens):
    """How many ids had to be computed for a reply, and how many it drew."""
    before = session.sampler.context.prefilled
    found = run(tokens)
    return session.sampler.context.prefilled - before, len(found)


def test_only_what_changed_is_computed_again(talker, config):
    """The cost of each way to go on, as the context counts it, is what is new plus the reply."""
    session = Session(talker(block_size=256), config.model_copy(update={"max_new_tokens": 20}))
    session.say("abcdefghij" * 4)
    assert cost(session, session.reply()) == (40 + 19, 20)
    session.say("xyz")
    # the reply's newest id was not read yet; 'newline x y z' are new
    assert cost(session, session.reply()) == (1 + 4 + 19, 20)
    assert cost(session, session.regenerate()) == (1 + 19, 20)
    assert cost(session, session.edit_mine("xyab")) == (2 + 19, 20)
    place = 12
    assert cost(session, session.reroll(place, 3)) == (1 + 20 - place - 1, 20)
    other = "x" if session.tree.head_node.text[0] != "x" else "y"
    assert cost(session, session.edit_reply(other + "bc")) == (3 + 19, 20)
    session.goto(2)
    # id 40 to 59 are the first reply; the two that came after it have nothing in common
    assert cost(session, session.reply()) == (1 + 19, 20)


def test_reroll(talker, config):
    """The tokens before stay, the chosen one follows, the rest is what its seed draws there."""
    session = Session(talker(), config)
    session.say("hello")
    run(session.reply())
    old = session.tree.head_node
    chosen = (old.ids[15] + 1) % 20
    tokens = run(session.reroll(15, chosen))
    new = session.tree.head_node
    assert (new.parent, new.seed, new.forced) == (old.parent, 2, 16)
    assert new.ids == [token.id for token in tokens] and session.consistent()
    assert new.ids[:16] == old.ids[:15] + [chosen] and len(new.ids) == 40
    assert "".join(token.text for token in tokens) == new.text
    ids = session.sampler.tokenizer.encode("hello") + new.ids[:16]
    rest = talker().stream(ids, config, seed=2, max_new_tokens=24)
    assert new.ids[16:] == [token.id for token in rest]
    with torch.no_grad():
        logits = session.sampler.model(torch.tensor([ids[:-1]]))[0, -1]
    assert tokens[15].logprob == pytest.approx(float(logits.log_softmax(-1)[chosen]), abs=1e-3)
    for place, token in ((40, 1), (-1, 1), (3, 10**6), (3, -1)):
        with pytest.raises(UsageError):
            session.reroll(place, token)


@pytest.mark.parametrize("count", [2, 15, 16, 17, 25])
def test_reroll_interrupted_anywhere(talker, config, count):
    """A re-rolled reply stopped before, at or behind the chosen token can be gone on with."""
    session, undisturbed = (Session(talker(), config) for _ in range(2))
    for one in (session, undisturbed):
        one.say("hello")
        run(one.reply())
        run(one.reroll(15, 3), count if one is session else None)
    new = session.tree.head_node
    assert new.forced == min(max(count, 15), 16) and "hello" + new.text == session.text
    run(session.reply())
    assert session.consistent()
    if count > 15:
        assert record(session) == record(undisturbed)
    else:  # the choice was never made
        assert new.ids[:15] == undisturbed.ids[5:20] and len(new.ids) == 40


@pytest.mark.parametrize("place", range(1, 12))
def test_characters_stay_whole_wherever_they_are_cut(chain, config, place):
    """A reply stopped, or ended, within an emoji shows no half of it and goes on with the rest."""
    session = Session(
        chain("😀é"), config.model_copy(update={"temperature": 0, "max_new_tokens": 12})
    )
    session.say("é")
    shown = run(session.reply(), place)
    head = session.tree.head_node
    assert "�" not in "".join(token.text for token in shown) + head.text
    shown += run(session.reply())
    assert head.text == "😀é😀é" == "".join(token.text for token in shown)
    session.undo()
    session.say("é")
    session.config = build_sampling({"max_new_tokens": place}, session.config)
    first = run(session.reply())
    whole = "😀é😀é"[: sum(place >= end for end in (4, 6, 10, 12))]
    assert "".join(token.text for token in first) == whole == session.tree.head_node.text
    session.config = build_sampling({"max_new_tokens": 12}, session.config)
    more = run(session.reply())
    assert (whole + "".join(token.text for token in more)).startswith("😀é😀é")
    assert "�" not in session.tree.head_node.text
    session.undo()
    session.say("é")
    assert session.text == f"é{whole}\né" if place != 12 else True


STOP = ChatMode("chat", "U: {question}\nM:", ("\nU:",))


@pytest.mark.parametrize("place", range(1, 6))
def test_a_stop_string_cut_anywhere(chain, config, place):
    """Stopped within its stop string, a reply ends there; the next turn repeats nothing."""
    session = Session(chain(":hi\nU", "hi\nU:"), build_sampling({"temperature": 0}, config), STOP)
    session.say("a")
    shown = run(session.reply(), place)
    if not shown[-1].finish:
        shown += run(session.reply())
    reply = session.tree.head_node
    assert (reply.text, reply.finish, len(reply.ids)) == ("hi", "stop", 5)
    assert "".join(token.text for token in shown) == "hi"
    session.say("b")
    assert session.text == "U: a\nM:hi\nU: b\nM:"
    assert cost(session, session.reply()) == (len(": b\nM:") + 4, 5)


def test_going_on_after_a_stop_string(chain, config):
    """In one growing text the stop string is told first; in turns it is dropped and drawn anew."""
    config = build_sampling({"temperature": 0, "stop": "\nU", "max_new_tokens": 9}, config)
    session = Session(chain(":hi\nU", "hi\nU:"), config)
    session.say(":")
    run(session.reply())
    assert session.tree.head_node.text == "hi"
    tokens = run(session.reply())
    assert "".join(token.text for token in tokens) == session.tree.head_node.text == "\nU:hi"
    assert session.text == ":hi\nU:hi\nU"
    session.say("x")
    assert session.text == ":hi\nU:hi\nx"
    session.undo()
    session.mode = STOP
    tokens = run(session.reply())
    assert "".join(token.text for token in tokens) == "" and session.text == ":hi\nU:hi\nU"


def test_start_from_nothing_and_end_of_text_typed(talker, config):
    """A reply to nothing continues a line end; '<|endoftext|>' typed is text like any other."""
    session = Session(talker(), config)
    tokens = run(session.reply())
    plain = talker().stream("\n", config)
    assert [token.id for token in tokens] == [token.id for token in plain]
    session.say("<|endoftext|>")
    assert len(session.ids) == 1 + 40 + 1 + len("<|endoftext|>")
    assert session.text.endswith("<|endoftext|>")
    session.clear()
    assert session.used == (0, BLOCK) and session.text == ""


def test_half_surrogates_and_nothing_said(talker, config):
    """What is no text is replaced; saying nothing changes nothing."""
    session = Session(talker(), config)
    session.say("")
    assert not session.tree.nodes
    session.say("a\ud83dé")
    assert session.tree.head_node.text == "a�é"
    with pytest.raises(UsageError, match="nothing"):
        Session(talker(), config).undo()
    for call in (
        lambda s: s.regenerate(),
        lambda s: s.edit_mine("x"),
        lambda s: s.reroll(0, 1),
        lambda s: s.retry(0),
        lambda s: s.edit_reply(""),
        lambda s: s.goto(7),
    ):
        with pytest.raises(UsageError):
            call(Session(talker(), config))


LINE = "Marda said that the ferryboat was resolved and the lamplighter agreed. "


@pytest.mark.parametrize("end", ["reso", "resolved ", "resolved", "resolved and the l"])
def test_half_typed_words_are_finished(line_folder, config, end):
    """A person's last word, or a blank, is read as the model learned it; the typed ids stay."""
    config = build_sampling({"temperature": 0, "max_new_tokens": 7}, config)
    session = Session(Sampler(line_folder), config)
    typed = LINE[:34] + end
    session.say(typed)
    plain = session.sampler.tokenizer.encode(typed)
    tokens = run(session.reply(), 4)
    assert session.consistent()
    tokens += run(session.reply())
    mine, reply = session.tree.nodes.values()
    assert mine.ids == plain and session.text == typed + reply.text and session.consistent()
    assert (LINE * 2).startswith(session.text) and len(reply.ids) == 7
    assert "".join(token.text for token in tokens) == reply.text
    known = session.sampler.tokenizer.encode(LINE * 2)
    assert session.ids == known[: len(session.ids)], "read as it was learned"
    # drawn again the prompt is not tried out again: the first token may even be given
    assert cost(session, session.regenerate()) == (7, 7)
    assert session.tree.head_node.ids == reply.ids
    run(session.edit_reply(LINE[len(typed) : len(typed) + 12]))
    assert (LINE * 2).startswith(session.text) and session.consistent()
    written = session.tree.nodes[4]
    assert (written.text, written.finish) == (LINE[len(typed) :][:12], "written")


def test_only_what_was_typed_is_read_otherwise(line_folder, config):
    """In later turns the model's own words stay; a word it finished cannot be taken from it."""
    config = build_sampling({"temperature": 0, "max_new_tokens": 6}, config)
    session = Session(Sampler(line_folder), config)
    session.say(LINE[:20])
    run(session.reply())
    first = session.ids
    session.say(LINE[:38])
    run(session.reply())
    assert session.ids[: len(first)] == first and session.consistent()
    assert LINE[:50] in session.text and session.tree.head_node.prefix_bytes == 5
    said = session.sampler.tokenizer.encode(" said")[0]
    with pytest.raises(UsageError, match="begins with ' reso'"):
        session.reroll(0, said)
    run(session.reroll(1, said))
    assert "resolved said" in session.text
    session.undo()
    session.config = build_sampling({"heal": False}, config)
    session.say(LINE[:38])
    typed = session.ids
    run(session.reply())
    assert session.ids[: len(typed)] == typed


def test_a_healed_reply_given_up_at_once_leaves_what_was_typed(line_folder, config):
    """Closed before its first token, a reply leaves no trace; the next one is whole."""
    session = Session(Sampler(line_folder), build_sampling({"temperature": 0}, config))
    session.say(LINE[:38])
    session.reply().close()
    assert len(session.tree.nodes) == 1 and session.text == LINE[:38]
    run(session.reply(), 10)
    assert (LINE * 2).startswith(session.text)

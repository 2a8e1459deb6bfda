"""Ctrl-C pressed again and again in a real terminal: the chat lives, and the conversation is whole.

The moments are drawn with a seed (TUILLM_STORM_SEED), which a failure names.
"""

import json
import os
import random
from itertools import count

import pytest
from chat.talking import squeezed

from tuillm import Sampler
from tuillm.chat.conversation.serialize import from_saved, to_saved
from tuillm.chat.conversation.session import Session
from tuillm.chat.conversation.tree import Node, Tree
from tuillm.config import SamplingConfig
from tuillm.store.registry import find_model
from tuillm.store.sessions import list_sessions, load_session, save_session

SEED = int(os.environ.get("TUILLM_STORM_SEED", "11"))
CHATS = int(os.environ.get("TUILLM_STORM_CHATS", "8"))
TEXTS = 3000  # of a conversation that takes a while to save
NEVER = ("Traceback", "Exception", "KeyboardInterrupt", "Unhandled", "Press ENTER", "WARNING")


class Storms:
    """Storms of Ctrl-C over a chat; after each of them all must be as it should."""

    def __init__(self, talk, home, tmp_path, seed):
        self.talk, self.home, self.place = talk, home, tmp_path
        self.random, self.seed = random.Random(seed), seed
        self.number = count(1)
        self.done = 0
        self.chat = None

    def press(self):
        """Press Ctrl-C 2 to 10 times, 5 to 300 ms apart, as often 10 ms as 100."""
        for _ in range(self.random.randint(2, 10)):
            self.chat.interrupt()
            self.chat.pass_time(0.005 * 60 ** self.random.random())
        self.done += 1

    def open(self, *arguments):
        """Open a chat and storm while it loads, a line having been sent."""
        self.chat = self.talk("--seed", "1", "-n", "12", *arguments, wait=False)
        before = self.chat.row
        self.chat.type("while it loads")
        self.chat.pass_time(self.random.uniform(0, 0.3))
        self.press()
        self.check(before)

    def speaking(self):
        """Storm while a long reply streams."""
        self.chat.say("/set max_new_tokens 1000000")
        before = self.chat.row
        self.chat.type("Marda said")
        self.chat.wait(lambda text: self.chat.row > before + 2)
        self.press()
        self.check(before, said=True)

    def saving(self):
        """Storm about the end of a short reply, when the conversation is written down."""
        before = self.chat.row
        self.chat.type("The road")
        self.chat.pass_time(self.random.uniform(0, 0.2))
        self.press()
        self.check(before)

    def prompt(self):
        """Storm at the prompt, over words that were not sent."""
        before = self.chat.row
        self.chat.press("not se")
        self.chat.pass_time(self.random.uniform(0, 0.05))
        self.press()
        self.check(before)

    def command(self):
        """Storm over a command that computes or reads."""
        line = self.random.choice(
            (
                "/score " + "Marda said that " * 4,
                "/why",
                "/book",
                "/sessions",
                "/compare book",
                "/retry 5",
                "/regen",
                "/undo",
            )
        )
        before = self.chat.row
        self.chat.type(line)
        self.chat.pass_time(self.random.uniform(0, 0.2))
        self.press()
        self.check(before)

    def leave(self):
        """Leave the chat: the terminal is as it was before."""
        self.chat.leave()
        self.chat.wait(lambda text: self.chat.cooked)
        assert self.chat.wait_end() == 0

    def check(self, before, said=False):
        """The chat is at its prompt, answers, and what it has in mind is what stands on disk."""
        chat, label = self.chat, f"seed {self.seed}, storm {self.done}"
        chat.wait_prompt(before)
        chat.settle()
        shown = chat.since(before)
        mind = self.mind()
        assert mind is None or mind["tree"] in self.disk(), f"{label}: not kept"
        chat.say("/set max_new_tokens 12")
        answer = chat.say(f"hello {self.done}")
        mind = self.mind()
        assert mind["tree"] in self.disk(), label
        replies = [turn for turn in mind["turns"] if turn["who"] == "model"]
        assert squeezed(replies[-1]["text"]) in squeezed(answer), label
        if said:
            assert squeezed(replies[-2]["text"]) in squeezed(shown), label
        assert not [word for word in NEVER if word in chat.text], f"{label}\n{chat.text}"
        assert not list((self.home / "chats").glob(".*")), label
        assert all(path.stat().st_size for path in (self.home / "chats").iterdir()), label

    def mind(self):
        """What the chat itself has of the conversation, None before there is one."""
        page = self.place / f"{next(self.number)}.json"
        told = self.chat.say(f"/export {page}")
        assert "written to" in told or "there is nothing to write yet" in told
        return json.loads(page.read_text()) if page.exists() else None

    def disk(self):
        """The trees of all conversations that stand on disk."""
        return [
            json.loads(path.read_text())["tree"] for path in (self.home / "chats").glob("*.json")
        ]


@pytest.fixture
def storms(talk, home, tmp_path, monkeypatch):
    """A maker of storms with a seed; short names for files, so that a line holds them."""
    monkeypatch.chdir(tmp_path)

    def make(seed):
        print(f"TUILLM_STORM_SEED={seed}")
        made = Storms(talk, home, tmp_path, seed)
        made.place = tmp_path.relative_to(tmp_path)
        return made

    return make


@pytest.fixture
def long_one(model):
    """A kept conversation of so many texts that saving it takes a while."""
    sampler = Sampler(model)
    tree, ids = Tree(), sampler.tokenizer.encode("Marda said that the road was long.")
    for number in range(TEXTS):
        tree.append(
            Node(
                "you" if number % 2 == 0 else "model",
                number or None,
                "Marda said that the road was long.",
                list(ids),
                forced=len(ids),
            )
        )
    session = Session(sampler, SamplingConfig(), tree=tree)
    return save_session(to_saved(session, find_model(model))).head.id


@pytest.mark.slow
def test_a_handful_of_storms(storms):
    """While it loads, speaks, saves, and at the prompt: the chat lives, nothing is lost."""
    made = storms(SEED)
    made.open()
    made.speaking()
    made.saving()
    made.prompt()
    made.leave()


@pytest.mark.slow
@pytest.mark.parametrize("number", range(CHATS))
def test_many_storms(storms, long_one, number, model):
    """The same over a long conversation, and over commands: five storms or more in each chat.

    What is kept in the end can be taken up again.
    """
    made = storms(SEED * 1000 + number)
    made.open()
    made.chat.say(f"/load {long_one}")
    for storm in made.random.sample([made.speaking, made.saving, made.prompt, made.command] * 2, 5):
        storm()
    made.leave()
    head = max(list_sessions(), key=lambda head: head.updated)
    session, told = from_saved(load_session(head.id), Sampler(model), find_model(model))
    assert told == [] and len(session.tree.nodes) > TEXTS

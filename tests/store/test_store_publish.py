"""Models take long to write: others change the registry meanwhile, and nothing is lost."""

import subprocess
import sys
from contextlib import ExitStack

import pytest

from tuillm.errors import TuillmError
from tuillm.store import registry as models
from tuillm.store.card import ModelCard
from tuillm.store.files import write_json
from tuillm.store.registry import (
    copy_model,
    get_model,
    list_models,
    publish,
    remove_model,
    rename_model,
)
from tuillm.store.usage import using

FILLING = """
import sys
from tuillm.store.card import ModelCard
from tuillm.store.registry import publish
with publish("slow", ModelCard()) as folder:
    (folder / "config.json").write_text("{}")
    print("filling", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def filling():
    """Another process in the middle of publishing 'slow'; a line to it lets it end."""
    with subprocess.Popen(
        [sys.executable, "-c", FILLING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "filling\n"
        yield process
        process.kill()


def hidden(home):
    """What lies in the registry's folder beside the models."""
    return [path.name for path in (home / "models").iterdir() if path.name.startswith(".")]


def test_others_change_the_registry_while_a_model_is_written(add_model, filling, home):
    """Nobody waits for the writer, and nobody clears away what it has written."""
    add_model("ant")
    rename_model("ant", "bee")
    copy_model("bee", "cow")
    remove_model("bee")
    assert len(hidden(home)) == 1
    filling.communicate("\n", timeout=20)
    assert filling.returncode == 0
    assert [model.name for model in list_models()] == ["cow", "slow"]
    assert hidden(home) == []


def test_what_a_killed_writer_left_is_cleared(add_model, filling, home):
    """A folder whose process is gone goes with the next change of the registry."""
    filling.kill()
    filling.wait(timeout=20)
    assert len(hidden(home)) == 1
    add_model("ant")
    assert hidden(home) == []


def test_a_name_taken_while_a_model_was_written_stays_its_owners(add_model, home):
    """The end looks again: who took the name first has it."""
    with pytest.raises(TuillmError, match="'ant' already exists"):
        with publish("ant", ModelCard(corpus="second")) as folder:
            write_json(folder / "config.json", {})
            add_model("ant", corpus="first")
    assert get_model("ant").card.corpus == "first"
    assert hidden(home) == []


def test_a_model_opened_while_another_was_written_is_not_replaced(add_model, home):
    """The end looks again: a model that a chat has opened in the meantime stays."""
    add_model("ant", corpus="first")
    with ExitStack() as chats, pytest.raises(TuillmError, match="in use by chat"):
        with publish("ant", ModelCard(corpus="second"), replace=True):
            chats.enter_context(using("ant", "chat"))
    assert get_model("ant").card.corpus == "first"
    assert hidden(home) == []


def test_a_model_being_copied_is_in_use(add_model, monkeypatch):
    """It is not removed in the middle of its copy."""

    def copy_files(source, folder):
        with pytest.raises(TuillmError, match="in use by a copy"):
            remove_model("ant")

    add_model("ant")
    monkeypatch.setattr(models, "copy_files", copy_files)
    copy_model("ant", "bee")
    remove_model("ant")

"""What the version before the Llama family wrote is listed, resumed and talked with by this one.

`data/format_2` holds a model, a stopped run of it and a conversation in two modes, as that version
left them; its settings have no `arch`, its trees no roles. The text is that of `data/format_1`.
"""

import json
import shutil
from pathlib import Path

import pytest
from commands import tuillm

from tuillm import Sampler, Trainer
from tuillm.chat.conversation.serialize import from_saved
from tuillm.store.registry import list_models
from tuillm.store.run_folder import get_run, list_runs, metric_rows
from tuillm.store.sessions import list_sessions, load_session
from tuillm.training.runner import Runner

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def written(home):
    """The data directory of that version, a copy; returns the text of the run."""
    shutil.copytree(DATA / "format_2" / "home", home)
    return DATA / "format_1" / "book.txt"


def test_all_of_it_is_listed(written):
    """The model as a GPT-2, the run with its curve, the conversation with its branches."""
    (model,), (run,), (head,) = list_models(), list_runs(), list_sessions()
    assert (model.name, model.problem) == ("tale", "")
    assert model.shape and (model.shape.family, model.shape.n_embd) == ("gpt2", 16)
    assert (run.status().state, run.status().step, run.config.arch) == ("stopped", 20, "gpt2")
    assert [row["step"] for row in metric_rows(run)] == [*range(1, 21)]
    assert (head.title, head.mode, head.problem) == ("The road", "chat", "")
    shown = tuillm("show", "tale", "--json")
    assert shown.returncode == 0 and json.loads(shown.stdout)["family"] == "gpt2"


def test_the_conversation_goes_on(written):
    """Its ids are what they were, the seed of a reply gives it again, and another turn follows."""
    sampler, model = Sampler("tale"), list_models()[0]
    saved = load_session(list_sessions()[0].id)
    session, told = from_saved(saved, sampler, model)
    assert told == [] and session.mode.turns
    before = {node["id"]: node["ids"] for node in saved.tree["nodes"]}
    assert {node.id: node.ids for node in session.tree.nodes.values()} == before
    first = session.tree.nodes[2]
    text = sampler.generate("The road", seed=3, temperature=0.7, max_new_tokens=6)
    assert text == first.text
    session.say("And then?")
    list(session.reply())
    assert len(session.tree.nodes) == len(before) + 2 and session.consistent()


def test_its_run_goes_on(written):
    """From the step it was stopped at, to its end."""
    run = get_run("tale-1")
    run.control.unlink()
    trainer = Trainer(config=run.config.model_copy(update={"corpus": (str(written),)}))
    Runner(trainer, run, resume=True).run()
    status = run.status()
    assert (status.state, status.step) == ("finished", 40)
    assert [row["step"] for row in metric_rows(run)] == [*range(1, 41)]

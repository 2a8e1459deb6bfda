"""A push from the dashboard's list of exports: whose repository is typed, and it is asked."""

import pytest
from dashboard.pilot import opened, paste, rows, shown, told, until, use
from hub.push_server import PushHub
from hub.test_push import add_model
from textual.widgets import Input, Static

from tuillm.dashboard.screens.dialogs import Confirm
from tuillm.dashboard.screens.export_dialog import ExportDialog
from tuillm.store.card import ModelCard

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=str)
def test_a_model_is_pushed_by_key(home, tiny_files, monkeypatch, tmp_path, size):
    """It goes to a private repository after a yes; what fails brings the question back."""
    add_model("book", tiny_files, ModelCard(tokenizer="bpe"))
    with PushHub() as hub:
        for name, value in hub.environment(tmp_path / "hf", HF_TOKEN="hf_right").items():
            monkeypatch.setenv(name, value)

        async def push(pilot):
            line = (await opened(pilot, ExportDialog)).query_one(Input)
            await pilot.press("enter")
            await opened(pilot, Confirm)
            await pilot.press("y")
            return line.value

        async def scenario(app, pilot):
            await until(pilot, lambda: rows(app) == ["book"])
            await pilot.press("e")
            screen = await opened(pilot, ExportDialog)
            await pilot.press("up")
            await shown(pilot, "Hugging Face hub", "'/book' is no repository of the hub")
            await paste(pilot, "me")
            note = screen.query_one(".note", Static)
            await until(pilot, lambda: not note.has_class("-error"))
            hub.refusals = [("/api/repos/create", 403)]
            assert await push(pilot) == "me/book"
            await shown(pilot, "does not let you write to me/book")
            assert await push(pilot) == "me/book"
            assert await told(pilot, "pushed ")

        use(scenario, size)
        assert hub.repositories["me/book"].private and len(hub.commits) == 1

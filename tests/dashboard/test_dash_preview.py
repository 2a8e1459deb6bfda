"""The form looks into the corpus: fields to choose, what `auto` becomes, the first document."""

import json
import zipfile

import pytest
from dashboard.pilot import both_sizes, opened, piloted, shown, strips_of, text_of, until, use
from textual.widgets import Collapsible, Input, Select

from tuillm.dashboard.screens.train import TrainScreen
from tuillm.dashboard.widgets.forecast_panel import ForecastPanel
from tuillm.dashboard.widgets.form import TrainForm
from tuillm.dashboard.widgets.found_field import FoundList

pytestmark = pytest.mark.slow

FIELDS = ("text_field", "question_field", "answer_field", "context_field")


@pytest.fixture
def pairs(tmp_path):
    """Questions with answers as KazQAD has them."""
    path = tmp_path / "pairs.jsonl"
    rows = [
        {
            "id": f"n{number}",
            "context": "The salt road leads to the sea. " * 20,
            "question": "Where does the road lead?",
            "answers": {"text": ["To the sea", "the sea"], "answer_start": [24]},
        }
        for number in range(200)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


async def form_of(pilot):
    """Go to the form, set to what trains in seconds, and return it."""
    await pilot.press("2")
    form = (await opened(pilot, TrainScreen)).query_one(TrainForm)
    form["preset"].fill("nano")
    form["tokenizer"].fill("char")
    return form


def placeholder(form, name):
    """What stands in an empty field."""
    return form[name].query_one(Input).placeholder


def text_style(app, words):
    """The style of the first segment on screen that has some words."""
    for strip in strips_of(app):
        for segment in strip:
            if words in segment.text:
                return segment.style
    raise AssertionError(f"{words} is not on the screen:\n{text_of(app)}")


@both_sizes
def test_the_first_document_is_shown(pairs, size):
    """Prompt dim, answer plain, special tokens visible; the format stands on the folded group."""

    async def scenario(app, pilot):
        form = await form_of(pilot)
        form["corpus"].fill(str(pairs))
        await until(pilot, lambda: app.screen.query_one(ForecastPanel)._preview)
        folded = form.query_one("#group-text", Collapsible)
        said = "The text · 19 · qa, question → answers.text[0]"
        await until(pilot, lambda: str(folded.title).replace("\\[", "[") == said)
        panel = app.screen.query_one(ForecastPanel)

        def seen():
            panel.scroll_end(animate=False)  # more comes above it meanwhile
            return "To the sea<|endoftext|>" in text_of(app)

        await until(pilot, seen)
        await shown(pilot, "dim: read, not learned", "<|user|>", "<|assistant|>")
        assert text_style(app, "Where does").color != text_style(app, "To the sea").color
        assert text_style(app, "<|assistant|>").color != text_style(app, "To the sea").color

    use(scenario, size)


@piloted()
async def test_fields_are_offered_and_chosen_by_keys(app, pilot, pairs):
    """Enter lists the fields with a sample each; what is chosen decides the next document."""
    form = await form_of(pilot)
    form["corpus"].fill(str(pairs))
    await until(pilot, lambda: placeholder(form, "answer_field") == "auto: answers.text[0]")
    assert placeholder(form, "question_field") == "auto: question"
    assert placeholder(form, "context_field") == "none"
    prompt = str(form["format"].query_one(Select).prompt)
    assert prompt == "auto: qa, question → answers.text[0]"
    await pilot.press("ctrl+a")
    line = form["context_field"].query_one(Input)
    line.focus()
    await pilot.press("enter")
    await shown(pilot, "The salt road leads", "answers.answer_start")
    await pilot.press("escape")
    assert line.has_focus and form["context_field"].text == ""
    await pilot.press("enter", "j", "down", "enter")
    await until(pilot, lambda: form["context_field"].text == "context" and line.has_focus)
    panel = app.screen.query_one(ForecastPanel)
    await until(pilot, lambda: panel._preview and panel._preview.chosen.get("context") == "context")
    await until(pilot, lambda: placeholder(form, "answer_field") == "auto: answers.text[0]")
    await pilot.press("enter", "home", "enter")  # auto again
    assert form["context_field"].text == ""


@piloted()
async def test_a_missing_field_is_one_line(app, pilot, pairs):
    """The panel says which field is not there, and shows those that are."""
    form = await form_of(pilot)
    form["corpus"].fill(str(pairs))
    form["answer_field"].fill("answers.nope")
    await shown(pilot, "no field 'answers.nope'", "The fields of the records", "answers.text")
    form["answer_field"].fill("answers.text")
    await shown(pilot, "qa, question → answers.text")


@piloted()
async def test_a_corpus_without_records_offers_no_field(app, pilot, pairs, tmp_path):
    """An archive and a folder of texts are previewed as texts; a wrong path takes all back."""
    form = await form_of(pilot)
    form["corpus"].fill(str(pairs))
    await until(pilot, lambda: form["text_field"].query_one(FoundList).option_count)
    archive = tmp_path / "texts.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("one.txt", "once upon a time\n" * 200)
        file.writestr("two.txt", "twice upon a time\n" * 200)
        file.writestr("photo.png", b"\x89PNG\r\n\x1a\n" + bytes(256))
    form["corpus"].fill(str(archive))
    await shown(pilot, "2 files, 1 skipped", "The first document", "once upon a time")
    assert not any(form[name].query_one(FoundList).option_count for name in FIELDS)
    folder = tmp_path / "[red]folder"
    folder.mkdir()
    (folder / "a.txt").write_text("thrice upon\x1b[31m a time\n" * 200)
    form["corpus"].fill(f"'{folder}'")
    await shown(pilot, "thrice upon")
    form["corpus"].fill(str(tmp_path / "none"))
    await shown(pilot, "does not exist")
    assert str(form.query_one("#group-text").title) == "The text · 19"


@piloted()
async def test_a_real_data_set(app, pilot, shared_data):
    """KazQAD: 3.7 MB of nested records in Kazakh."""
    form = await form_of(pilot)
    form["corpus"].fill(str(shared_data / "kazqad-validation.jsonl"))
    await until(pilot, lambda: placeholder(form, "answer_field") == "auto: answers.text[0]")
    await shown(pilot, "Энергетикалық", "<|user|>")

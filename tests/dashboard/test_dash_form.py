"""The form of a run: each field checks as one types, says its range, and shows what is usual."""

import shutil

import pytest
from dashboard.pilot import opened, paste, piloted, shown, toasts, told, type_text, until
from textual.widgets import Collapsible, Input, Select, Static

from tuillm.config import PRESETS, TrainConfig, settings_of
from tuillm.config.check_setting import check_setting
from tuillm.dashboard.screens.train import TrainScreen
from tuillm.dashboard.widgets.field import SettingField
from tuillm.dashboard.widgets.form import FIRST, TrainForm
from tuillm.dashboard.widgets.preset_field import PresetList
from tuillm.errors import UsageError
from tuillm.store.workers.forecast_process import PresetEstimate

pytestmark = pytest.mark.slow

WRONG = {
    "n_layer": ("-1", "n_layer cannot be -1 (allowed: 0 <= whole number <= 96)"),
    "learning_rate": ("x", "learning_rate cannot be 'x' (allowed: 0 < number <= 1)"),
    "dropout": ("1.5", "dropout cannot be 1.5 (allowed: 0 <= number < 1)"),
    "max_steps": ("0", "max_steps cannot be 0 (allowed: 1 <= whole number <= 1000000000)"),
    "seed": ("-5", "seed cannot be -5 (allowed: 0 <= whole number < 2^63)"),
}


def about(field):
    """The line below a field, and whether it is a complaint."""
    line = field.query_one(".about", Static)
    return str(line.content), line.has_class("-error")


def placeholder(form, name):
    """What stands in an empty field."""
    field = form[name]
    return (
        str(field.query_one(Select).prompt)
        if field.query(Select)
        else (field.query_one(Input).placeholder)
    )


async def form_of(pilot):
    """Go to the form and return it."""
    await pilot.press("2")
    return (await opened(pilot, TrainScreen)).query_one(TrainForm)


@piloted()
async def test_each_field_checks_as_one_types(app, pilot):
    """Every setting is a field; a wrong value is named there with its range, until it is right."""
    form = await form_of(pilot)
    names = [field.setting.name for field in form.query(SettingField)]
    declared = [setting.name for setting in settings_of(TrainConfig)]
    assert sorted(names) == sorted(declared) and tuple(names[: len(FIRST)]) == FIRST
    assert {choice for _, choice in form["preset"]._choices} == set(PRESETS)
    groups = list(form.query(Collapsible))
    assert len(groups) == 5 and all(group.collapsed for group in groups)
    await pilot.press("ctrl+a")
    assert not any(group.collapsed for group in groups), "the rare ones are unfolded"
    for name, (value, problem) in WRONG.items():
        field = form[name]
        line = field.query_one(Input)
        assert about(field) == (f"{field.setting.help} · {name}", False)
        line.focus()
        said = f"{field.setting.help} [{field.setting.range}] · {name}"
        await until(pilot, lambda field=field, said=said: about(field) == (said, False))
        await paste(pilot, value)
        await until(pilot, lambda field=field, problem=problem: about(field) == (problem, True))
        line.value = ""
        await until(pilot, lambda field=field: not about(field)[1])
    form["dropout"].fill("0.5")
    await until(pilot, lambda: form.typed == {"dropout": 0.5} and not about(form["dropout"])[1])


@piloted()
async def test_what_cannot_work_is_not_started(app, pilot, book):
    """No text, a wrong value, values that do not fit together, no name: said before the start."""
    form = await form_of(pilot)
    line = app.screen.query_one("#problem", Static)
    await pilot.press("tab", "ctrl+r")
    assert await told(pilot, "no text was named (Ctrl-O picks one)")
    await until(pilot, lambda: app.screen.focused.name == "corpus")
    form["corpus"].fill("/no/such.txt")
    await until(pilot, lambda: "/no/such.txt does not exist" in str(line.content))
    await pilot.press("ctrl+r")
    assert await told(pilot, "/no/such.txt does not exist")
    form["corpus"].fill(str(book))
    for name, value, problem, right in (
        ("n_layer", "-1", WRONG["n_layer"][1], ""),
        ("n_head", "3", "n_embd 128 is not divisible by n_head 3", "4"),
        ("name", "my/book", "my/book", "my-book"),
    ):
        form[name].fill(value)
        await until(pilot, lambda problem=problem: problem in str(line.content))
        await pilot.press("ctrl+r")
        assert await told(pilot, problem)
        form[name].fill(right)
        await until(pilot, lambda: not line.display)
    assert isinstance(app.screen, TrainScreen) and not app.runs


@piloted()
async def test_a_preset_changes_what_is_usual(app, pilot):
    """Empty fields show what the preset decides; what was typed stays."""
    form = await form_of(pilot)
    assert placeholder(form, "n_layer") == "4" and form["preset"].effective == "tiny"
    form["learning_rate"].fill("0.00002")  # below what this preset ends with
    form["preset"].fill("gpt2")
    await until(pilot, lambda: placeholder(form, "n_layer") == "12")
    usual = {name: placeholder(form, name) for name in ("n_embd", "tokenizer", "bias", "minutes")}
    assert usual == {"n_embd": "768", "tokenizer": "gpt2", "bias": "yes", "minutes": "auto"}
    assert form["learning_rate"].text == "0.00002"
    form["preset"].fill("nano")
    await until(pilot, lambda: placeholder(form, "max_steps") == "80")
    form["n_head"].fill("x")
    form["preset"].fill("")
    await until(pilot, lambda: placeholder(form, "n_layer") == "4")


@piloted()
async def test_starting_from_a_model(app, pilot, house):
    """Models are offered, damaged ones are not; the chosen one decides the shape, and may go."""
    form = await form_of(pilot)
    select = form["init_from"].query_one(Select)
    names = [name for _, name in select._options if isinstance(name, str) and name]
    assert names == sorted(model.name for model in app.models if model.name != "broken")
    select.focus()
    await pilot.press("enter", *"tang", "enter")
    await until(pilot, lambda: form["init_from"].text == "tang-poems")
    await until(pilot, lambda: placeholder(form, "n_embd") == "192")
    usual = {name: placeholder(form, name) for name in ("block_size", "tokenizer")}
    assert usual == {"block_size": "256", "tokenizer": "char"}
    assert form["preset"].effective == "finetune"
    form["n_layer"].fill("4")
    form["block_size"].fill("128")  # windows may be shorter than the model's context
    await until(pilot, lambda: form.config().block_size == 128)
    form["n_layer"].fill("7")
    await until(pilot, lambda: form["n_layer"].text == "7")
    with pytest.raises(UsageError, match="n_layer cannot be 7: the model 'tang-poems' has 4"):
        form.config()
    form["n_layer"].fill("")
    form["lora"].fill("yes")
    await until(pilot, lambda: placeholder(form, "lora_targets") == "c_attn")
    form["lora_targets"].fill("q_proj")
    await until(pilot, lambda: form["lora_targets"].text == "q_proj")
    with pytest.raises(UsageError, match="'q_proj' .allowed: c_attn or .* or all, in a gpt2"):
        form.config()
    form["lora_targets"].fill("all")
    await until(pilot, lambda: len(form.config().lora_targets or ()) == 4)
    shutil.copytree(house / "models" / "demo", house / "models" / "another")
    await until(pilot, lambda: ("another", "another") in select._options)
    assert form["init_from"].text == "tang-poems", "what was chosen stays"
    shutil.rmtree(house / "models" / "tang-poems")
    await until(pilot, lambda: form["init_from"].text == "")


@piloted(size=(80, 24))
async def test_the_form_works_by_keys(app, pilot):
    """Tab and the arrows go from field to field, Escape leaves; it is kept meanwhile."""
    form = await form_of(pilot)
    text = await shown(pilot, "Name a text", "corpus")
    assert text.index("corpus") < text.index("Name a text"), "the forecast stands below"
    assert app.screen.focused.name == "corpus"
    seen = []
    for key in ("tab", "tab", "tab", "tab"):
        await pilot.press(key)
        seen.append(
            next(
                field.setting.name
                for field in form.query(SettingField)
                if field.has_pseudo_class("focus-within")
            )
        )
    assert seen == ["init_from", "preset", "name", "tokenizer"]
    await pilot.press("shift+tab", "shift+tab", "up", "shift+tab")
    assert app.screen.focused.name == "corpus"
    await pilot.press("tab", "tab", "tab")
    assert app.screen.focused.name == "name"
    await type_text(pilot, "j1")
    assert form["name"].text == "j1", "letters and digits are text while one types"
    await pilot.press("escape")
    assert app.screen.focused is None
    await pilot.press("1", "2")
    assert (await opened(pilot, TrainScreen)).query_one(TrainForm) is form
    assert form.typed == {"name": "j1"} and not toasts(app)
    await pilot.press("ctrl+l", "escape", "tab")
    assert app.screen.focused is not None and form.typed == {}


@piloted()
async def test_a_preset_is_chosen_from_a_table(app, pilot):
    """Its rows tell time, memory and size; the one that is moved to is chosen, the ends lead on."""
    form = await form_of(pilot)
    await shown(pilot, "3  How long, how good?", "45 min", "1 min")
    field = form["preset"]
    rows = field.query_one(PresetList)
    rows.focus()
    await pilot.press("down", "down")
    await shown(pilot, "best: an evening for the best model of one book")
    await until(pilot, lambda: form.typed == {"preset": "best"})
    await until(pilot, lambda: placeholder(form, "teachers") == "5")
    await pilot.press("up", "up", "up")
    assert app.screen.focused in form["init_from"].query("*")
    form["init_from"].fill("")
    form["preset"].fill("")
    await until(pilot, lambda: field.effective == "tiny" and rows.highlighted == 0)
    form.show_estimates([PresetEstimate("tiny", 1_060_000, 5 * 10**12, 90.0, False)])
    await shown(pilot, "1.5 min", "5 TB")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_layer", "3"),
        ("dropout", "0.1"),
        ("bias", True),
        ("corpus", ["a", "b"]),
        ("tokenizer", "bpe"),
        ("name", "x"),
        ("minutes", "1e-3"),
        ("seed", "0"),
    ],
)
def test_single_values_that_are_fine(name, value):
    """What the config takes as a whole is taken one by one as well."""
    found = check_setting(TrainConfig, name, value)
    assert found == getattr(TrainConfig(**{"max_steps": 5, name: value}), name)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("minutes", "nan", "0 < number <= 100000"),
        ("beta2", "inf", "0 <= number < 1"),
        ("vocab_size", "12", "260 <= whole number <= 65536"),
        ("n_head", "1.5", "1 <= whole number <= 128"),
        ("tokenizer", "words", "auto or char or bpe or gpt2"),
        ("bias", "perhaps", "true or false"),
        ("n_layer", "", "0 <= whole number <= 96"),
        ("device", 3, "auto or cpu or cuda or mps"),
    ],
)
def test_single_values_that_are_not(name, value, allowed):
    """The error names the setting, the value and what is allowed."""
    with pytest.raises(UsageError) as caught:
        check_setting(TrainConfig, name, value)
    said = value if name in ("minutes", "beta2", "vocab_size", "n_head") else repr(value)
    assert str(caught.value) == f"{name} cannot be {said} (allowed: {allowed})"

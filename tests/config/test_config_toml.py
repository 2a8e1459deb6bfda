"""Files that a person writes by hand, as editors and programs leave them: one line, or accepted."""

import codecs
import tomllib

import pytest

from tuillm.config import TrainConfig, build_train, read_toml, settings_of
from tuillm.dashboard.keymap import read_keymap
from tuillm.errors import TuillmError, UsageError
from tuillm.store.paths import config_dir, themes_dirs
from tuillm.theme import DEFAULT, chosen_theme, list_themes, read_theme

THEME = (themes_dirs()[0] / f"{DEFAULT}.toml").read_text(encoding="utf-8")
# as TOML has them, and a short look at each
VALUES = {
    "a table": "{a = 1}",
    "an array": "[[1], 2]",
    "a date": "1979-05-27",
    "a time": "07:32:00",
    "a moment": "1979-05-27T07:32:00Z",
    "nan": "nan",
    "inf": "-inf",
    "a long number": "9" * 400,
    "a text": '"x y"',
    "a long text": f'"{"z" * 5000}"',
    "yes or no": "true",
    "a number": "0.5",
}


def config_of(settings):
    return build_train({}, settings)


def own(name, content):
    path = config_dir() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("value", VALUES.values(), ids=list(VALUES))
@pytest.mark.parametrize("setting", settings_of(TrainConfig), ids=lambda setting: setting.name)
def test_a_value_of_the_wrong_type_is_one_line(setting, value, tmp_path):
    """Whatever TOML can hold is a value of the setting, or a line with its name and the range."""
    path = tmp_path / "run.toml"
    path.write_text(f"{setting.name} = {value}\n")
    try:
        config_of(read_toml(path))
    except UsageError as error:
        told = str(error)
        assert "\n" not in told and len(told) < 300
        assert setting.name in told or "preset" in told
        assert "Error" not in told and "datetime" not in told
    else:
        tomllib.loads(path.read_text())


def test_numbers_in_texts_are_the_numbers():
    """Layers are compared as numbers, whatever they were written as."""
    config = build_train({"preset": "heart"}, {"learning_rate": "1e-6", "n_layer": "2"})
    assert (config.learning_rate, config.n_layer, config.min_lr) == (1e-6, 2, 0.0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("n_layer = 3".encode("utf-16"), "UTF-16"),
        ("n_layer = 3".encode("utf-16-le"), "UTF-16"),
        ("n_layer = 3".encode("utf-32"), "UTF-32"),
        (b"name = '\xe9t\xe9'", "line 1, byte 9"),
        (b"a = " + b"[" * 5000, "nested too deeply"),
        (b"a = " + b"9" * 5000, "digits"),
        (b"a = 1\na = 2\n", "line 2"),
        (b"#" * 16_000_001, "longer than 16 MB"),
        (b"[n_layer]\nx = 1\n", "n_layer cannot be {'x': 1} (allowed: 0 <= whole number <= 96)"),
        (b"[[n_layer]]\n", "n_layer cannot be [{}]"),
        (b"[training]\nn_layer = 3", "'training'"),
        (b'"n layer" = 3', "'n_layer'"),
        (b"corpus = [1]", "corpus cannot be"),
        (b"init_from = 3", "init_from cannot be 3 (allowed: text)"),
    ],
)
def test_a_config_that_cannot_be_used_is_one_line(content, words, tmp_path):
    """The line says what is wrong and where."""
    path = tmp_path / "run.toml"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        config_of(read_toml(path))
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_byte_order_mark_is_dropped_everywhere(home, tmp_path):
    """Editors on Windows put one before settings, themes and keys."""
    path = tmp_path / "run.toml"
    path.write_bytes(codecs.BOM_UTF8 + b"n_layer = 3\n")
    assert read_toml(path) == {"n_layer": 3}
    own("settings.toml", codecs.BOM_UTF8 + b'theme = "foxed"\n')
    assert chosen_theme() == "foxed"
    own("keymap.toml", codecs.BOM_UTF8 + b'[keys]\n"models.chat" = "f5"\n')
    assert read_keymap() == ({"models.chat": "f5"}, [])
    theme = own("themes/mine.toml", codecs.BOM_UTF8 + THEME.encode())
    assert read_theme(theme).dark
    assert list_themes()[1] == []


@pytest.mark.parametrize("value", [*VALUES.values(), None], ids=[*VALUES, "UTF-16"])
def test_settings_of_the_wrong_type_are_named_once(home, value):
    """The theme of the settings is a name; the default holds where it is none."""
    content = f"theme = {value}\n"
    path = own("settings.toml", content if value else 'theme = "foxed"'.encode("utf-16"))
    assert chosen_theme() == DEFAULT
    (error,) = list_themes()[1]
    assert str(path) in str(error) and "\n" not in str(error) and len(str(error)) < 400
    assert "UTF-16" in str(error) or f'theme = "{DEFAULT}"' in str(error)


@pytest.mark.parametrize("value", [*VALUES.values(), None], ids=[*VALUES, "UTF-16"])
def test_a_key_of_the_wrong_type_is_named(home, value):
    """As the key map's other faults are, with how it is written."""
    content = f'[keys]\n"models.chat" = {value}\n'
    path = own("keymap.toml", content if value else "[keys]".encode("utf-16"))
    keymap, errors = read_keymap()
    if value and value.startswith('"'):
        return  # a text may be any key
    assert keymap == {} and len(errors) == 1
    assert str(path) in str(errors[0]) and len(str(errors[0])) < 400


@pytest.mark.parametrize("value", VALUES.values(), ids=list(VALUES))
@pytest.mark.parametrize("key", ["primary", "dark", "about", "colors"])
def test_a_theme_of_the_wrong_type_is_named(home, key, value):
    """A role is a colour, dark is true or false, about is a sentence, colors are a table."""
    lines = THEME.splitlines()
    if key == "primary":
        lines = [f"{key} = {value}" if line.startswith(key) else line for line in lines]
    else:
        lines = [line for line in lines if not line.startswith((key, f"[{key}"))]
        lines.insert(0, f"{key} = {value}")
    path = own("themes/mine.toml", "\n".join(lines))
    try:
        assert read_theme(path).name == "mine"  # about takes any text, dark takes true
    except TuillmError as error:
        assert key[:4] in str(error) and "\n" not in str(error) and len(str(error)) < 300


def test_a_folder_that_may_not_be_entered_is_told(home, tmp_path):
    """A key map behind a file that is no folder is one line, as is a directory of its name."""
    (config_dir() / "keymap.toml").mkdir(parents=True)
    keymap, errors = read_keymap()
    assert keymap == {} and "directory" in str(errors[0])

"""Data sets of the hub: their names, and their rows from a hub of our own on loopback.

HF_ENDPOINT is read when `huggingface_hub` is imported, so each hub is asked by another process.
"""

import json
import subprocess
import sys

import pytest
from text.sources.dataset_server import DatasetServer

from tuillm.errors import TuillmError
from tuillm.store.workers.processes import module_environment
from tuillm.text.sources.hub_dataset import DatasetName, is_dataset, open_dataset, parse_dataset

# names


@pytest.mark.parametrize(
    "source, name",
    [
        ("hf://datasets/org/name", DatasetName("org/name")),
        ("hf://datasets/squad", DatasetName("squad")),
        ("hf://datasets/org/name:test", DatasetName("org/name", "", "test")),
        ("hf://datasets/org/name/20231101.en", DatasetName("org/name", "20231101.en")),
        ("hf://datasets/org/na.me_x/en-US:train", DatasetName("org/na.me_x", "en-US", "train")),
        ("hf://datasets/org/name@v1.0/cfg", DatasetName("org/name", "cfg", "", "v1.0")),
        (
            "hf://datasets/org/name@refs/convert/parquet/cfg:train",
            DatasetName("org/name", "cfg", "train", "refs/convert/parquet"),
        ),
    ],
)
def test_a_name_is_read_and_written_as_it_was(source, name):
    assert parse_dataset(source) == name and str(name) == source


@pytest.mark.parametrize(
    "source",
    [
        *("org/name", "hf://org/name", "https://huggingface.co/datasets/org/name", ""),
        *("hf://datasets/", "hf://datasets//name", "hf://datasets/org/name/a/b"),
        *("hf://datasets/../../etc", "hf://datasets/org/..", "hf://datasets/-x/y"),
        *("hf://datasets/org/na me", "hf://datasets/org/name:", "hf://datasets/org/name::train"),
        *(
            "hf://datasets/org/name\x1b[31m\n",
            "hf://datasets/org/näme",
            "hf://datasets/o/" + "n" * 999,
        ),
    ],
)
def test_what_is_no_name_is_one_line_with_what_to_type(source):
    with pytest.raises(TuillmError, match=r"\(hf://datasets/OWNER/NAME, ") as error:
        parse_dataset(source)
    assert str(error.value).isprintable() and len(str(error.value)) < 300


def test_a_part_of_a_split_cannot_be_had():
    with pytest.raises(TuillmError, match="names a part of a split.*whole split"):
        parse_dataset("hf://datasets/org/name:train[:100]")


def test_names_are_told_from_other_sources():
    assert is_dataset("hf://datasets/org/name") and not is_dataset("hf://org/name")


def test_data_sets_need_the_extra(monkeypatch):
    monkeypatch.setattr("tuillm.text.sources.open_item.find_spec", lambda name: None)
    with pytest.raises(TuillmError, match=r"pip install 'tuillm\[datasets\]'"):
        open_dataset(DatasetName("org/name"))


# rows

ASK = """
import json, sys
from tuillm.errors import TuillmError
from tuillm.text.sources.hub_dataset import open_dataset, parse_dataset
for source in sys.argv[1:]:
    try:
        records = open_dataset(parse_dataset(source))
        found = [[record.number, record.values] for record in records]
        assert found == [[record.number, record.values] for record in records]
        print(json.dumps(found, default=repr))
    except TuillmError as error:
        print(json.dumps(str(error)))
"""


def lines(split, count=5):
    return "".join(
        json.dumps({"text": f"{split} {n}", "answers": {"text": ["a"], "start": [n]}}) + "\n"
        for n in range(count)
    ).encode()


CONFIGS = b"""---
configs:
- config_name: en
  data_files: [{split: train, path: en.jsonl}]
- config_name: de
  data_files: [{split: train, path: de.jsonl}]
---
"""
REPOSITORIES = {
    "org/plain": {
        "README.md": b"# rows\n",
        "train.jsonl": lines("train"),
        "test.jsonl": lines("t"),
    },
    "org/configs": {"README.md": CONFIGS, "en.jsonl": lines("en"), "de.jsonl": lines("de")},
    "org/splits": {"validation.csv": b"text\nv\n", "test.csv": b"text\nt\n"},
    "org/only": {"data/test-00000-of-00001.jsonl": lines("test", 1)},
    "org/script": {"README.md": b"x", "script.py": b"open('/tmp/executed', 'w')"},
    "org/gated": {"README.md": b"x", "train.jsonl": lines("train")},
    "org/empty": {"README.md": b"x"},
    "org/broken": {"train.jsonl": b'{"text": "a"}\n{"text": \n'},
}


@pytest.fixture
def ask(tmp_path):
    """A function that opens data sets in a process that knows our hub: rows, or what was said."""
    pytest.importorskip("datasets", reason="the extra `datasets` is not installed")
    (tmp_path / "empty").mkdir()
    with DatasetServer(REPOSITORIES, gated=("org/gated",)) as server:

        def run(*sources, folder=tmp_path / "empty", **environment):
            usual = module_environment()
            known = {key: value for key, value in usual.items() if "PROXY" not in key.upper()}
            done = subprocess.run(
                [sys.executable, "-c", ASK, *sources],
                env=known
                | {"HF_ENDPOINT": server.address, "HF_HUB_OFFLINE": "0"}
                | {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_TELEMETRY": "1"}
                | environment,
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=120,
            )
            assert done.returncode == 0, done.stderr
            assert not done.stderr, done.stderr
            return [json.loads(line) for line in done.stdout.splitlines()]

        run.server = server
        yield run


@pytest.mark.slow
def test_rows_are_streamed_by_split_and_config(ask):
    """Nested values come whole; a data set that once had no owner is found."""
    plain, test, config, only, old = ask(
        "hf://datasets/org/plain",
        "hf://datasets/org/plain:test",
        "hf://datasets/org/configs/de:train",
        "hf://datasets/org/only",
        "hf://datasets/old",
    )
    assert plain == [
        [n + 1, {"text": f"train {n}", "answers": {"text": ["a"], "start": [n]}}] for n in range(5)
    ]
    assert [values["text"] for _, values in test] == [f"t {n}" for n in range(5)]
    assert [values["text"] for _, values in config] == [f"de {n}" for n in range(5)]
    assert [values["text"] for _, values in only] == ["test 0"]
    assert old == plain


@pytest.mark.slow
def test_what_cannot_be_had_is_one_line(ask):
    """A script of a data set is not executed."""
    said = ask(
        "hf://datasets/org/plain:tset",
        "hf://datasets/org/splits",
        "hf://datasets/org/configs",
        "hf://datasets/org/configs/ed",
        "hf://datasets/org/nothing",
        "hf://datasets/json",
        "hf://datasets/org/gated",
        "hf://datasets/org/plain@v9",
        "hf://datasets/org/script",
        "hf://datasets/org/empty",
        "hf://datasets/org/broken",
    )
    host = ask.server.address.removeprefix("http://")
    known = "that you may see (check the spelling; for a private one: hf auth login)"
    assert said[:-1] == [
        "hf://datasets/org/plain:tset has no split 'tset', but train, test (did you mean 'test'?)",
        "hf://datasets/org/splits has several splits (name one behind a colon: validation, test)",
        "hf://datasets/org/configs has several configs: en, de (hf://datasets/org/configs/en)",
        "org/configs has no config 'ed', but en, de",
        f"{host} has no data set 'org/nothing' {known}",
        f"{host} has no data set 'json' {known}",
        "hf://datasets/org/gated is gated: its owners decide who may read it (ask them on "
        f"https://{host}/datasets/org/gated, then: hf auth login)",
        "org/plain has no revision 'v9' (name a branch, a tag or a commit)",
        "hf://datasets/org/script is made by a script, which is not executed (most have their "
        "rows as files, too: hf://datasets/org/script@refs/convert/parquet)",
        "hf://datasets/org/empty has no files that can be read as a table",
    ]
    assert said[-1].startswith("hf://datasets/org/broken cannot be read: ")
    assert all(line.isprintable() and len(line) < 250 for line in said)


@pytest.mark.slow
def test_offline_and_unreachable_are_one_line(ask):
    assert ask("hf://datasets/org/plain", HF_HUB_OFFLINE="1") == [
        "hf://datasets/org/plain has to be fetched, and HF_HUB_OFFLINE forbids it "
        "(unset HF_HUB_OFFLINE)"
    ]
    assert not ask.server.asked
    assert ask("hf://datasets/org/plain", HF_ENDPOINT="http://127.0.0.1:9") == [
        "127.0.0.1:9 cannot be reached (connect to the network and try again)"
    ]


@pytest.mark.slow
def test_a_folder_of_the_same_name_is_not_read(ask, tmp_path):
    """What lies here may have the name of a data set, or of one of the library's readers."""
    folder = tmp_path / "org" / "plain"
    folder.mkdir(parents=True)
    (folder / "train.jsonl").write_text('{"text": "of this folder"}\n')
    (tmp_path / "train.json").write_text('{"text": "of this folder"}\n')
    plain, builder = ask("hf://datasets/org/plain", "hf://datasets/json", folder=tmp_path)
    assert plain[0][1]["text"] == "train 0" and "has no data set 'json'" in builder

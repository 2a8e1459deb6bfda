"""What is not the hub's answer or not this pull's business: it costs nothing that has come."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from hub.test_pull_hub import config, told
from safetensors.torch import load, save, save_file
from standin import Hub

from tuillm.cli.pull import pull_command
from tuillm.convert.import_model import import_model
from tuillm.errors import TuillmError, UsageError
from tuillm.store.card import ModelCard
from tuillm.store.hub.api import HubFile, Plan
from tuillm.store.hub.download import fetch
from tuillm.store.hub.hub_names import Source
from tuillm.store.hub.pull_checks import check_config, check_weights
from tuillm.store.hub.pull_folder import list_pulls, pull_of, start_pull
from tuillm.store.hub.pull_model import pulled_from
from tuillm.store.registry import find_model, list_models, publish

SIZE = 50_000


class Weights(Hub):
    """A hub with one file of weights: its `content`; `fetch` gets it, and says so in `ticks`."""

    content: bytes
    ticks: list[int]
    fetch: Callable[[Path], object]


@pytest.fixture
def weights(monkeypatch):
    """A hub with one file of weights, and a function that fetches it to a path."""
    content = bytes(range(250)) * (SIZE // 250)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("tuillm.store.retry._wait", lambda *given: None)
    with Weights() as hub:
        commit = hub.add("org/tales", {"model.safetensors": content}).commit
        file = HubFile("model.safetensors", SIZE, "0" * 64)
        monkeypatch.setattr(
            Plan, "url", lambda self, file: f"{hub.cdn}/org/tales/{commit}/{file.name}"
        )
        plan = Plan("org/tales", commit, (file,))
        ticks = []
        hub.fetch = lambda target: fetch(
            plan, file, target, Source("org/tales"), ticks.append, lambda words: None
        )
        hub.content, hub.ticks = content, ticks
        yield hub


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/html", "Content-Length": "706"},
        {"Content-Length": "706"},
        {"Content-Type": "text/html; charset=utf-8"},
        {},
    ],
)
@pytest.mark.parametrize("here", [0, 30_000, 300])
def test_a_login_page_takes_nothing_away(weights, tmp_path, headers, here):
    """A page in place of the file, its length told or not, leaves what is here and no junk."""
    target = tmp_path / "partial"
    target.write_bytes(weights.content[:here])
    weights.portal = [headers, headers]
    weights.fetch(target)
    assert target.read_bytes() == weights.content
    assert sum(weights.ticks) == SIZE - here
    assert [asked.start for asked in weights.of_weights()] == [0, 0, here]


def test_a_server_without_ranges_keeps_what_is_here(weights, tmp_path):
    """The body's begin is passed over: a connection that breaks earlier loses nothing."""
    target = tmp_path / "partial"
    target.write_bytes(weights.content[:30_000])
    weights.knows_ranges, weights.cuts = False, [10_000, 40_000]
    weights.fetch(target)
    assert target.read_bytes() == weights.content
    assert sum(weights.ticks) == 20_000


def left_behind(name, source):
    """A pull folder with a few bytes of the weights of some source."""
    pull = pull_of(name)
    pull.path.mkdir(parents=True)
    pull.plan.write_text(
        json.dumps(
            {"repo": source.repo, "revision": source.revision, "commit": "0" * 40, "files": []}
        )
    )
    (pull.path / "model.safetensors.partial").write_bytes(b"much")
    return pull.path / "model.safetensors.partial"


def test_another_source_never_takes_the_place_of_a_pull(home, hub, start):
    """Same last name or another revision: it is refused in words, and nothing is thrown away."""
    partial = left_behind("gpt2", Source("somebody/gpt2"))
    words = (
        "a pull of somebody/gpt2 was left under the name 'gpt2' (--name N, or tuillm pull "
        "gpt2 --discard)"
    )
    lines = told(start, "gpt2", "somebody/gpt2 --revision v2", "gpt2 --worker")
    assert lines == [f"tuillm: {words}"] * 3
    with pytest.raises(TuillmError, match="was left under the name"):
        start_pull(Source("openai-community/gpt2"))
    assert partial.read_bytes() == b"much"
    assert hub.requests == []


def test_only_what_was_pulled_passes_for_pulled(tiny_files):
    """An imported folder that claims to be of the hub is asked for there all the same."""
    source = Source("org/tales")
    for origin in ("imported", "pulled"):
        card = ModelCard(origin=origin, source="org/tales", revision="1" * 40)
        with publish(origin, card) as folder:
            for name in ("config.json", "model.safetensors", "tokenizer.json"):
                (folder / name).write_bytes(tiny_files[name])
    assert pulled_from(source).name == "pulled"
    assert pulled_from(source, "imported") is None
    import_model(str(find_model("pulled").path), "again")
    card = find_model("again").card
    assert (card.origin, card.source, card.revision) == ("imported", None, None)


def config_file(folder, **changes):
    """A GPT-2's config.json with some values changed."""
    shape = {
        "model_type": "gpt2",
        "vocab_size": 10,
        "n_positions": 8,
        "n_embd": 4,
        "n_head": 2,
        "n_layer": 1,
    }
    path = folder / "config.json"
    path.write_text(json.dumps(shape | changes))
    return path


@pytest.mark.parametrize("architectures", [[["x"]], 5, {"a": 1}, ["GPT2LMHeadModel", None]])
def test_architectures_that_are_no_names_are_damaged(tmp_path, architectures):
    """Whatever stands there, it ends in one line."""
    with pytest.raises(TuillmError, match="is damaged: its architectures are no list of names"):
        check_config(config_file(tmp_path, architectures=architectures), Source("org/odd"))


def test_a_single_architecture_and_deep_nesting(tmp_path):
    """A name without a list counts as one; JSON without end is damaged."""
    path = config_file(tmp_path, architectures="GPT2LMHeadModel")
    assert check_config(path, Source("org/odd")).n_layer == 1
    config_file(tmp_path, architectures="GPT2ForSequenceClassification")
    with pytest.raises(TuillmError, match="is a GPT2ForSequenceClassification, which"):
        check_config(path, Source("org/odd"))
    path.write_text("[" * 200_000)
    with pytest.raises(TuillmError, match="config.json of org/odd is damaged"):
        check_config(path, Source("org/odd"))


MISFITS: list[Any] = [
    ({"n_layer": 10**4}, "h.2.ln_1.weight is missing"),
    ({"n_layer": 1}, "more layers than the 1"),
    ({"n_positions": 65}, "wpe.weight is [64, 64], not [65, 64]"),
    ({"n_embd": 32}, "wte.weight is [300, 64], not [300, 32]"),
    ({"tie_word_embeddings": False}, "lm_head.weight is missing"),
]


@pytest.mark.slow
def test_a_config_that_does_not_fit_its_weights_is_not_published(hub, start, tiny_files):
    """The first tensor that is missing or of another size is told, and no model appears."""
    for number, (changes, _) in enumerate(MISFITS):
        hub.add(f"org/misfit{number}", config(tiny_files, **changes))
    lines = told(start, *(f"org/misfit{number}" for number in range(len(MISFITS))))
    for number, (line, (_, words)) in enumerate(zip(lines, MISFITS, strict=True)):
        start_of_it = f"tuillm: the weights of org/misfit{number} do not fit its config.json: "
        assert line.startswith(start_of_it) and words in line
    assert list_models() == []


def with_nan(files):
    """A model's files with one number in the weights that is none."""
    tensors = load(files["model.safetensors"])
    tensors["transformer.h.1.ln_2.bias"][3] = float("nan")
    return files | {"model.safetensors": save(tensors, {"format": "pt"})}


@pytest.mark.slow
def test_what_is_no_model_of_fair_size_is_not_published(hub, start, tiny_files):
    """Small files that claim to be large, a listing without end, and weights with NaN in them."""
    for name in ("config.json", "tokenizer.json", "merges.txt"):
        hub.add(f"org/{name[:5]}", tiny_files, sizes={name: 10**12})
    hub.add("org/endless", tiny_files | {f"{n:05}{'x' * 900}": b"" for n in range(18_000)})
    hub.add("org/nan", with_nan(tiny_files))
    lines = told(start, "org/confi", "org/token", "org/merge", "org/endless", "org/nan")
    for name, line in zip(("config.json", "tokenizer.json", "merges.txt"), lines, strict=False):
        assert f"{name} of org/{name[:5]} is too large: 1,000,000,000,000 bytes" in line
    assert "tells of org/endless is too large" in lines[3]
    assert "'nan' was not put into the registry: its tensor transformer.h.1.ln_2.bias" in lines[4]
    assert list_models() == []


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("prefix", ["", "transformer."])
def test_weights_that_fit_do_so_in_every_spelling(tmp_path, tiny_files, prefix, bias):
    """With and without the prefix, without biases, with the masks of the older files."""
    kept = {
        prefix + name.removeprefix("transformer."): tensor
        for name, tensor in load(tiny_files["model.safetensors"]).items()
        if bias or not name.endswith(".bias")
    }
    kept[f"{prefix}h.0.attn.bias"] = torch.ones(1, 1, 64, 64, dtype=torch.uint8)
    save_file(kept, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_bytes(tiny_files["config.json"])
    shape = check_config(tmp_path / "config.json", Source("org/fits"))
    check_weights(tmp_path / "model.safetensors", shape, Source("org/fits"))


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"HF_ENDPOINT": "http://localhost:notaport"}, "HF_ENDPOINT is no http address"),
        ({"HF_ENDPOINT": "http://localhost:99999999"}, "HF_ENDPOINT is no http address"),
        ({"HF_ENDPOINT": "http://[::1"}, "HF_ENDPOINT is no http address"),
        (
            {"HF_TOKEN": "hf_schl\u00fcssel"},
            "your token of the hub has characters that no token has",
        ),
    ],
)
def test_a_mistyped_setting_is_told_in_one_line(start, setting, words):
    """An endpoint that cannot be taken apart, a token that no header can carry."""
    (line,) = told(start, "gpt2", **setting)
    assert line.startswith(f"tuillm: {words}")


@pytest.mark.parametrize(
    "typed",
    [
        "gpt2 --json",
        "gpt2 --cancel --replace",
        "gpt2 --discard --revision v1",
        "gpt2 --cancel --discard",
    ],
)
def test_options_that_would_be_ignored_are_refused(typed):
    """Each is a wrong command."""
    done = CliRunner().invoke(pull_command, typed.split())
    assert isinstance(done.exception, UsageError)


def test_a_long_name_is_steered_as_it_was_pulled(home):
    """Pulls are called by the first 64 letters; both spellings throw the same away."""
    for typed in (f"org/{'a' * 80}", "a" * 64):
        left_behind("a" * 64, Source(f"org/{'a' * 80}"))
        done = CliRunner().invoke(pull_command, [typed, "--discard"])
        assert (done.exception, list_pulls()) == (None, [])

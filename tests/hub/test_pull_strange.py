"""What is not the hub's answer or not this pull's business: it costs nothing that has come."""

import json

import pytest
from standin import Hub
from test_pull_hub import told

from tuillm.errors import TuillmError
from tuillm.handover.coming import import_model
from tuillm.store.fetching import fetch
from tuillm.store.hub import HubFile, Plan
from tuillm.store.hubnames import Source
from tuillm.store.models import ModelCard, find_model, publish
from tuillm.store.pulling import pulled_from
from tuillm.store.pulls import pull_of, start_pull

SIZE = 50_000


@pytest.fixture
def weights(monkeypatch):
    """A hub with one file of weights, and a function that fetches it to a path."""
    content = bytes(range(250)) * (SIZE // 250)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("tuillm.store.fetching._wait", lambda *given: None)
    with Hub() as hub:
        commit = hub.add("org/tales", {"model.safetensors": content}).commit
        file = HubFile("model.safetensors", SIZE, "0" * 64)
        monkeypatch.setattr(Plan, "url", lambda self, file:
                            f"{hub.cdn}/org/tales/{commit}/{file.name}")
        plan = Plan("org/tales", commit, (file,))
        ticks = []
        hub.fetch = lambda target: fetch(plan, file, target, Source("org/tales"), ticks.append,
                                         lambda words: None)
        hub.content, hub.ticks = content, ticks
        yield hub


@pytest.mark.parametrize("headers", [
    {"Content-Type": "text/html", "Content-Length": "706"}, {"Content-Length": "706"},
    {"Content-Type": "text/html; charset=utf-8"}, {},
])
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
    pull.plan.write_text(json.dumps(
        {"repo": source.repo, "revision": source.revision, "commit": "0" * 40, "files": []}))
    (pull.path / "model.safetensors.partial").write_bytes(b"much")
    return pull.path / "model.safetensors.partial"


def test_another_source_never_takes_the_place_of_a_pull(home, hub, start):
    """Same last name or another revision: it is refused in words, and nothing is thrown away."""
    partial = left_behind("gpt2", Source("somebody/gpt2"))
    words = ("a pull of somebody/gpt2 was left under the name 'gpt2' (--name N, or tuillm pull "
             "gpt2 --discard)")
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

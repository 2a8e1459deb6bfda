"""`tuillm push` against a hub on this machine: what is sent, shown, resumed, refused."""

import json
import signal
import time

import pytest
from hub.push_server import PushHub

from tuillm.store.card import ModelCard
from tuillm.store.registry import find_model, publish, remove_model

WEIGHTS = "model.safetensors"


@pytest.fixture
def hub():
    """A hub that takes what is pushed."""
    with PushHub() as hub:
        yield hub


@pytest.fixture
def push(start, hub):
    """A function that pushes the model `book` and returns the process; the token is right."""

    def run(*arguments, **environment):
        told = {"HF_TOKEN": "hf_right", **environment}
        return start("push", *(arguments or ("book", "me/tales", "--yes")), **told)

    return run


@pytest.fixture
def done(push):
    """The same to its end: code, out and err."""

    def run(*arguments, **environment):
        process = push(*arguments, **environment)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    return run


def add_model(name, files, card, **more):
    """Put a model with a card into the registry."""
    with publish(name, card) as folder:
        for file, content in (files | more).items():
            if not file.startswith((".", "README", "pytorch")):
                (folder / file).write_bytes(content)


@pytest.fixture
def book(home, tiny_files):
    """A model `book` that was fine-tuned on a diary from one that was pulled."""
    base = ModelCard(origin="pulled", source="openai-community/gpt2", license="mit")
    add_model("mine-of-gpt2", tiny_files, base)
    places = json.dumps(
        json.loads(tiny_files["tokenizer_config.json"]) | {"name_or_path": "/home/jo/x"}
    )
    card = ModelCard(
        origin="fine-tuned",
        parent="mine-of-gpt2",
        run="run-of-mine",
        corpus="diary.txt",
        corpus_sha256="ab" * 32,
        corpus_bytes=12_345,
        tokenizer="bpe",
        template="Q: {question}\nA: {answer}",
        steps=100,
    )
    more = {"tokenizer_config.json": places.encode(), "samples.jsonl": b"private"}
    add_model("book", tiny_files, card, **more)


def test_a_pushed_model_comes_back_whole(hub, book, done, tuillm, tiny_files):
    """One commit in a private repository; a pull of it gives the same weights."""
    code, out, err = done()
    assert (code, err) == (0, "")
    assert f"book goes to {hub.address}/me/tales, a new private repository" in out
    assert "made from openai-community/gpt2, whose licence holds for it: mit" in out
    assert "names the text it learned from: diary.txt" in out
    assert f"pushed 9 files, 510 kB: {hub.address}/me/tales" in out
    assert [each["rows"] for each in hub.commits] == [9]
    found = hub.repositories["me/tales"]
    assert found.private and found.files[WEIGHTS] == tiny_files[WEIGHTS]
    assert [asked.token for asked in hub.uploads()] == [""]  # the token is for the hub alone
    remove_model("book")
    pulled = tuillm("pull", "me/tales", HF_TOKEN="hf_right")
    assert pulled.code == 0, pulled.err
    model = find_model("tales")
    assert (model.path / WEIGHTS).read_bytes() == tiny_files[WEIGHTS]
    assert (model.card.template, model.card.steps) == ("Q: {question}\nA: {answer}", 100)
    assert (model.card.origin, model.card.source, model.card.run) == ("pulled", "me/tales", None)


def test_nothing_private_goes_out(hub, book, done):
    """No run, no name of a local model, no path, no sample; the card tells base and licence."""
    done()
    files = hub.repositories["me/tales"].files
    assert (
        set(files)
        == {
            "README.md",
            "tuillm.json",
            "config.json",
            "generation_config.json",
            "tokenizer_config.json",
            "tokenizer.json",
            "vocab.json",
            "merges.txt",
            WEIGHTS,
        }
        & set(files)
        and "samples.jsonl" not in files
    )
    for name in files.keys() - {WEIGHTS}:
        for secret in (b"run-of-mine", b"mine-of-gpt2", b"/home/jo", b"private"):
            assert secret not in files[name], name
    card = json.loads(files["tuillm.json"])
    assert not {"run", "corpus", "corpus_sha256", "parent"} & set(card)
    assert card["template"] == "Q: {question}\nA: {answer}"
    readme = files["README.md"].decode()
    front = readme.split("---")[1]
    assert "base_model: openai-community/gpt2\nlicense: mit\n" in front
    assert readme.count("# tales") == 1 and 'folder = "me/tales"' in readme
    assert "tuillm pull me/tales" in readme and "| text | diary.txt |" in readme
    from huggingface_hub import ModelCard as TheirCard

    assert TheirCard(readme).data.get("license") == "mit"


@pytest.mark.slow
def test_a_second_push_sends_only_what_changed(hub, book, done, tiny_files):
    """The same again is said and sends nothing; with other settings they alone are sent."""
    done()
    sent = len(hub.uploads())
    code, out, _ = done()
    assert code == 0 and "has all of it already" in out
    path = find_model("book").path / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"temperature": 0.5}))
    code, out, _ = done()
    assert code == 0 and "replaces the one there" in out
    assert len(hub.uploads()) == sent
    assert [each["rows"] for each in hub.commits] == [9, 1]


def test_what_is_left_of_another_model_there_is_deleted(hub, book, done, tiny_files):
    """Files that would be read together with the new ones go, others stay."""
    done()
    there = hub.repositories["me/tales"].files
    there |= {"chat_template.jinja": b"{{ 1 }}", "added_tokens.json": b"{}", "notes.txt": b"mine"}
    code, out, err = done()
    assert (code, err) == (0, "")
    assert "chat_template.jinja" in out and "of another model there, is deleted" in out
    left = set(hub.repositories["me/tales"].files)
    assert "notes.txt" in left and not {"chat_template.jinja", "added_tokens.json"} & left


def until(condition):
    """Wait until a condition holds."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def test_ctrl_c_leaves_nothing_to_be_seen(hub, book, push, done):
    """Stopped in the middle of the weights there is no commit; the next push ends well."""
    hub.hold_at = 300_000
    process = push()
    assert hub.held.wait(30)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Go on with: tuillm push book me/tales" in err
    assert hub.commits == [] and hub.repositories["me/tales"].files == {}
    hub.hold_at = None
    hub.go.set()
    assert done()[0] == 0
    assert len(hub.commits) == 1


@pytest.mark.slow
def test_what_was_sent_is_not_sent_again(hub, book, done):
    """A push that fails at the commit has its weights there: the next sends the commit alone."""
    hub.refusals = [("/commit/", 403)]
    code, _, err = done()
    assert code == 1 and err.startswith(
        "tuillm: your token does not let you write to me/tales: no ("
    )
    assert (len(hub.uploads()), hub.commits) == (1, [])
    assert done()[0] == 0
    assert (len(hub.uploads()), len(hub.commits)) == (1, 1)


@pytest.mark.slow
def test_large_files_come_in_parts(hub, book, done, tiny_files):
    """A server that wants parts gets them in their order, and a broken connection again."""
    hub.part, hub.cut_at = 100_000, 50_000
    assert done()[0] == 0
    assert len(hub.uploads()) == 6 and hub.repositories["me/tales"].files[WEIGHTS]


REFUSED = {
    "401": ([("/api/repos/create", 401)], "does not take your token"),
    "403": ([("/api/repos/create", 403)], "your token does not let you write to me/tales"),
    "404": ([("/preupload/", 404)], "has no me/tales that you may write to"),
    "409": ([("/commit/", 409)], "me/tales is being changed by somebody else (push again)"),
    "412": ([("/commit/", 412)], "me/tales was changed by somebody else meanwhile (push again)"),
    "413": ([("/upload/", 413)], "does not take a file so large"),
    "418": ([("/commit/", 418)], "answered 418 for me/tales"),
}


@pytest.mark.everyday(1)
@pytest.mark.parametrize("kind", REFUSED)
def test_refusals_are_one_line(hub, book, done, kind):
    """Whatever the hub answers; nothing is to be seen there then."""
    hub.refusals, words = REFUSED[kind]
    code, _, err = done()
    assert code == 1 and len(err.splitlines()) == 1, err
    assert err.startswith("tuillm: ") and words in err
    assert hub.commits == []


@pytest.mark.slow
def test_tokens_networks_and_settings(hub, book, done):
    """No token, one that may not write, offline, a host that is gone: one line each."""
    assert "a push needs a token of the hub (make one that may write at" in done(HF_TOKEN="")[2]
    assert "does not let you write to me/tales" in done(HF_TOKEN="hf_read")[2]
    assert "HF_HUB_OFFLINE forbids it (unset" in done(HF_HUB_OFFLINE="1")[2]
    with PushHub() as gone:
        address = gone.address
    assert "cannot be reached" in done(HF_ENDPOINT=address)[2]
    assert hub.commits == []


@pytest.mark.slow
def test_who_sees_it_is_never_changed_by_the_way(hub, book, done):
    """A public repository is not filled by a push that did not say so, nor the other way."""
    hub.add("me/open", {"README.md": b"mine"})
    code, _, err = done("book", "me/open", "--yes")
    assert code == 1 and "me/open is there already, and it is public (push with --public" in err
    assert done("book", "me/open", "--yes", "--public")[0] == 0
    done()
    code, _, err = done("book", "me/tales", "--yes", "--public")
    assert code == 1 and "and it is private (leave out --public" in err
    assert [each["repo"] for each in hub.commits] == ["me/open", "me/tales"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("book", "me/tales"), 2, "a push asks first, and nobody can answer here (--yes answers)"),
        (("book", "gpt2", "--yes"), 2, "'gpt2' is no repository of the hub to push to"),
        (("book", "me/x/y", "--yes"), 2, "'me/x/y' is no repository of the hub to push to"),
        (("bok", "me/x", "--yes"), 1, "no model named 'bok' (did you mean 'book'?)"),
    ],
)
def test_wrong_commands_send_nothing(hub, book, done, arguments, code, words):
    """Nobody to ask, a target that is none, a model that is not there."""
    found, _, err = done(*arguments)
    assert (found, len(err.splitlines())) == (code, 1) and words in err
    assert hub.requests == []


@pytest.mark.slow
def test_a_link_out_of_the_folder_is_not_followed(hub, book, done, tmp_path):
    """A folder of somebody else's may link to any file of the person's."""
    secret = tmp_path / "secret"
    secret.write_text("private")
    path = find_model("book").path / "special_tokens_map.json"
    path.symlink_to(secret)
    code, _, err = done()
    assert code == 1 and "is a link that leads out of the model's folder" in err
    assert hub.commits == [] and hub.uploads() == []


@pytest.mark.slow
def test_a_terminal_is_asked(hub, book, terminal, tmp_path):
    """No is the default; yes sends it under a bar that goes."""
    environment = hub.environment(tmp_path / "hf", HF_TOKEN="hf_right")
    screen = terminal("push", "book", "me/tales", environment=environment)
    screen.wait("Push it now? [y/N]:")
    assert "model.safetensors" in screen.text and "496 kB" in screen.text
    screen.type("")
    assert screen.wait_end() == 130
    assert "nothing was sent" in screen.text and hub.created == []
    screen = terminal("push", "book", "me/tales", environment=environment)
    screen.wait("[y/N]:")
    screen.type("y")
    assert screen.wait_end() == 0
    assert "pushed 9 files" in screen.text and "kB/s" not in screen.text

"""`tuillm pull` against a hub on this machine: what is fetched, reused, refused, and said."""

import json
import os
import subprocess
import sys

import pytest
import torch
from standin import Hub
from text.test_library_tokenizer import library

from tuillm.config.gpt_config import GPTConfig
from tuillm.model import GPT, write_model
from tuillm.store.hub.pull_folder import list_pulls
from tuillm.store.registry import find_model, list_models

WEIGHTS = "model.safetensors"
NEEDED = {
    "config.json",
    "generation_config.json",
    WEIGHTS,
    "vocab.json",
    "merges.txt",
    "tokenizer.json",
    "tokenizer_config.json",
}


def is_whole(hub, name="gpt2", repo="openai-community/gpt2"):
    """Whether the registry has a model under a name, byte for byte as the hub has it."""
    model = find_model(name)
    files = hub.repositories[repo].files
    return all((model.path / each).read_bytes() == files[each] for each in NEEDED)


def test_a_pulled_model_is_the_hubs_and_writes_text(hub, tuillm):
    """Only what is needed is fetched; the card tells source, commit and size; it can be used."""
    done = tuillm("pull", "gpt2")
    assert (done.code, done.err) == (0, "")
    assert "checksums right. Talk to it: tuillm chat gpt2" in done.out
    assert is_whole(hub)
    card = find_model("gpt2").card
    commit = hub.repositories["openai-community/gpt2"].commit
    assert (card.origin, card.source, card.revision, card.tokenizer, card.parameters) == (
        "pulled",
        "openai-community/gpt2",
        commit,
        "bpe",
        123_392,
    )
    assert {asked.file for asked in hub.requests} - {""} == NEEDED
    assert list_pulls() == []
    written = tuillm("generate", "gpt2", "-p", "Dry feet", "-n", "4", "--seed", "1")
    assert written.code == 0 and written.out.startswith("Dry feet")


@pytest.mark.slow
def test_transformers_opens_a_pulled_model_as_it_is(hub, tuillm, transformers):
    """The folder in the registry is one of theirs: same ids, same text as ours."""
    tuillm("pull", "gpt2")
    folder = find_model("gpt2").path
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer("Dry feet and a short road", return_tensors="pt")
    theirs = tokenizer.decode(model.generate(**ids, max_new_tokens=20, do_sample=False)[0])
    ours = tuillm(
        "generate",
        "gpt2",
        "-p",
        "Dry feet and a short road",
        "-n",
        "20",
        "--temperature",
        "0",
        "--dtype",
        "float32",
        "--no-heal",
        "--device",
        "cpu",
    )
    assert ours.out == theirs + "\n"


@pytest.mark.slow
def test_the_older_pair_of_files_is_enough(hub, tuillm, tiny_files):
    """A repository with vocab.json and merges.txt but no tokenizer.json is a model, too."""
    hub.add("org/older", without(tiny_files, "tokenizer.json", "tokenizer_config.json"))
    assert tuillm("pull", "org/older").code == 0
    assert tuillm("generate", "older", "-p", "Dry feet", "-n", "4").code == 0


@pytest.mark.slow
def test_what_is_here_is_not_fetched_again(hub, tuillm):
    """A second pull says so and asks nobody; with --replace it is fetched anew."""
    tuillm("pull", "gpt2")
    asked = len(hub.requests)
    again = tuillm("pull", "openai-community/gpt2")
    assert (again.code, again.out) == (0, "gpt2 is here already: tuillm chat gpt2\n")
    assert len(hub.requests) == asked
    assert tuillm("pull", "gpt2", "--replace").code == 0
    assert len(hub.requests) > asked


@pytest.mark.slow
def test_any_repository_under_any_name_at_a_revision(hub, tuillm, tiny_files):
    """ORG/NAME@REVISION gives that state of the files, under the name that was wanted."""
    first = hub.add("somebody/tales", tiny_files)
    hub.add("somebody/tales", tiny_files | {"generation_config.json": b"{}"})
    done = tuillm("pull", f"somebody/tales@{first.commit}", "--name", "old-tales")
    assert done.code == 0, done.err
    model = find_model("old-tales")
    assert (model.card.source, model.card.revision) == ("somebody/tales", first.commit)
    assert (model.path / "generation_config.json").read_bytes() != b"{}"


@pytest.mark.slow
def test_a_taken_name_is_refused_before_anything_is_fetched(hub, tuillm, tiny_files):
    """Another model of the same name stays as it is."""
    hub.add("somebody/gpt2", tiny_files)
    tuillm("pull", "gpt2")
    asked = len(hub.requests)
    done = tuillm("pull", "somebody/gpt2")
    assert (done.code, done.err) == (
        1,
        (
            "tuillm: a model named 'gpt2' already exists (another name: --name NAME; in its place: "
            "--replace)\n"
        ),
    )
    assert len(hub.requests) == asked


@pytest.mark.slow
def test_the_token_goes_to_the_hub_alone(hub, tuillm, tiny_files):
    """A gated model opens with the token, which the host where the weights lie never sees."""
    hub.add("somebody/gated", tiny_files, gated=True)
    done = tuillm("pull", "somebody/gated", HF_TOKEN="hf_right")
    assert done.code == 0, done.err
    assert {asked.token for asked in hub.requests if asked.host == "hub"} == {"Bearer hf_right"}
    assert {asked.token for asked in hub.requests if asked.host == "cdn"} == {""}


_CACHE = """
import sys
from huggingface_hub import hf_hub_download
for name in sys.argv[2:]:
    hf_hub_download(sys.argv[1], name)
"""


@pytest.mark.slow
def test_what_the_hugging_face_cache_holds_is_not_fetched(hub, tuillm, start):
    """Files at the same commit are copied from it; a damaged one there is fetched after all."""
    start("openai-community/gpt2", WEIGHTS, "vocab.json", python=("-c", _CACHE)).communicate()
    asked = len(hub.requests)
    assert tuillm("pull", "gpt2").code == 0
    assert not {WEIGHTS, "vocab.json"} & {each.file for each in hub.requests[asked:]}
    assert is_whole(hub)


@pytest.mark.slow
def test_a_damaged_cache_is_not_believed(hub, tuillm, start, tmp_path):
    """A cached file with a wrong checksum is fetched from the hub instead."""
    start("openai-community/gpt2", WEIGHTS, python=("-c", _CACHE)).communicate()
    (blob,) = (path for path in (tmp_path / "hf").rglob("blobs/*") if path.stat().st_size > 100_000)
    content = bytearray(blob.read_bytes())
    content[1000] ^= 1
    blob.write_bytes(content)
    assert tuillm("pull", "gpt2").code == 0
    assert is_whole(hub)


@pytest.mark.slow
def test_offline_the_cache_alone_gives_a_model(hub, tuillm, start):
    """With HF_HUB_OFFLINE a whole model in the cache is pulled, checked by the blobs' names."""
    start("openai-community/gpt2", *NEEDED, python=("-c", _CACHE)).communicate()
    asked = len(hub.requests)
    done = tuillm("pull", "gpt2", HF_HUB_OFFLINE="1")
    assert (done.code, len(hub.requests)) == (0, asked), done.err
    assert is_whole(hub)


def config(files, **changes):
    """The files with some values of config.json changed."""
    return files | {"config.json": json.dumps(json.loads(files["config.json"]) | changes).encode()}


def without(files, *names):
    """The files without some of them."""
    return {name: content for name, content in files.items() if name not in names}


BAD = {
    "bert": (
        lambda files: config(files, model_type="bert"),
        "architecture 'bert'; tuillm computes",
    ),
    "relu": (lambda files: config(files, activation_function="relu"), "wants activation 'relu'"),
    "classifier": (
        lambda files: config(files, architectures=["GPT2ForSequenceClassification"]),
        "is a GPT2ForSequenceClassification, which writes no text",
    ),
    "quantized": (lambda files: config(files, quantization_config={"bits": 4}), "are quantized"),
    "pickled": (lambda files: without(files, WEIGHTS), "only pytorch_model.bin, which tuillm does"),
    "no config": (lambda files: without(files, "config.json"), "no model of transformers"),
    "no tokenizer": (lambda files: without(files, "tokenizer.json", "merges.txt"), "no tokenizer"),
    "word pieces": (
        lambda files: files | {"tokenizer.json": b'{"model": {"type": "WordPiece"}}'},
        "of kind 'WordPiece'; tuillm reads BPE",
    ),
    "damaged config": (lambda files: files | {"config.json": b"{"}, "config.json of org/bad is"),
}

_ALL = """
import sys
from tuillm.cli.main import main
for name in sys.argv[1:]:
    sys.argv = ["tuillm", "pull", *name.split()]
    try:
        main()
    except SystemExit as end:
        print("code", end.code, file=sys.stderr)
"""


def told(start, *commands, **environment):
    """What each of several `tuillm pull` commands says on stderr when it fails, in one process."""
    out, err = start(*commands, python=("-c", _ALL), **environment).communicate(timeout=60)
    lines = err.splitlines()
    assert out == "" or "%" in out or "parameters" in out, out
    assert lines[1::2] == ["code 1"] * len(commands), err
    return lines[::2]


@pytest.mark.slow
def test_what_tuillm_cannot_use_is_refused_before_the_weights_come(hub, start, tiny_files):
    """Each is told in one line; no weights are asked for and nothing stays behind."""
    for number, (make, _) in enumerate(BAD.values()):
        hub.add(f"org/bad{number}", make(tiny_files))
    lines = told(start, *(f"org/bad{number}" for number in range(len(BAD))))
    for number, (line, (_, words)) in enumerate(zip(lines, BAD.values(), strict=True)):
        assert words.replace("org/bad ", f"org/bad{number} ") in line
    assert hub.of_weights() == []
    assert (list_models(), list_pulls()) == ([], [])


def test_refusals_of_the_hub_are_told_in_words(hub, start, tiny_files):
    """Not there, private, gated, a revision that is none, no room: one clear line each."""
    hub.add("org/gated", tiny_files, gated=True)
    hub.add("org/private", tiny_files, private=True)
    hub.add("org/huge", tiny_files).sizes[WEIGHTS] = 10**13
    lines = told(
        start, "org/nothing", "org/private", "org/gated", "gpt2 --revision nope", "org/huge"
    )
    host = hub.address.removeprefix("http://")
    assert lines[:4] == [
        f"tuillm: {host} has no model 'org/nothing' that you may see (check the spelling; for a "
        "private one: hf auth login)",
        f"tuillm: {host} has no model 'org/private' that you may see (check the spelling; for a "
        "private one: hf auth login)",
        "tuillm: org/gated is gated: its licence has to be accepted first (accept it at "
        f"https://{host}/org/gated, then set HF_TOKEN or: hf auth login)",
        "tuillm: openai-community/gpt2 has no revision 'nope' (name a branch, a tag or a commit)",
    ]
    assert lines[4].startswith("tuillm: no room for org/huge: 10 TB are missing")
    assert told(start, "org/gated", HF_TOKEN="hf_wrong")[0].startswith("tuillm: org/gated is gated")
    assert list_pulls() == []


def test_without_a_network_one_line_says_so(hub, start):
    """Offline mode, a host that is not there, one that is no hub, an odd endpoint."""
    assert told(start, "gpt2", HF_HUB_OFFLINE="1") == [
        "tuillm: gpt2 has to be fetched, and HF_HUB_OFFLINE forbids it (unset HF_HUB_OFFLINE)"
    ]
    with Hub() as gone:
        address = gone.address
    (line,) = told(start, "gpt2", HF_ENDPOINT=address)
    assert line.startswith(f"tuillm: {address.removeprefix('http://')} cannot be reached: ")
    (line,) = told(start, "gpt2", HF_ENDPOINT=hub.address + "/nowhere")
    assert "has no model 'openai-community/gpt2'" in line
    (line,) = told(start, "gpt2", HF_ENDPOINT="huggingface.co")
    assert line.startswith("tuillm: HF_ENDPOINT is no http address")


@pytest.mark.parametrize(
    "command", [["generate", "gpt2"], ["chat", "gpt2"], ["train", "BOOK", "--from", "gpt2"]]
)
def test_verbs_that_miss_the_model_name_the_pull(book, command):
    """Where nobody can be asked, the hint is the command that fetches the model."""
    typed = [str(book) if word == "BOOK" else word for word in command]
    done = subprocess.run(
        [sys.executable, "-m", "tuillm", *typed],
        text=True,
        input="hello",
        capture_output=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 1
    assert done.stderr == "tuillm: no model named 'gpt2' (tuillm pull gpt2)\n"


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("gpt3", "did you mean 'gpt2'?"),
        ("smolm2", "did you mean 'smollm2'?"),
        ("a/b/c", "ORG/NAME as on huggingface.co"),
        ("../etc", "is no name of the hub"),
        ("gpt2@", "is no revision"),
    ],
)
def test_a_name_that_is_none_is_refused_at_once(typed, words):
    """No network is asked; the exit code is that of a wrong command."""
    from tuillm.errors import UsageError
    from tuillm.store.hub.hub_names import hub_source

    with pytest.raises(UsageError) as caught:
        hub_source(typed)
    assert words in str(caught.value)


@pytest.mark.filterwarnings("default")
def test_a_llama_is_pulled_with_its_tokenizer_and_template(hub, tuillm, tmp_path, book):
    """Its template lies in its tokenizer_config.json, as older folders have it."""
    place = tmp_path / "llama"
    place.mkdir()
    spec = library("smollm")
    size = 1 + max(entry["id"] for entry in spec["added_tokens"])
    shape = GPTConfig(
        size, 64, 2, 4, 32, bias=False, family="llama", n_kv_head=2, n_inner=48, rms_norm=True,
        gated_mlp=True, rope_theta=1e4,
    )  # fmt: skip
    model = GPT(shape)
    model.init_weights("none", torch.Generator().manual_seed(0))
    write_model(model, place, None)
    (place / "tokenizer.json").write_text(json.dumps(spec))
    turns = "{% for m in messages %}<|im_start|>{{ m.role }} {{ m.content }}<|im_end|>{% endfor %}"
    turns += "{% if add_generation_prompt %}<|im_start|>assistant {% endif %}"
    told = {"eos_token": "<|im_end|>", "chat_template": turns}
    (place / "tokenizer_config.json").write_text(json.dumps(told))
    hub.add("HuggingFaceTB/tiny", {path.name: path.read_bytes() for path in place.iterdir()})

    done = tuillm("pull", "HuggingFaceTB/tiny")
    assert (done.code, done.err) == (0, "")
    (name,) = [each.name for each in list_models()]
    assert find_model(name).card.tokenizer == "hf"
    answer = tuillm("generate", name, "-q", "Who?", "-n", "3", "--json", "--stats")
    assert answer.code == 0 and "prompt_tokens=" in answer.err
    measured = tuillm("eval", name, str(book), "--json")
    assert measured.code == 0 and 0 < json.loads(measured.out)[0]["bits_per_byte"] < 20

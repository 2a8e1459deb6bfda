"""Files made to exhaust the machine: each is refused in a line, at once, in little memory.

All cases go through one process that forks (see open_hostile_files.py), as torch takes seconds to
import.
"""

import json
import os
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from convert.hostile_outcomes import outcomes
from safetensors.torch import save_file

from tuillm.model import GPT, GPTConfig, write_model
from tuillm.text import make_tokenizer

SHAPE: dict[str, Any] = {
    "vocab_size": 300,
    "block_size": 16,
    "n_layer": 1,
    "n_head": 1,
    "n_embd": 8,
}
SECONDS, MEGABYTES = 2.0, 250
EMPTY_DICTS = b"}"  # a step of the pickle machine, of 1 byte, that takes 64


class Shared(dict):
    """Folders of hostile files, and for each the words it is to be refused with."""

    def __init__(self, place, book_text):
        super().__init__()
        self.place, self.cases = place, []
        self.tokenizer = make_tokenizer("bpe", [book_text], 300)
        torch.manual_seed(0)
        self.model = GPT(GPTConfig(**SHAPE))
        for parameter in self.model.parameters():
            torch.nn.init.normal_(parameter)

    def add(self, name, door, path, words):
        self.cases.append((name, door, str(path)))
        self[name] = words

    def folder(self, name, words, doors=("import", "open", "--from", "registry")):
        """A model folder to be spoiled."""
        place = self.place / name.replace(" ", "-")
        place.mkdir()
        write_model(self.model, place, self.tokenizer.eot)
        self.tokenizer.save(place, 16)
        for door in doors:
            self.add(f"{name}: {door}", door, place, words)
        return place

    def config(self, name, words, doors=("import", "open", "--from", "registry"), **changes):
        """A model folder whose config.json has other values."""
        path = self.folder(name, words, doors) / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    def checkpoint(self, name, words, door="import"):
        """The path of a ckpt.pt of nanoGPT to be written."""
        path = self.place / name.replace(" ", "-") / "ckpt.pt"
        path.parent.mkdir()
        self.add(name, door, path, words)
        return path

    def tensors(self):
        return {
            f"transformer.{key}" if key != "lm_head.weight" else key: value.detach()
            for key, value in self.model.state_dict().items()
        }


def configs(all):
    """Configs with numbers that no model has."""
    for number, value in enumerate(
        (float("nan"), float("inf"), -1.0, 0, 1e300, True, "1e-5", [], None, 10**400)
    ):
        all.config(
            f"epsilon {number}",
            "layer_norm_epsilon is",
            ("import", "open"),
            layer_norm_epsilon=value,
        )
    for number, value in enumerate((99_999_999, -1, True, 1.0, "8", None, 10**400, [8])):
        keys = ("vocab_size", "n_positions", "n_embd", "n_head", "n_layer")
        for key in keys if number < 2 else keys[number % 5 :][:1]:
            all.config(f"{key} {number}", f"{key} is", ("import", "registry"), **{key: value})
    all.config("layers that are not there", "h.1.ln_1.weight is missing", n_layer=9_999)
    all.config(
        "rows that are not there", "wte.weight is [300, 8], not [9999999, 8]", vocab_size=9_999_999
    )
    all.config("tied to a word", "tie_word_embeddings is", tie_word_embeddings="yes")
    all.config(
        "a name without end",
        "is of architecture",
        ("import", "open", "--from"),
        model_type="x" * 900_000,
    )


def jsons(all):
    """JSON that is large, deep, or no file."""
    everywhere = ("import", "open", "--from", "registry")
    for name, doors in (
        ("config.json", everywhere),
        ("tuillm.json", everywhere),
        ("tokenizer.json", ("import", "open")),
        ("generation_config.json", ("import", "open")),
        ("tokenizer_config.json", ("import", "open")),
    ):
        path = all.folder(f"64 MB of {name}", "is too large", doors) / name
        os.truncate(path, 64 << 20) if path.exists() else path.write_bytes(b"[" * (64 << 20))
        path = all.folder(f"deep {name}", "is damaged", doors[:2]) / name
        path.write_bytes(b"[" * 500_000)
        path = all.folder(f"a pipe for {name}", "", doors[:2]) / name
        path.unlink(missing_ok=True)
        os.mkfifo(path)
    place = all.folder("a long index", "is too large", ("import",))
    (place / "model.safetensors").unlink()
    (place / "model.safetensors.index.json").write_bytes(b"[" + b"{}," * (8 << 20 >> 2))


def headers(all):
    """Headers of safetensors files that claim much."""

    def write(name, words, header):
        place = all.folder(name, words)
        content = header if isinstance(header, bytes) else json.dumps(header).encode()
        whole = len(content).to_bytes(8, "little") + content
        (place / "model.safetensors").write_bytes(whole)

    write("a long header", "its header is of", b'{"a":[' + b"{}," * (16 << 20 >> 2) + b"{}]}")
    long = [10**4000] * 1500
    write(
        "dimensions without end",
        "unreadable header",
        {"a": {"dtype": "F32", "shape": long, "data_offsets": [0, 0]}},
    )
    write(
        "nothing of great size",
        "model.safetensors",
        {"a": {"dtype": "F32", "shape": [0, 1 << 61], "data_offsets": [0, 0]}},
    )
    place = all.folder("no table", "wte.weight is missing")
    tensors = {key: value for key, value in all.tensors().items() if "wte" not in key}
    save_file(
        {key: value.clone() for key, value in tensors.items() if "lm_head" not in key},
        place / "model.safetensors",
    )
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps(config | {"vocab_size": 9_999_999}))
    os.unlink(all.folder("weights that are a pipe", "") / "model.safetensors")
    for name, _, path in all.cases:
        if name == "weights that are a pipe: import":
            os.mkfifo(Path(path) / "model.safetensors")
            all[name] = "is no file"


def checkpoints(all):
    """Checkpoints of nanoGPT with a shape that their bytes do not have."""

    def write(name, words, change=None, **shape):
        state = all.tensors()
        if change:
            change(state)
        path = all.checkpoint(name, words)
        all.tokenizer.save(path.parent, 16)
        torch.save({"model": state, "model_args": SHAPE | {"bias": True} | shape}, path)

    def last_layer(state):
        state["transformer.h.99999998.ln_1.weight"] = torch.zeros(8)
        state["transformer.h.9998.ln_1.weight"] = torch.zeros(8)

    write("layer 99,999,999", "n_layer is 99999999", last_layer, n_layer=99_999_999)
    write("layer 9,999", "h.1.ln_1.weight is missing", last_layer, n_layer=9_999)
    write(
        "no wte",
        "wte.weight is missing",
        lambda state: [state.pop("transformer.wte.weight"), state.pop("lm_head.weight")],
        n_embd=1_000_000,
        vocab_size=10_000_000,
    )
    write(
        "a tensor that is one number over and over",
        "its tensors are larger than the file",
        lambda state: state.update({"transformer.wte.weight": torch.zeros(1).expand(10**7, 8)}),
        vocab_size=10**7,
    )
    shared = torch.zeros(1 << 20)
    write(
        "one tensor under many names",
        "its tensors are larger than the file",
        lambda state: state.update({f"transformer.h.{n}.x": shared for n in range(2000)}),
    )


class Call:
    """What pickles as a call."""

    def __init__(self, what, *arguments):
        self.call = what, arguments

    def __reduce__(self):
        return self.call


def pickles(all):
    """Pickles that are programs to fill the memory or the time."""

    def archive(name, words, content, compression=zipfile.ZIP_STORED, parts=0):
        with zipfile.ZipFile(all.checkpoint(name, words), "w", compression) as file:
            file.writestr("archive/data.pkl", content)
            for number in range(parts):
                file.writestr(f"archive/data/{number:080}", b"")

    damaged = "is damaged, or no file of PyTorch"
    archive("a compressed pickle", damaged, EMPTY_DICTS * (32 << 20), zipfile.ZIP_DEFLATED)
    archive("many steps", damaged, b"\x80\x02" + EMPTY_DICTS * (3 << 20))
    archive("a pickle that is too long", damaged, b"\x80\x02" + EMPTY_DICTS * (6 << 20))
    archive("a long directory", damaged, pickle.dumps({"model": {}}, 2), parts=40_000)
    archive("an array of 100 GB", "would run code", pickle.dumps({"a": Call(bytearray, 10**11)}, 2))
    twice = b"K\x01" + b"".join(b"q%c0h%c\x86" % (n, n) for n in range(40)).replace(b"0h", b"h")
    archive("a key that is slow to hash", damaged, b"\x80\x02}" + twice + b"K\x01s.")
    old = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + pickle.dumps({}, 2)
    all.checkpoint("many steps of 2019", damaged).write_bytes(old + EMPTY_DICTS * (16 << 20))
    all.checkpoint("a storage without end", damaged).write_bytes(b"PK\x03\x04" + bytes(1 << 20))


def metas(all):
    """`meta.pkl` beside a good checkpoint."""
    for name, words, content in (
        ("meta of 9 MB", "is too large", EMPTY_DICTS * (9 << 20)),
        ("meta of many steps", "takes more than", b"\x80\x04" + EMPTY_DICTS * (7 << 20)),
        (
            "meta of numbers that collide",
            "not nanoGPT's list",
            b"\x80\x04}("
            + b"".join(
                b"\x8a\x0c" + ((2**61 - 1) * n).to_bytes(12, "little") + b"N"
                for n in range(1, 60_000)
            )
            + b"u.",
        ),
    ):
        path = all.checkpoint(name, words, "import --tokenizer").parent / "meta.pkl"
        torch.save(
            {"model": all.tensors(), "model_args": SHAPE | {"bias": True}}, path.parent / "ckpt.pt"
        )
        path.write_bytes(content)
        all.cases[-1] = (name, "import --tokenizer", str(path))


def tokenizers(all):
    """Vocabularies whose ids are none."""

    def change(name, words, edit):
        path = all.folder(f"tokenizer: {name}", words, ("import", "open")) / "tokenizer.json"
        spec = json.loads(path.read_text())
        edit(spec)
        path.write_text(json.dumps(spec))

    for number, id in enumerate((-1, 1 << 40, 10**300, "7", 7.5, True, None, 3)):
        change(
            f"id {number}",
            "is damaged",
            lambda spec, id=id: spec["model"]["vocab"].update({"the road": id}),
        )
    change(
        "a distant id",
        "ids up to 2,000,000,000",
        lambda spec: spec["model"]["vocab"].update({"the road": 2_000_000_000}),
    )
    for number, entry in enumerate(
        (
            5,
            {},
            {"id": 7, "content": "x"},
            {"id": -1, "content": "x"},
            {"id": "400", "content": "x"},
            {"id": 400, "content": ""},
            {"id": 400, "content": ["x"]},
            {"id": 10**300, "content": "x"},
        )
    ):
        change(
            f"added {number}",
            "is damaged",
            lambda spec, entry=entry: spec["added_tokens"].append(entry),
        )
    change(
        "many added",
        "added tokens",
        lambda spec: spec.update(
            added_tokens=[{"id": 400 + n, "content": f"x{n}"} for n in range(200_000)]
        ),
    )


@pytest.fixture(scope="module")
def outcome(tmp_path_factory, book_text):
    """All cases with the words they are to be refused with, and what became of them."""
    place = tmp_path_factory.mktemp("hostile")
    all = Shared(place, book_text)
    for make in (configs, jsons, headers, checkpoints, pickles, metas, tokenizers):
        make(all)
    all.folder("honest", "taken", ("open", "--from", "registry"))
    found = outcomes(place, all.cases)
    shutil.rmtree(place)
    return {name: (words, *found[name]) for name, words in all.items()}


def test_each_is_refused_in_one_line(outcome):
    """The line tells what is wrong; nothing fails in another way, and nothing is published."""
    odd = {
        name: line[:300]
        for name, (words, line, *_) in outcome.items()
        if words not in line or "\n" in line or len(line) > 600
    }
    assert not odd, json.dumps(odd, indent=1)
    assert len(outcome) > 150


def test_each_is_refused_at_once(outcome):
    """It takes less than two seconds of work."""
    assert {
        name: seconds for name, (_, _, seconds, _) in outcome.items() if seconds > SECONDS
    } == {}


def test_each_is_refused_in_little_memory(outcome):
    """However much a file claims to hold."""
    assert {name: grown for name, (_, _, _, grown) in outcome.items() if grown > MEGABYTES} == {}

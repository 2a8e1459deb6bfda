"""Weights in several files: fetched one by one, checked together, one file in the registry.

And what the headers of weights tell before the weights themselves are asked for.
"""

import json
import shutil

import pytest
import torch
from hub.test_pull_hub import config, told, without
from safetensors.torch import load, save

from tuillm.convert.import_model import import_model
from tuillm.errors import TuillmError
from tuillm.formats.safetensors_index import INDEX, MOST_SHARDS, read_index
from tuillm.store.hub.catalog import CATALOG
from tuillm.store.hub.pull_folder import list_pulls, pull_of
from tuillm.store.registry import find_model, list_models

WEIGHTS = "model.safetensors"


def shard(number, total=3):
    """The name of one of several files."""
    return f"model-{number:05}-of-{total:05}.safetensors"


def sharded(files, total=3, change=None, index=None, **extra):
    """A model's files with its weights in several; `change` alters tensors, `index` the index.

    `change` gets the number of a file and its tensors; `extra` are more of the index's names.
    """
    tensors = load(files[WEIGHTS])
    names = sorted(tensors)
    parts = [{name: tensors[name] for name in names[n::total]} for n in range(total)]
    found = {name: shard(n + 1, total) for n, part in enumerate(parts) for name in part}
    for number, part in enumerate(parts, 1):
        if change:
            change(number, part)
    told = {"metadata": {"total_size": 1}, "weight_map": found | extra}
    if index:
        index(told)
    made = {shard(n, total): save(part, {"format": "pt"}) for n, part in enumerate(parts, 1)}
    return without(files, WEIGHTS) | made | {INDEX: json.dumps(told).encode()}


def same_tensors(one, other):
    """Whether two contents of safetensors files hold the same."""
    one, other = load(one), load(other)
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
def test_several_files_become_one(hub, tuillm, tiny_files):
    """Byte for byte the same tensors; the files and their index are not in the registry."""
    hub.add("org/parts", sharded(tiny_files), tags=("license:mit",))
    done = tuillm("pull", "org/parts")
    assert (done.code, done.err) == (0, "")
    assert "123k parameters, family gpt2, context 64, licence mit" in done.out
    model = find_model("parts")
    assert same_tensors((model.path / WEIGHTS).read_bytes(), tiny_files[WEIGHTS])
    names = {path.name for path in model.path.iterdir()}
    assert INDEX not in names and shard(1) not in names
    assert (model.card.license, model.problem) == ("mit", "")
    assert list_pulls() == []
    written = tuillm("generate", "parts", "-p", "Dry feet", "-n", "3", "--seed", "1")
    assert written.code == 0 and written.out.startswith("Dry feet")


@pytest.mark.slow
def test_an_interrupted_one_goes_on_with_the_file_it_was_at(hub, start, tuillm, tiny_files):
    """After SIGKILL in the second file the first is not asked for again."""
    hub.add("org/parts", sharded(tiny_files))
    hub.hold = 120_000
    process = start("pull", "org/parts")
    assert hub.held.wait(30)
    process.kill()
    process.wait()
    assert list_models() == []
    (at,) = [path.name for path in pull_of("parts").path.glob("*.partial")]
    before, hub.hold = len(hub.requests), None
    hub.go.set()
    assert tuillm("pull", "org/parts").code == 0
    again = {
        asked.file: asked.start for asked in hub.requests[before:] if asked in hub.of_weights()
    }
    assert again.pop(at.removesuffix(".partial")) > 0 and not any(again.values())
    assert same_tensors((find_model("parts").path / WEIGHTS).read_bytes(), tiny_files[WEIGHTS])


def quantize(at, part):
    """A change: one tensor has whole numbers."""
    for name in part:
        if name.endswith("h.0.attn.c_attn.weight"):
            part[name] = part[name].to(torch.int8)


def twice(at, part):
    """A change: a tensor is in two files."""
    part["transformer.wte.weight"] = torch.zeros(300, 64)


def lose(name):
    """A change: a tensor is in no file."""
    return lambda at, part: part.pop(name, None)


def named(**names):
    """A change of the index: other names stand in it."""
    return lambda told: told["weight_map"].update(names)


LN = "transformer.h.0.ln_1.weight"
DAMAGED = {
    "a file is missing": (lambda f: without(sharded(f), shard(2)), f"{shard(2)} is missing"),
    "no series": (lambda f: sharded(f) | {shard(1, 2): b""}, "files that are no one series"),
    "no files": (lambda f: without(f, WEIGHTS) | {INDEX: b"{}"}, "several files that are no one"),
    "too many": (
        lambda f: without(sharded(f, 1), shard(1, 1)) | {shard(1, 90_000): b""},
        "in 90,000 files, where 200 are the most",
    ),
    "an index that is none": (lambda f: sharded(f) | {INDEX: b"[1]"}, "is damaged"),
    "a path": (lambda f: sharded(f, index=named(x="../../x.safetensors")), "no safetensors file"),
    "another file": (lambda f: sharded(f, index=named(x="x.safetensors")), "which is not there"),
    "not in its file": (lambda f: sharded(f, change=lose(LN)), "is not in model-0000"),
    "in two files": (lambda f: sharded(f, change=twice), "transformer.wte.weight"),
    "unnamed": (
        lambda f: sharded(f, change=lambda at, part: part.update({f"odd{at}": torch.ones(1)})),
        "does not name 'odd1'",
    ),
    "quantized": (lambda f: sharded(f, change=quantize), "numbers of type I8: its weights are"),
}  # fmt: skip


def test_damaged_series_are_refused_before_their_weights(hub, start, tiny_files):
    """One line each, no byte of weights, and nothing stays behind."""
    for number, (make, _) in enumerate(DAMAGED.values()):
        hub.add(f"org/bad{number}", make(tiny_files))
    lines = told(start, *(f"org/bad{number}" for number in range(len(DAMAGED))))
    for line, (kind, (_, words)) in zip(lines, DAMAGED.items(), strict=True):
        assert words in line, (kind, line)
    assert hub.of_weights() == []
    assert (list_models(), list_pulls()) == ([], [])


LLAMA = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 300,
    "max_position_embeddings": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
QWEN = LLAMA | {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"]}
CONFIGS = [
    (LLAMA | {"model_type": "gemma3_text"}, "of architecture 'gemma3_text'; tuillm computes"),
    (LLAMA | {"model_type": "mixtral", "num_local_experts": 8}, "of architecture 'mixtral'"),
    (QWEN | {"use_sliding_window": True}, "sets use_sliding_window, which tuillm does not"),
    (QWEN | {"layer_types": ["sliding_attention"]}, "sets use_sliding_window, which tuillm"),
    (LLAMA | {"rope_scaling": {"type": "yarn", "factor": 4.0}}, "positions scaled as 'yarn'"),
    (LLAMA | {"num_hidden_layers": -4}, "num_hidden_layers is -4"),
    (LLAMA | {"hidden_size": 10**15}, "hidden_size is 1000000000000000"),
    *(
        (LLAMA | {"quantization_config": {"quant_method": kind}}, f"are quantized ('{kind}')")
        for kind in ("awq", "gptq", "bitsandbytes", "fp8")
    ),
    (QWEN | {"use_sliding_window": False}, "model.safetensors"),  # which is none: its weights
]


def test_configs_that_are_not_computed_are_refused_by_name(hub, start, tiny_files):
    """The field and its value are told; of the weights not even the header is asked for."""
    for number, (found, _) in enumerate(CONFIGS):
        files = tiny_files | {"config.json": json.dumps(found).encode()}
        hub.add(f"org/bad{number}", files | {WEIGHTS: b"\xff" * 1000})
    lines = told(start, *(f"org/bad{number}" for number in range(len(CONFIGS))))
    for line, (_, words) in zip(lines, CONFIGS, strict=True):
        assert words in line, (words, line)
    seen = [asked for asked in hub.requests if asked.host == "cdn"]
    assert {asked.path.split("/")[2] for asked in seen} == {f"bad{len(CONFIGS) - 1}"}
    assert all(asked.sent <= 8 for asked in seen)


def changed(files, change):
    """The files with other tensors."""
    tensors = load(files[WEIGHTS])
    change(1, tensors)
    return files | {WEIGHTS: save(tensors, {"format": "pt"})}


@pytest.mark.slow
def test_one_file_is_looked_at_before_it_comes(hub, start, tiny_files):
    """Unexpected names, types, sizes and shapes, by the header alone."""
    extra = {"transformer.h.0.attn.q_norm.weight": torch.ones(16)}
    cases = {
        "extra": (changed(tiny_files, lambda at, part: part.update(extra)), "does not belong"),
        "int8": (changed(tiny_files, quantize), "numbers of type I8"),
        "wide": (config(tiny_files, n_embd=32), "wte.weight is [300, 64], not [300, 32]"),
        "deep": (config(tiny_files, n_layer=9), "h.2.ln_1.weight is missing"),
        "short": (tiny_files | {WEIGHTS: tiny_files[WEIGHTS][:-9]}, "is damaged: cut short"),
        "header": (
            tiny_files | {WEIGHTS: (9 << 20).to_bytes(8, "little") + bytes(10 << 20)},
            "its header is of 9,437,184 bytes",
        ),
        "fp8": (
            changed(tiny_files, lambda at, part: part.update(
                {LN: part[LN].to(torch.float8_e4m3fn)})), "tensors of type 'F8_E4M3'",
        ),
    }  # fmt: skip
    for name, (files, _) in cases.items():
        hub.add(f"org/{name}", files)
    lines = told(start, *(f"org/{name}" for name in cases))
    for line, (name, (_, words)) in zip(lines, cases.items(), strict=True):
        assert words in line, (name, line)
    assert hub.of_weights() == []


@pytest.mark.slow
def test_a_server_without_ranges_gives_headers_too(hub, tuillm, tiny_files):
    """It begins the file anew each time, and is left after the header."""
    hub.knows_ranges = False
    hub.add("org/parts", sharded(tiny_files))
    assert tuillm("pull", "org/parts").code == 0


def test_a_folder_of_several_files_is_imported(tmp_path, home, tiny_files):
    """With the same checks as one of the hub."""

    def folder(name, files):
        place = tmp_path / name
        place.mkdir()
        for file, content in files.items():
            (place / file).write_bytes(content)
        return str(place)

    import_model(folder("parts", sharded(tiny_files)))
    model = find_model("parts")
    assert same_tensors((model.path / WEIGHTS).read_bytes(), tiny_files[WEIGHTS])
    for number, (kind, words) in enumerate(
        {
            "a file is missing": "is missing",
            "a path": "no safetensors file beside it",
            "not in its file": "is not in model-0000",
            "in two files": "transformer.wte.weight",
        }.items()
    ):
        with pytest.raises(TuillmError, match=words):
            import_model(folder(f"bad{number}", DAMAGED[kind][0](tiny_files)))
    assert [each.name for each in list_models()] == ["parts"]


def test_an_index_of_many_files_is_refused(tmp_path):
    """However many it names, it costs no more than to read it."""
    names = {f"t{n}": f"x{n}.safetensors" for n in range(MOST_SHARDS + 1)}
    path = tmp_path / INDEX
    path.write_text(json.dumps({"weight_map": names}))
    with pytest.raises(TuillmError, match="names 201 files, where 200 are the most"):
        read_index(path)


@pytest.mark.slow
def test_a_full_disk_is_told_before_the_weights(hub, start, tiny_files):
    """Several files need their room twice, until they are one."""
    half = shutil.disk_usage("/tmp").free * 2 // 3
    hub.add("org/twice", sharded(tiny_files, 2)).sizes[shard(1, 2)] = half
    (line,) = told(start, "org/twice")
    assert "no room for org/twice" in line and "its parts are put together" in line
    assert hub.of_weights() == []


# heads, key heads, head_dim, layers, width, MLP, vocabulary, tied, of ../shared/design/MODELS.md
SHAPES = {
    "smollm2": ("llama", 9, 3, 64, 30, 576, 1536, 49_152, True),
    "smollm2-360m": ("llama", 15, 5, 64, 32, 960, 2560, 49_152, True),
    "smollm2-1.7b": ("llama", 32, 32, 64, 24, 2048, 8192, 49_152, True),
    "tinyllama": ("llama", 32, 4, 64, 22, 2048, 5632, 32_000, False),
    "llama3.2-1b": ("llama", 32, 8, 64, 16, 2048, 8192, 128_256, True),
    "qwen2.5-0.5b": ("qwen2", 14, 2, 64, 24, 896, 4864, 151_936, True),
    "qwen2.5-1.5b": ("qwen2", 12, 2, 128, 28, 1536, 8960, 151_936, True),
    "qwen3-0.6b": ("qwen3", 16, 8, 128, 28, 1024, 3072, 151_936, True),
    "qwen3-1.7b": ("qwen3", 16, 8, 128, 28, 2048, 6144, 151_936, True),
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_table_tells_the_parameters_of_the_true_shapes(name):
    """What the hub says of a model is what its shape has, and its download two bytes of each."""
    from tuillm.config.families import shape_of_config

    family, heads, kv, dim, layers, width, inner, vocabulary, tied = SHAPES[name]
    row = CATALOG[name]
    shape = shape_of_config(
        {
            "model_type": family,
            "vocab_size": vocabulary,
            "max_position_embeddings": row.context,
            "hidden_size": width,
            "intermediate_size": inner,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": kv,
            "head_dim": dim,
            "tie_word_embeddings": tied,
        },
        name,
    )
    assert (row.family, row.parameters) == (family, shape.parameter_count)
    # Qwen3's files have the head beside the embedding that it is
    head = vocabulary * width if name.startswith("qwen3") else 0
    weights = 2 * (row.parameters + head)
    assert weights < row.download < weights + 20_000_000


def test_short_names_are_listed_in_80_columns(hub, tuillm, terminal, tmp_path):
    """Alone `tuillm pull` shows them all with what they take; a slip is told."""
    listed = tuillm("pull")
    assert all(name in listed.out for name in CATALOG) and "llama3.2, gated" in listed.out
    missing = tuillm("generate", "smolm2", "-p", "x")
    assert missing.err == (
        "tuillm: no model named 'smolm2' (did you mean 'smollm2'? tuillm pull smollm2)\n"
    )
    screen = terminal("pull", environment=hub.environment(tmp_path / "hf"))
    assert screen.wait_end() == 0
    lines = screen.text.splitlines()
    assert any(line.startswith("qwen3-0.6b-base ") and "32,768" in line for line in lines)
    assert hub.requests == []


@pytest.mark.slow
def test_a_short_name_is_what_the_model_is_called(hub, tuillm, tiny_files):
    """Whichever way it was typed; its licence is told, and a gated one names page and token."""
    hub.add("HuggingFaceTB/SmolLM2-135M-Instruct", tiny_files, tags=("license:apache-2.0",))
    done = tuillm("pull", "HuggingFaceTB/SmolLM2-135M-Instruct")
    assert done.code == 0 and "licence apache-2.0" in done.out
    assert find_model("smollm2").card.license == "apache-2.0"
    assert tuillm("pull", "smollm2").out == "smollm2 is here already: tuillm chat smollm2\n"
    hub.add("meta-llama/Llama-3.2-1B-Instruct", tiny_files, gated=True)
    gated = tuillm("pull", "llama3.2-1b")
    assert "is gated: its licence has to be accepted first (accept it at https://" in gated.err
    assert "/meta-llama/Llama-3.2-1B-Instruct, then set HF_TOKEN or" in gated.err

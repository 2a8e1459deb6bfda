"""GGUF files become folders that transformers opens, with the same logits and the same ids."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers
from convert import gguf_files
from convert.gguf_models import ROWS, SPLITTING, add_pieces, model_of, pieces_of, texts, trained
from gguf import GGUFReader
from gguf.quants import dequantize
from safetensors.torch import load_file
from tokenizers import Tokenizer, pre_tokenizers

from tuillm.convert.gguf_import import open_gguf_model, write_gguf_folder
from tuillm.convert.import_model import import_model
from tuillm.errors import TuillmError, UsageError
from tuillm.model import read_model
from tuillm.store.registry import get_model, list_models

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


@pytest.fixture(scope="module")
def words(book_text):
    """A byte-level tokenizer of GPT-2's kind with special and other added tokens."""
    return trained(book_text, pre_tokenizers.ByteLevel(add_prefix_space=False))


@pytest.fixture
def folder(tmp_path):
    """An empty folder to write to."""
    place = tmp_path / "folder"
    place.mkdir()
    return place


def opened(folder):
    """A folder in transformers."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    return model.eval()


def refused(path, **options):
    """The line an import is refused with."""
    with pytest.raises(TuillmError) as error:
        import_model(str(path), "refused", **options)
    assert not list_models()
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", ["gpt2", "llama", "qwen2", "qwen3"])
def test_logits_of_each_family(folder, tmp_path, words, family, tied):
    """Transformers and tuillm compute from the folder what the model before GGUF does."""
    theirs = model_of(family, tie_word_embeddings=tied)
    path = gguf_files.write(tmp_path / "a.gguf", theirs, words)
    assert write_gguf_folder(path, folder) == []
    idx = torch.randint(ROWS, (2, 24), generator=torch.Generator().manual_seed(1))
    wanted = theirs(idx).logits
    torch.testing.assert_close(opened(folder)(idx).logits, wanted, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(read_model(folder)(idx), wanted, atol=1e-3, rtol=1e-4)
    before, after = theirs.state_dict(), load_file(folder / "model.safetensors")
    assert ("lm_head.weight" in after) == (not tied)
    assert all(torch.equal(value, before[name]) for name, value in after.items())


@pytest.mark.parametrize("kind", ["F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"])
def test_values_of_each_kind(folder, tmp_path, words, kind):
    """Short types stay what they are, blocks become the float32 that gguf makes of them."""
    path = gguf_files.write(
        tmp_path / "a.gguf", model_of("qwen3", intermediate_size=64), words, kind
    )
    notes = write_gguf_folder(path, folder)
    after = load_file(folder / "model.safetensors")
    # norms around 1 in float32 do not fit into 16 bits
    assert {value.dtype for value in after.values()} == {torch.float32}
    assert f"stored as {kind}" in notes[0]
    for each in GGUFReader(path).tensors:
        if each.name == "blk.1.ffn_down.weight":
            wanted = dequantize(each.data, each.tensor_type)
            found = after["model.layers.1.mlp.down_proj.weight"]
            assert np.array_equal(found.float().numpy(), wanted)


@pytest.mark.parametrize("kind", ["F16", "BF16"])
def test_short_types_stay_short(folder, tmp_path, words, kind):
    """Where norms fit as well, the folder is of the file's type."""
    dtype = {"F16": torch.float16, "BF16": torch.bfloat16}[kind]
    theirs = model_of("llama").to(dtype)
    path = gguf_files.write(tmp_path / "a.gguf", theirs, words, kind)
    assert write_gguf_folder(path, folder) == []
    after = load_file(folder / "model.safetensors")
    assert all(torch.equal(after[name], theirs.state_dict()[name]) for name in after)
    assert opened(folder).dtype == dtype


@pytest.mark.parametrize("kind", ["Q4_K", "Q5_K", "Q6_K", "Q4_1"])
def test_blocks_as_transformers_dequantises_them(folder, tmp_path, words, kind):
    """Transformers has code of its own for them, which comes to the same numbers."""
    from transformers.integrations.gguf.dequant import dequantize as theirs

    shape = {"hidden_size": 256, "intermediate_size": 256, "head_dim": 64, "num_hidden_layers": 1}
    path = gguf_files.write(tmp_path / "a.gguf", model_of("llama", **shape), words, kind)
    write_gguf_folder(path, folder)
    after = load_file(folder / "model.safetensors")
    for each in GGUFReader(path).tensors:
        stem, _, part = each.name.rpartition(".")
        if each.tensor_type.name != kind or stem.endswith(("attn_q", "attn_k", "output")):
            continue
        name = next(name for name in after if gguf_files.label(name) == f"{stem}.{part}")
        blocks = torch.from_numpy(np.array(each.data).reshape(-1))
        wanted = theirs(blocks, each.tensor_type.value).reshape(after[name].shape)
        torch.testing.assert_close(after[name], wanted, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"factor": 8.0},
        {"factor": 8.0, "original_max_position_embeddings": 4096},
        {"high_freq_factor": 8.0, "original_max_position_embeddings": 1000},
        {"factor": 1.0},
    ],
    ids=str,
)
def test_scaled_rotary_positions(folder, tmp_path, words, change):
    """The settings come back from the factors; they turn queries as the model's own did."""
    scaling = LLAMA3 | change
    theirs = model_of("llama", head_dim=64, rope_parameters=scaling)
    plain = 1.0 / (500_000.0 ** (torch.arange(0, 64, 2).float() / 64))
    factors = (plain / theirs.model.rotary_emb.inv_freq).numpy()
    path = gguf_files.write(tmp_path / "a.gguf", theirs, words, more={"rope_freqs.weight": factors})
    write_gguf_folder(path, folder)
    found = json.loads((folder / "config.json").read_text())["rope_scaling"]
    if scaling["factor"] == 1:
        assert found is None
        return
    assert {"rope_theta": 500_000.0, **found} == scaling
    rotary = opened(folder).model.rotary_emb
    torch.testing.assert_close(rotary.inv_freq, theirs.model.rotary_emb.inv_freq)


def test_other_scaling_is_refused(home, tmp_path, words):
    """Factors that no setting of Llama 3 gives, and scaling of another kind, are named."""
    more = {"rope_freqs.weight": np.array([1, 3, 2, 5], np.float32)}
    path = gguf_files.write(tmp_path / "a.gguf", model_of("llama"), words, more=more)
    assert "otherwise than Llama 3 does" in refused(path)
    for kind in ("yarn", "linear", "longrope"):

        def scale(writer, kind=kind):
            writer.add_rope_scaling_factor(4.0)
            writer.add_string("qwen2.rope.scaling.type", kind)

        path = gguf_files.write(tmp_path / "a.gguf", model_of("qwen2"), words, change=scale)
        assert f"scaled as '{kind}'" in refused(path)


def test_a_head_that_is_the_embedding_once_more(folder, tmp_path, words):
    """Older converters wrote a tied head out: it is tied again."""
    theirs = model_of("gpt2")
    again = {"output.weight": theirs.state_dict()["lm_head.weight"].numpy()}
    path = gguf_files.write(tmp_path / "a.gguf", theirs, words, more=again)
    write_gguf_folder(path, folder)
    assert json.loads((folder / "config.json").read_text())["tie_word_embeddings"] is True
    assert "lm_head.weight" not in load_file(folder / "model.safetensors")


@pytest.mark.parametrize("pre", SPLITTING)
def test_ids_of_bytes(folder, tmp_path, book_text, pre):
    """Every text has the ids of the tokenizer that the file was made of, and comes back."""
    before = trained(book_text, *SPLITTING[pre])
    family = "qwen2" if pre == "qwen2" else "llama"
    path = gguf_files.write(tmp_path / "a.gguf", model_of(family), before, pre=pre)
    write_gguf_folder(path, folder)
    after = Tokenizer.from_file(str(folder / "tokenizer.json"))
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    for text in texts():
        wanted = before.encode(text).ids
        assert after.encode(text).ids == wanted, text
        assert theirs(text)["input_ids"] == wanted, text
        assert after.decode(wanted) == before.decode(wanted)


def by_score(text, names, kinds, scores):
    """SentencePiece's BPE written out: the best neighbours are joined, the first of equals."""
    ids = {name: id for id, name in enumerate(names) if kinds[id] == 1}
    parts = list(text.replace(" ", "\u2581"))
    while True:
        found = [
            (-scores[ids[left + right]], at)
            for at, (left, right) in enumerate(zip(parts, parts[1:], strict=False))
            if left + right in ids
        ]
        if not found:
            break
        at = min(found)[1]
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    first = names.index("<0x00>")
    return [
        id
        for part in parts
        for id in ([ids[part]] if part in ids else [first + byte for byte in part.encode()])
    ]


@pytest.mark.parametrize("prefix", [True, False])
def test_ids_of_characters(folder, tmp_path, book_text, prefix):
    """SentencePiece's BPE: what its scores join, bytes for what is not in the vocabulary."""
    names, kinds, scores = pieces_of(book_text)

    def add(writer):
        add_pieces(writer, names, kinds, scores, prefix)

    theirs = model_of("llama", vocab_size=len(names))
    write_gguf_folder(gguf_files.write(tmp_path / "a.gguf", theirs, change=add), folder)
    after = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert after.decode([5 + 0xE2, 5]) != ""
    for text in texts():
        if "<think>" in text:
            continue
        wanted = [1, *by_score(" " * (prefix and text != "") + text, names, kinds, scores)]
        assert after.encode(text).ids == wanted, text
        if "\u2581" not in text:  # which is a blank here
            assert after.decode(wanted) == text
    assert after.encode("a<think>b").tokens.count("<think>") == 1


def test_what_else_the_tokenizer_tells(folder, tmp_path, words):
    """Special and other added tokens, ids that end a reply, bos, and the chat template."""
    template = "{% for message in messages %}<|im_start|>{{ message['content'] }}{% endfor %}"

    def tell(writer):
        writer.add_add_bos_token(True)
        writer.add_eot_token_id(2)
        writer.add_pad_token_id(0)
        writer.add_string("tokenizer.chat_template.tool_use", "{{ 1 }}")

    path = gguf_files.write(
        tmp_path / "a.gguf",
        model_of("llama"),
        words,
        pre="smollm",
        bos=1,
        eos=2,
        template=template,
        change=tell,
    )
    notes = write_gguf_folder(path, folder)
    assert notes == ["of its 2 chat templates only the first was taken"]
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    assert (theirs.bos_token, theirs.eos_token) == ("<|im_start|>", "<|im_end|>")
    assert theirs.pad_token == "<|endoftext|>"
    assert theirs.model_max_length == 64
    assert theirs("a").input_ids[0] == 1
    assert theirs.chat_template == template
    chat = theirs.apply_chat_template([{"role": "user", "content": "<think>"}], tokenize=False)
    assert theirs(chat).input_ids[1:] == [1, words.token_to_id("<think>")]
    added = json.loads((folder / "tokenizer.json").read_text())["added_tokens"]
    assert [each["special"] for each in added] == [True, True, True, False]
    generation = json.loads((folder / "generation_config.json").read_text())
    assert generation["eos_token_id"] == [2, 0]  # <|endoftext|> ends a reply, too
    vocab = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    assert not [name for name in vocab if name.startswith("[PAD")]


def test_a_gpt2_without_its_pattern_is_cut_as_gpt2_is(folder, tmp_path, words):
    """Files of before April 2024 did not tell: what is usual is assumed, and said."""
    path = gguf_files.write(tmp_path / "a.gguf", model_of("gpt2"), words, pre="default")
    assert write_gguf_folder(path, folder) == [
        "how its tokenizer cuts a text is not told: assumed as gpt-2 does"
    ]


def test_a_file_comes_into_the_registry(home, tmp_path, words):
    """It has a card like any other that came in, under the name of the file."""
    path = gguf_files.write(tmp_path / "My Model.Q8_0.gguf", model_of("gpt2"), words, "Q8_0")
    found = import_model(str(path))
    assert found.name == "My-Model.Q8_0"
    assert "stored as Q8_0, were written as float32" in found.notes[0]
    model = get_model(found.name)
    assert model.problem == ""
    assert (model.card.origin, model.card.parameters) == ("imported", found.parameters)
    assert model.card.tokenizer == found.tokenizer.kind
    assert read_model(model.path).config.n_layer == found.config.n_layer == 2
    with pytest.raises(TuillmError, match="--replace"):
        import_model(str(path))
    import_model(str(path), replace=True)
    with pytest.raises(UsageError, match="its own tokenizer"):
        import_model(str(path), "other", tokenizer="gpt2")
    assert [model.name for model in list_models()] == ["My-Model.Q8_0"]


@pytest.mark.parametrize("kind", ["bpe", "char", "ascii"])
@pytest.mark.parametrize("dtype", ["f32", "q8_0"])
def test_our_own_export_comes_back(home, tmp_path, book_text, kind, dtype):
    """The same ids, the same context, and in float32 the same weights."""
    from tuillm.convert.export_model import export
    from tuillm.model import GPT, GPTConfig, write_model
    from tuillm.store.card import ModelCard
    from tuillm.store.registry import publish
    from tuillm.text import load_tokenizer, make_tokenizer
    from tuillm.text.new_tokenizer import tokenizer_of_characters

    tokenizer = make_tokenizer("bpe" if kind == "bpe" else "char", [book_text], 300)
    if kind == "ascii":
        tokenizer = tokenizer_of_characters(sorted(set("\n abcdefghijklmnopqrstuvwxyzéß日")))
    model = GPT(GPTConfig(tokenizer.n_vocab, 24, 2, 2, 32, bias=False))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    with publish("mine", ModelCard()) as folder:
        write_model(model, folder, tokenizer.eot)
        tokenizer.save(folder, 24)
    export("mine", tmp_path, "gguf", dtype)
    (folder := tmp_path / "back").mkdir()
    write_gguf_folder(tmp_path / "mine.gguf", folder)
    back = read_model(folder)
    assert back.config.block_size == 24
    if dtype == "f32":
        for name, value in model.state_dict().items():
            assert torch.equal(back.state_dict()[name][: len(value)], value)
    after = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for text in (book_text[:3000], *texts(50)):
        assert after.encode(text).ids == tokenizer.encode(text)
    assert load_tokenizer(folder).encode(book_text[:3000]) == tokenizer.encode(book_text[:3000])


def number(key, value=8):
    """Tells a number under a key."""
    return lambda writer: writer.add_uint32(key, value)


def text(key, value):
    """Tells a text under a key."""
    return lambda writer: writer.add_string(key, value)


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("is of architecture 'gemma3'; tuillm reads gpt2, llama", {"family": "gemma3"}),
        ("sets 'llama.expert_count' 8", {"change": number("llama.expert_count")}),
        (
            "sets 'llama.attention.sliding_window' 8",
            {"change": number("llama.attention.sliding_window")},
        ),
        ("sets 'llama.residual_scale' 0.2", {"change": lambda w: w.add_residual_scale(0.2)}),
        (
            "sets 'llama.attention.causal' False",
            {"change": lambda w: w.add_causal_attention(False)},
        ),
        ("value_length 16 where a head is 8", {"change": lambda w: w.add_value_length(16)}),
        ("head_dim 7 is odd", {"change": lambda w: w.add_key_length(7)}),
        ("cuts text as 'tekken' does", {"pre": "tekken"}),
        ("tokenizer.ggml.pre is 'default'", {"pre": "default"}),
        ("is one of 3 parts", {"change": number("split.count", 3)}),
        (
            "'blk.0.ffn_gate_inp.weight' does not belong to a llama",
            {"more": {"blk.0.ffn_gate_inp.weight": np.zeros((4, 32), np.float32)}},
        ),
        (
            "layers.2.input_layernorm.weight",
            {"more": {"blk.2.attn_norm.weight": np.zeros(32, np.float32)}},
        ),
        ("q_proj.bias' does not belong", {"more": {"blk.0.attn_q.bias": np.zeros(32, np.float32)}}),
    ],
)
def test_what_is_refused_by_name(home, tmp_path, words, line, options):
    """Architectures and switches that change the arithmetic, tokenizers that are not known."""
    path = gguf_files.write(tmp_path / "a.gguf", model_of("llama"), words, **options)
    assert line in refused(path)


@pytest.mark.parametrize("kind", ["bert", "t5", "rwkv", "no_vocab"])
def test_other_tokenizers_are_refused(home, tmp_path, kind):
    """By their names in llama.cpp."""

    def tell(writer):
        writer.add_tokenizer_model(kind)
        writer.add_token_list(["a", "b"])

    path = gguf_files.write(tmp_path / "a.gguf", model_of("llama"), change=tell)
    assert f"a tokenizer of kind '{kind}'" in refused(path)


def test_a_file_without_a_tokenizer(home, tmp_path):
    """It says so."""
    path = gguf_files.write(tmp_path / "a.gguf", model_of("llama"))
    assert "has no tokenizer" in refused(path)


def test_kinds_that_are_not_read(home, tmp_path, words):
    """A file of two bits names them."""
    path = gguf_files.write(
        tmp_path / "a.gguf", model_of("llama", hidden_size=256, head_dim=64), words, "Q2_K"
    )
    assert "tensors of Q2_K, which tuillm does not read" in refused(path)


def test_a_disk_that_is_too_full(home, tmp_path, words, monkeypatch):
    """It is told before anything is written, and nothing stays behind."""
    path = gguf_files.write(tmp_path / "a.gguf", model_of("llama"), words, pre="smollm")
    monkeypatch.setattr("shutil.disk_usage", lambda place: SimpleNamespace(free=1000))
    assert "full" in refused(path) or "no space" in refused(path).lower()
    assert not list((home / "models").glob("*"))


def test_weights_are_made_when_they_are_written(tmp_path, words):
    """A file that is open has none in memory; each can be made by itself."""
    theirs = model_of("llama")
    path = gguf_files.write(tmp_path / "a.gguf", theirs, words, pre="smollm")
    tensors = open_gguf_model(path).tensors
    for name, before in theirs.state_dict().items():
        assert tensors[name].shape == before.shape
        assert torch.equal(tensors[name].make(), before)

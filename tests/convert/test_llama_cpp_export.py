"""llama.cpp reads our GGUF files of every family: the same ids, the same greedy reply.

For developers who have `llama-cpp-python` installed; it is no dependency.
"""

import unicodedata

import numpy as np
import pytest
import torch
from convert import gguf_files
from convert.gguf_models import (
    SPLITTING,
    add_pieces,
    model_of,
    pieces_of,
    texts,
    trained,
    write_folder,
)

from tuillm import Sampler
from tuillm.config.gpt_config import GPTConfig
from tuillm.convert.export_model import export
from tuillm.convert.gguf_import import write_gguf_folder
from tuillm.model import GPT, read_model, write_model
from tuillm.text import load_tokenizer, make_tokenizer

llama_cpp = pytest.importorskip("llama_cpp")
pytestmark = pytest.mark.slow

FAMILIES = ["llama", "qwen2", "qwen3"]
SHAPE = {"max_position_embeddings": 512, "intermediate_size": 64}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 128,
}


@pytest.fixture
def folder(home, tmp_path):
    """Where a model folder is written."""
    return tmp_path / "folder"


def opened(path, **options):
    """A GGUF file in llama.cpp, with keys and values in f32 as ours are."""
    exact = {"n_ctx": 512, "logits_all": True, "type_k": 0, "type_v": 0, "n_threads": 2}
    return llama_cpp.Llama(str(path), verbose=False, **(exact | options))


def assert_same_ids(folder, path, count=500):
    """Every text has llama.cpp's ids: names of special tokens as text, and as these."""
    llama, ours = opened(path, vocab_only=True), load_tokenizer(folder)
    names = [name for id, name in ours.names.items() if not ours.token_bytes(id)]
    for number, text in enumerate(texts(count)):
        name = names[number % len(names)]
        text = ("", name, text[:5] + name)[number % 3] + text
        if ours.spec.get("normalizer") == {"type": "NFC"}:  # llama.cpp's does not compose
            text = unicodedata.normalize("NFC", text)
        if ours.kind == "char":
            text = text.replace("\u2581", "")  # which llama.cpp takes for a blank
        typed = llama.tokenize(text.encode(), add_bos=False, special=False)
        assert typed == ours.encode(text), text
        marked = llama.tokenize(text.encode(), add_bos=False, special=True)
        assert marked == ours.encode_special(text), text


def logits(path, ids):
    """llama.cpp's logits behind each of the ids."""
    llama = opened(path)
    llama.eval(ids)
    return torch.from_numpy(np.array(llama.scores[: len(ids)]))


def assert_same_reply(folder, path, length=100):
    """Greedily each says the same, and the logits along it agree."""
    ids = torch.randint(3, 300, (12,), generator=torch.Generator().manual_seed(2)).tolist()
    sampler = Sampler(folder, dtype="float32")
    ours = [token.id for token in sampler.stream(ids, temperature=0, max_new_tokens=length)]
    assert len(ours) == length
    theirs = opened(path).generate(ids, top_k=1, temp=0.0, repeat_penalty=1.0)
    assert [next(theirs) for _ in ours] == ours
    with torch.inference_mode():
        wanted = read_model(folder).eval()(torch.tensor([ids + ours]))[0]
    assert (logits(path, ids + ours) - wanted).abs().max() / wanted.std() < 1e-4


@pytest.mark.parametrize(
    ("family", "scaling"),
    [("llama", None), ("llama", LLAMA3), ("qwen2", None), ("qwen3", None)],
    ids=["llama", "llama3", "qwen2", "qwen3"],
)
def test_a_family(folder, tmp_path, book_text, family, scaling):
    """Ids and 100 greedy tokens are equal; the heads are grouped, those of qwen3 are wider."""
    more = {"rope_parameters": scaling} if scaling else {}
    if family == "llama":
        more |= {"head_dim": 16}
    model = model_of(family, **SHAPE, **more)
    with torch.no_grad():
        model.lm_head.weight.mul_(3)
        model.lm_head.weight[:3].zero_()  # the special tokens
        model.lm_head.weight[-20:].zero_()  # rows without tokens, which tuillm never draws
    write_folder(folder, model, trained(book_text, *SPLITTING["qwen2"]))
    path = export(str(folder), tmp_path / "a.gguf", "gguf").path
    assert_same_ids(folder, path)
    assert_same_reply(folder, path)


@pytest.mark.parametrize("pre", SPLITTING)
def test_ids_of_bytes(folder, tmp_path, book_text, pre):
    """Byte-level tokenizers, however they cut a text."""
    write_folder(folder, model_of("llama"), trained(book_text, *SPLITTING[pre]))
    assert_same_ids(folder, export(str(folder), tmp_path / "a.gguf", "gguf").path)


def test_a_pattern_where_merges_decide(folder, tmp_path, book_text):
    """Llama 3's pattern without its taking words as they are."""
    tokenizer = trained(book_text, *SPLITTING["llama-bpe"][:2])
    write_folder(folder, model_of("llama"), tokenizer)
    assert_same_ids(folder, export(str(folder), tmp_path / "a.gguf", "gguf").path)


@pytest.mark.parametrize("prefix", [True, False])
def test_ids_of_characters(folder, tmp_path, book_text, prefix):
    """SentencePiece's BPE, with a blank before a text and without."""
    names, kinds, scores = pieces_of(book_text)
    theirs = gguf_files.write(
        tmp_path / "theirs.gguf",
        model_of("llama", vocab_size=len(names)),
        change=lambda writer: add_pieces(writer, names, kinds, scores, prefix),
    )
    folder.mkdir()
    write_gguf_folder(theirs, folder)
    assert_same_ids(folder, export(str(folder), tmp_path / "a.gguf", "gguf").path)


@pytest.mark.parametrize("kind", ["bpe", "char"])
@pytest.mark.parametrize("family", FAMILIES)
def test_our_own_tokenizers(folder, tmp_path, book_text, kind, family):
    """A model of these families with a vocabulary of ours is the same there."""
    tokenizer = make_tokenizer(kind, [book_text], 400)
    config = GPTConfig(
        tokenizer.n_vocab,
        512,
        2,
        4,
        32,
        bias=False,
        tie_weights=False,
        family=family,
        rope_theta=1e4,
        n_kv_head=2,
        head_dim=8 if family == "qwen2" else 16,
        n_inner=64,
        rms_norm=True,
        gated_mlp=True,
        qkv_bias=family == "qwen2",
        qk_norm=family == "qwen3",
    )
    model = GPT(config)
    with torch.no_grad():
        for number, parameter in enumerate(model.parameters()):
            parameter.normal_(0, 0.3, generator=torch.Generator().manual_seed(number))
        if tokenizer.eot is not None:
            model.lm_head.get_parameter("weight")[tokenizer.eot] = 0
    folder.mkdir()
    write_model(model, folder, tokenizer.eot)
    tokenizer.save(folder, 512)
    path = export(str(folder), tmp_path / "a.gguf", "gguf").path
    assert_same_ids(folder, path)
    if tokenizer.n_vocab >= 300:
        assert_same_reply(folder, path)


@pytest.mark.parametrize("dtype", ["q8_0", "f16", "bf16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_shorter_types_lose_little(folder, tmp_path, book_text, family, dtype):
    """Mean cross-entropy of a text within 0.01 nats of f32, as llama.cpp computes both."""
    model = model_of(family, **SHAPE, hidden_size=64)
    with torch.no_grad():
        for value in model.parameters():
            if value.ndim == 2:
                value.mul_(0.5)
    words = trained(book_text, *SPLITTING["smollm"])
    write_folder(folder, model, words)
    ids = words.encode(book_text[:4000]).ids[:500]
    losses = []
    for kind in ("f32", dtype):
        path = export(str(folder), tmp_path / f"{kind}.gguf", "gguf", kind).path
        found = logits(path, ids)[:-1].double()
        losses.append(torch.nn.functional.cross_entropy(found, torch.tensor(ids[1:])).item())
    assert losses[0] != losses[1] and abs(losses[0] - losses[1]) < 0.01, losses


def test_a_width_of_no_blocks(folder, tmp_path, book_text):
    """Where q8_0 falls back to f16 for some matrices the file loads, and says nearly the same."""
    model = model_of("llama", intermediate_size=50, hidden_size=48, head_dim=12)
    write_folder(folder, model, trained(book_text, *SPLITTING["smollm"]))
    done = export(str(folder), tmp_path / "a.gguf", "gguf", "q8_0")
    assert "matrices are f16" in done.notes[0]
    ids = torch.randint(400, (30,), generator=torch.Generator().manual_seed(1)).tolist()
    with torch.inference_mode():
        wanted = read_model(folder).eval()(torch.tensor([ids]))[0]
    assert (logits(done.path, ids) - wanted).abs().max() / wanted.std() < 0.1


def test_llama_cpp_writes_the_same_conversation(folder, tmp_path, book_text):
    """The chat template is in the file: llama-cpp-python asks the model in its own form."""
    template = (
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + "
        "message['content'] + '<|im_end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    write_folder(folder, model_of("qwen2"), trained(book_text, *SPLITTING["qwen2"]), template)
    llama = opened(export(str(folder), tmp_path / "a.gguf", "gguf").path)
    assert llama.metadata["tokenizer.chat_template"] == template
    asked = [{"role": "user", "content": "Why?"}]
    done = llama.create_chat_completion(asked, max_tokens=1, temperature=0)
    text = "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n"
    count = len(load_tokenizer(folder).encode_special(text))
    assert done["usage"]["prompt_tokens"] == count

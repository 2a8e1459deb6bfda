"""Folders made of GGUF files are the models that llama.cpp itself reads in them.

For developers who have `llama-cpp-python` installed; it is no dependency.
"""

import numpy as np
import pytest
import torch
import transformers
from convert import gguf_files
from convert.gguf_models import ROWS, SPLITTING, add_pieces, model_of, pieces_of, texts, trained
from tokenizers import Tokenizer

from tuillm.convert.gguf_import import write_gguf_folder

llama_cpp = pytest.importorskip("llama_cpp")
pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path):
    """An empty folder to write to."""
    place = tmp_path / "folder"
    place.mkdir()
    return place


def assert_same_ids(path, folder, composed=False):
    """Every text has llama.cpp's ids, special tokens included."""
    llama = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
    ours = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for text in texts(400):
        if composed:  # Qwen's own tokenizer composes characters, llama.cpp's does not
            text = ours.normalizer.normalize_str(text)
        theirs = llama.tokenize(text.encode(), add_bos=True, special=True)
        assert ours.encode(text).ids == theirs, text


@pytest.mark.parametrize("pre", SPLITTING)
def test_ids_of_bytes(folder, tmp_path, book_text, pre):
    """Byte-level tokenizers, however they cut a text."""
    family = "qwen2" if pre == "qwen2" else "llama"
    path = gguf_files.write(
        tmp_path / "a.gguf",
        model_of(family),
        trained(book_text, *SPLITTING[pre]),
        pre=pre,
        bos=0,
        eos=2,
    )
    write_gguf_folder(path, folder)
    assert_same_ids(path, folder, composed=pre == "qwen2")


@pytest.mark.parametrize("prefix", [True, False])
def test_ids_of_characters(folder, tmp_path, book_text, prefix):
    """SentencePiece's BPE, with a blank before a text and without."""
    names, kinds, scores = pieces_of(book_text)
    path = gguf_files.write(
        tmp_path / "a.gguf",
        model_of("llama", vocab_size=len(names)),
        change=lambda writer: add_pieces(writer, names, kinds, scores, prefix),
    )
    write_gguf_folder(path, folder)
    assert_same_ids(path, folder)


@pytest.mark.parametrize("kind", ["F32", "Q4_K"])
@pytest.mark.parametrize("family", ["gpt2", "llama", "qwen2", "qwen3"])
def test_logits(folder, tmp_path, book_text, family, kind):
    """Transformers computes from the folder what llama.cpp does from the file."""
    small = {"n_embd": 256} if family == "gpt2" else {"hidden_size": 256, "intermediate_size": 256}
    heads = {} if family in ("gpt2", "qwen2") else {"head_dim": 64}
    words = trained(book_text, *SPLITTING["gpt-2"])
    theirs = model_of(family, **small, **heads)
    with torch.no_grad():
        for value in theirs.parameters():
            if value.ndim == 2:
                value.mul_(0.3)
    path = gguf_files.write(tmp_path / "a.gguf", theirs, words, kind, bos=0, eos=0)
    write_gguf_folder(path, folder)
    llama = llama_cpp.Llama(
        str(path), n_ctx=64, logits_all=True, type_k=0, type_v=0, n_threads=1, verbose=False
    )
    ids = torch.randint(ROWS, (20,), generator=torch.Generator().manual_seed(1)).tolist()
    llama.eval(ids)
    found = torch.from_numpy(np.array(llama.scores[: len(ids)]))
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.no_grad():
        wanted = model(torch.tensor([ids])).logits[0]
    # its GELU is a table in half precision, and it computes blocks with rounded inputs
    error = (found - wanted).abs().max() / wanted.abs().max()
    assert error < (0.05 if kind != "F32" else 1e-3 if family == "gpt2" else 1e-4)

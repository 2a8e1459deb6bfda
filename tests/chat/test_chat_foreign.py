"""A chat with models of others: ids that stand for nothing, an end of their own, weights of NaN."""

import math

import pytest
from chat.talking import Talk
from foreign import foreign
from safetensors.torch import load_file, save_file


@pytest.mark.slow
def test_a_context_that_fills_up_with_a_padded_table(tmp_path, request):
    """Rows beyond the vocabulary end no chat, however often the context has to be cut."""
    folder, _ = foreign(tmp_path / "padded", ends=(1, 2))
    chat = Talk(str(folder), "--max-new-tokens", "60", "--temperature", "1.5", "--top-k", "0")
    request.addfinalizer(chat.close)
    for line in ("the road", "to the sea", "/regen", "the road"):
        said = chat.say(line)
        assert "Error" not in said and "<|im_end|>" not in said and "</s>" not in said
    assert "NaN" not in chat.text


@pytest.mark.slow
def test_weights_of_nan_are_told_and_the_chat_lives(tmp_path, request):
    """One line instead of a reply; what needs no reply still works."""
    folder, _ = foreign(tmp_path / "broken")
    tensors = load_file(folder / "model.safetensors")
    tensors["transformer.ln_f.weight"][0] = math.nan
    save_file(tensors, folder / "model.safetensors")
    chat = Talk(str(folder))
    request.addfinalizer(chat.close)
    for _ in range(2):
        assert "'broken' computes no numbers but NaN" in " ".join(chat.say("the road").split())
    assert "computes no numbers" in " ".join(chat.say("/score the road to the sea").split())
    assert "temperature" in chat.say("/show")

"""A model as others make them: an end of its own, tokens beside its vocabulary, padded tables."""

import copy
import json

import torch

from tuillm.model import GPT, GPTConfig, write_model
from tuillm.text.new_tokenizer import make_tokenizer
from tuillm.text.tiktoken_tokenizer import TiktokenTokenizer


def random_model(size, seed=0, **shape):
    model = GPT(
        GPTConfig(
            vocab_size=size,
            **(
                dict(block_size=32, n_layer=1, n_head=2, n_embd=32, bias=True, tie_weights=False)
                | shape
            ),
        )
    )
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.35, generator=generator)
    return model.eval()


def foreign(folder, ends=(), rows=310):
    """A folder with `</s>` and `<|im_end|>` beside a vocabulary and `rows` in its tables."""
    spec = copy.deepcopy(make_tokenizer("bpe", ["the road to the sea " * 30], 300).spec)
    last = max(spec["model"]["vocab"].values())
    spec["added_tokens"] = [
        {"id": last + number, "content": content, "special": True}
        for number, content in enumerate(("</s>", "<|im_end|>"), 1)
    ]
    folder.mkdir()
    tokenizer = TiktokenTokenizer(spec)
    model = random_model(rows)
    with torch.no_grad():  # padded rows that it would like best of all, if it were asked
        model.lm_head.weight[last + 3 :] *= 20
    write_model(model, folder, None)
    tokenizer.save(folder, 32)
    (folder / "generation_config.json").write_text(
        json.dumps({"eos_token_id": [last + number for number in ends]})
    )
    return folder, last

"""Small random models and tokenizers of the kinds that come as GGUF files."""

import json
import random

import transformers
from convert import gguf_files
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.trainers import BpeTrainer

ROWS = 400
WIDE = {
    "vocab_size": ROWS,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "head_dim": 8,
    "rms_norm_eps": 1e-5,
    "bos_token_id": 0,
    "eos_token_id": 0,
}


def model_of(family, **changes):
    """A random model of a family, as transformers has it."""
    if family == "gpt2":
        config = transformers.GPT2Config(
            **{"vocab_size": ROWS, "n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 4}
            | changes
        )
        return gguf_files.random_model(transformers.GPT2LMHeadModel, config)
    name = {"llama": "Llama", "qwen2": "Qwen2", "qwen3": "Qwen3"}[family]
    shape = WIDE | ({"head_dim": 16} if family == "qwen3" else {})
    if family == "qwen2":
        shape.pop("head_dim")
    config = getattr(transformers, f"{name}Config")(**shape | changes)
    return gguf_files.random_model(getattr(transformers, f"{name}ForCausalLM"), config)


def trained(text, pre_tokenizer, normalizer=None, ignore_merges=False):
    """A byte-level tokenizer, learned from a text."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = BpeTrainer(
        vocab_size=ROWS - 20,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([text + "1234567 12 'tis WE'LL\n\n\n    x"], trainer)
    tokenizer.add_tokens([AddedToken("<think>", normalized=False, special=False)])
    return tokenizer


CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def cut(pattern):
    """How Llama 3 and Qwen cut a text, as their folders say."""
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    return pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )


SPLITTING = {
    "gpt-2": (pre_tokenizers.ByteLevel(add_prefix_space=False), None, False),
    "smollm": (
        pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        ),
        None,
        False,
    ),
    "llama-bpe": (cut(CONTRACTIONS + r"\p{N}{1,3}" + REST), None, True),
    "qwen2": (cut(CONTRACTIONS + r"\p{N}" + REST), normalizers.NFC(), False),
}


def texts(count=200):
    """Random texts of all scripts, and of what splitting patterns look for."""
    generator = random.Random(3)
    alphabets = [
        "abc deTA",
        " \n\t\r  ",
        "0123456789",
        "'sS'tT'rRvVlLdD",
        '.,;:!?-_()[]<>|/"#$%*=@^~',
        "éèüßñçžΩлжשלערب",
        "中文字日本かな한국",
        "😀👩‍👧🇩🇪",
        "ⅣⅫ²½٣४",
        "\u00a0\u2003\u200b\u3000\u0301\u0308",
    ]
    words = ["the", "Hello", "world's", "I'LL", "12345", "é", "\t\tx", "!!!", "<think>", "\u2581"]
    for number in range(count):
        parts = words + [" ", "  ", "\n"] if number % 2 else alphabets
        yield "".join(
            generator.choice(part) if part in alphabets else part
            for part in generator.choices(parts, k=generator.randrange(40))
        )


def pieces_of(book_text):
    """A vocabulary as SentencePiece has it: pieces with scores, bytes and special tokens."""
    plain = Tokenizer(models.BPE())
    trainer = BpeTrainer(vocab_size=300, show_progress=False)
    plain.train_from_iterator([book_text.replace(" ", "\u2581")[:20_000]], trainer)
    learned = sorted(plain.get_vocab().items(), key=lambda item: item[1])
    names = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    kinds = [2, 3, 3, *[6] * 256]
    scores = [0.0] * len(names)
    for name, id in learned:
        if "\n" not in name:
            names.append(name)
            kinds.append(1)
            scores.append(float(-id))
    return [*names, "<think>"], [*kinds, 4], [*scores, -1000.0]


def add_pieces(writer, names, kinds, scores, prefix=True):
    """Tell of a tokenizer of SentencePiece's."""
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(names)
    writer.add_token_types(kinds)
    writer.add_token_scores(scores)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    if not prefix:
        writer.add_add_space_prefix(False)


def write_folder(folder, model, tokenizer, template="", **told):
    """Write a Hugging Face folder; `told` stands in its `tokenizer_config.json`."""
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>"} | told
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    if template:
        (folder / "chat_template.jinja").write_text(template)
    return folder

"""The models of the hub that have a short name here, and what each of them is and takes.

One declared table: the command line, the dashboard and the hints of errors read it. Knows facts of
these repositories as they stood on the hub in 2026; asks no network.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class KnownModel:
    """One row: `download` is in bytes, about: weights and tokenizer, `context` in tokens.

    `licence` is written as on the hub. Of a `gated` one the licence is accepted on its page first.
    """

    name: str
    repo: str
    family: str
    parameters: int
    download: int
    licence: str
    context: int
    gated: bool = False


_GPT2, _SMOL, _QWEN = "openai-community", "HuggingFaceTB", "Qwen"
_APACHE = "apache-2.0"

# sizes: the files' own, by the hub's listings; contexts: `n_positions` or `max_position_embeddings`
_ROWS = (
    KnownModel("gpt2", f"{_GPT2}/gpt2", "gpt2", 124_439_808, 551_000_000, "mit", 1024),
    KnownModel(
        "gpt2-medium", f"{_GPT2}/gpt2-medium", "gpt2", 354_823_168, 1_523_000_000, "mit", 1024
    ),
    KnownModel(
        "gpt2-large", f"{_GPT2}/gpt2-large", "gpt2", 774_030_080, 3_250_000_000, "mit", 1024
    ),
    KnownModel("gpt2-xl", f"{_GPT2}/gpt2-xl", "gpt2", 1_557_611_200, 6_435_000_000, "mit", 1024),
    KnownModel(
        "smollm2",
        f"{_SMOL}/SmolLM2-135M-Instruct",
        "llama",
        134_515_008,
        272_000_000,
        _APACHE,
        8192,
    ),
    KnownModel(
        "smollm2-360m",
        f"{_SMOL}/SmolLM2-360M-Instruct",
        "llama",
        361_821_120,
        727_000_000,
        _APACHE,
        8192,
    ),
    KnownModel(
        "smollm2-1.7b",
        f"{_SMOL}/SmolLM2-1.7B-Instruct",
        "llama",
        1_711_376_384,
        3_426_000_000,
        _APACHE,
        8192,
    ),
    KnownModel(
        "tinyllama",
        "TinyLlama/TinyLlama-1.1B-Chat-v1.0",
        "llama",
        1_100_048_384,
        2_202_000_000,
        _APACHE,
        2048,
    ),
    KnownModel(
        "llama3.2-1b",
        "meta-llama/Llama-3.2-1B-Instruct",
        "llama",
        1_235_814_400,
        2_481_000_000,
        "llama3.2",
        131_072,
        gated=True,
    ),
    KnownModel(
        "qwen2.5-0.5b",
        f"{_QWEN}/Qwen2.5-0.5B-Instruct",
        "qwen2",
        494_032_768,
        1_000_000_000,
        _APACHE,
        32_768,
    ),
    KnownModel(
        "qwen2.5-1.5b",
        f"{_QWEN}/Qwen2.5-1.5B-Instruct",
        "qwen2",
        1_543_714_304,
        3_099_000_000,
        _APACHE,
        32_768,
    ),
    KnownModel(
        "qwen3-0.6b", f"{_QWEN}/Qwen3-0.6B", "qwen3", 596_049_920, 1_519_000_000, _APACHE, 40_960
    ),
    KnownModel(
        "qwen3-1.7b", f"{_QWEN}/Qwen3-1.7B", "qwen3", 1_720_574_976, 4_079_000_000, _APACHE, 40_960
    ),
    # before they were taught to answer: to be trained on a text of one's own
    KnownModel(
        "smollm2-base", f"{_SMOL}/SmolLM2-135M", "llama", 134_515_008, 272_000_000, _APACHE, 8192
    ),
    KnownModel(
        "smollm2-360m-base",
        f"{_SMOL}/SmolLM2-360M",
        "llama",
        361_821_120,
        727_000_000,
        _APACHE,
        8192,
    ),
    KnownModel(
        "qwen2.5-0.5b-base",
        f"{_QWEN}/Qwen2.5-0.5B",
        "qwen2",
        494_032_768,
        1_000_000_000,
        _APACHE,
        32_768,
    ),
    KnownModel(
        "qwen3-0.6b-base",
        f"{_QWEN}/Qwen3-0.6B-Base",
        "qwen3",
        596_049_920,
        1_208_000_000,
        _APACHE,
        32_768,
    ),
)
CATALOG = {row.name: row for row in _ROWS}

"""The `Modelfile` that tells ollama how to talk to a model: template, stop strings, sampling.

Knows chat modes and ollama's words; how a Jinja template becomes one of Go's, `go_template` knows.
Opens no weights.
"""

from dataclasses import dataclass

from tuillm.config import SamplingConfig
from tuillm.config.gpt_config import GPTConfig
from tuillm.convert.gguf import Vocabulary
from tuillm.convert.go_template import go_literal, go_turns, in_modelfile
from tuillm.store.chat_template import ANSWER, QUESTION, ChatMode, card_mode, named_marks
from tuillm.store.registry import Model

_QUOTE = '"""'
_SAMPLING = SamplingConfig()
_LONGEST_CONTEXT = 8192  # keys and values take memory for all of it, from the first token on


@dataclass(frozen=True)
class OllamaChat:
    """How ollama talks: its Go template, None for the one it finds itself, and what goes with it.

    `ends_by_token` tells that replies end with a token of the model's. `notes` are sentences on
    what is not as in our chat.
    """

    template: str | None
    stop: tuple[str, ...] = ()
    system: str = ""
    ends_by_token: bool = False
    notes: tuple[str, ...] = ()


def chat_of(model: Model, vocabulary: Vocabulary) -> OllamaChat:
    """Return how ollama talks to a model: as its chat template says, else as its card does."""
    if not vocabulary.chat_template:
        return chat_of_mode(card_mode(model.card))
    stop = tuple(vocabulary.tokens[id] for id in vocabulary.ends)
    marks = named_marks(model.path)
    turns, notes = go_turns(
        vocabulary.chat_template, marks["bos_token"], marks["eos_token"], vocabulary.roles.adds_bos
    )
    if turns is None:
        note = (
            "its chat template is none that tuillm translates: the Modelfile has no TEMPLATE, and "
            "ollama uses the one it detects for the GGUF file"
        )
        return OllamaChat(None, stop, ends_by_token=True, notes=(note,))
    if not turns.takes_system:
        notes = (*notes, "its chat template takes no system text, in ollama neither")
    return OllamaChat(turns.template, stop, turns.default_system, True, notes)


def chat_of_mode(mode: ChatMode) -> OllamaChat:
    """Return how ollama talks in a mode without special tokens: each turn has lines of its own."""
    head, _, tail = mode.template.partition(ANSWER)
    before, _, between = head.partition(QUESTION)
    template = f"{go_literal(before)}{{{{ .Prompt }}}}{go_literal(between)}{{{{ .Response }}}}"
    return OllamaChat(template + (go_literal(tail) or "\n"), mode.stop)


def modelfile(
    chat: OllamaChat, gguf: str, config: GPTConfig, sampling: SamplingConfig = _SAMPLING
) -> str:
    """Return the Modelfile of a model of this shape whose GGUF file of that name lies beside it.

    Half the context, at most, is kept for an answer, where nothing else ends it: llama.cpp cannot
    slide learned positions.
    """
    context = context_of(config)
    parameters: list[tuple[str, int | float]] = [("num_ctx", context)]
    if not (chat.ends_by_token and config.rotary):
        parameters.append(("num_predict", max(min(sampling.max_new_tokens, context // 2), 1)))
    parameters += [
        ("temperature", sampling.temperature),
        ("top_k", sampling.top_k),
        ("top_p", sampling.top_p),
        ("min_p", sampling.min_p),
        ("repeat_penalty", sampling.repetition_penalty),
    ]
    lines = [f"FROM ./{gguf}"]
    if chat.template is not None:
        lines.append(f"TEMPLATE {_quoted(chat.template)}")
    if chat.system:
        lines.append(f"SYSTEM {_quoted(chat.system)}")
    lines += [f"PARAMETER {name} {value}" for name, value in parameters]
    lines += [f"PARAMETER stop {_quoted(stop)}" for stop in chat.stop if in_modelfile(stop)]
    return "\n".join(lines) + "\n"


def context_of(config: GPTConfig) -> int:
    """Return the tokens that ollama keeps at once."""
    return min(config.block_size, _LONGEST_CONTEXT) if config.rotary else config.block_size


def _quoted(text: str) -> str:
    return _QUOTE + text + _QUOTE

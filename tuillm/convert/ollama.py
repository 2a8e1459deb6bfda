"""The `Modelfile` that tells ollama how to talk to a model: template, stop strings, sampling.

Knows chat modes and ollama's words; its template is Go's, where `{{` begins an action. Opens no
weights.
"""

from tuillm.config import SamplingConfig
from tuillm.store.chat_template import ANSWER, QUESTION, ChatMode

_QUOTE = '"""'


def modelfile(mode: ChatMode, gguf: str, block_size: int) -> str:
    """Return the Modelfile of a model whose GGUF file of that name lies beside it.

    Half the context, at most, is kept for an answer: llama.cpp cannot slide learned positions.
    """
    default = SamplingConfig()
    parameters: list[tuple[str, int | float]] = [
        ("num_ctx", block_size),
        ("num_predict", max(min(default.max_new_tokens, block_size // 2), 1)),
        ("temperature", default.temperature),
        ("top_k", default.top_k),
        ("top_p", default.top_p),
        ("min_p", default.min_p),
        ("repeat_penalty", default.repetition_penalty),
    ]
    stops = [stop for stop in mode.stop if _QUOTE not in stop]  # which nothing could quote
    lines = [f"FROM ./{gguf}", f"TEMPLATE {_quoted(_template(mode))}"]
    lines += [f"PARAMETER {name} {value}" for name, value in parameters]
    lines += [f"PARAMETER stop {_quoted(stop)}" for stop in stops]
    return "\n".join(lines) + "\n"


def _template(mode: ChatMode) -> str:
    """Return ollama's template of a turn; those without special tokens get lines of their own."""
    head, _, tail = mode.template.partition(ANSWER)
    if mode.special:  # what ends a reply stands before what begins the next turn
        tail = mode.between.removesuffix(head.partition(QUESTION)[0])
    before, _, between = head.partition(QUESTION)
    return f"{_literal(before)}{{{{ .Prompt }}}}{_literal(between)}{{{{ .Response }}}}" + (
        _literal(tail) or ("" if mode.special else "\n")
    )


def _literal(text: str) -> str:
    """Return text that Go's templates leave as it is, and whose quotes end no template."""
    return text.replace("{{", '{{ "{{" }}').replace(_QUOTE, r'{{ "\"\"\"" }}')


def _quoted(text: str) -> str:
    return _QUOTE + text + _QUOTE

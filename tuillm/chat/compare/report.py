"""A comparison of models in words: facts for heads and feet, plain text, Markdown, JSON.

Knows results; what acts on a terminal is left out of texts and escaped in JSON.
"""

import re

from tuillm.chat.compare.comparison import Comparison, Result
from tuillm.config import SamplingConfig, settings_of
from tuillm.errors import printable
from tuillm.formats.json_text import JsonObject, to_json
from tuillm.units import several

NOTHING = "(nothing)"
_FINISH = {
    "": "stopped",
    "stop": "came to a stop text",
    "length": "longest length reached",
    "end": "ended by itself",
}
_ALWAYS = ("seed", "temperature", "top_k", "max_new_tokens")
# what Markdown or GitHub would take for a mark inside of a table
_MARKS = re.compile(r"([\\`*_<>\[\]|~&$#])")
_ENDS = re.compile("[\n\u2028\u2029]")
# Markdown shows blanks that follow each other, or begin a line, as one or none
_BLANKS = re.compile("(?<= ) |^ ", re.MULTILINE)


def head_facts(result: Result) -> list[str]:
    """What is known of a model before it says anything."""
    known = [] if result.known is None else [f"{result.known:.3f} bits/byte"]
    return [f"{result.parameters:,} parameters", *known]


def figures(result: Result) -> list[str]:
    """How much was said, how fast, and how surprising it was to the model itself."""
    facts = [several(result.tokens, "token")]
    if result.per_second is not None:
        facts.append(f"{result.per_second:,.0f} tokens/s")
    if result.nats_per_token is not None:
        facts.append(f"{result.nats_per_token:.3f} nats/token")
    if result.bits_per_byte is not None:
        facts.append(f"{result.bits_per_byte:.3f} bits/byte")
    if result.dropped:
        facts.append(f"{result.dropped:,} tokens out of view")
    return facts


def foot_facts(result: Result) -> list[str]:
    """The figures of a reply that goes on no more, and why it does not."""
    return [*figures(result), _FINISH[result.finish]]


def setting_facts(config: SamplingConfig) -> list[str]:
    """The settings that matter most, and those that are not the usual ones."""
    chosen = {}
    for setting in settings_of(SamplingConfig):
        value = getattr(config, setting.name)
        if setting.name in _ALWAYS or value != setting.default:
            chosen[setting.name] = setting.words(value)
    chosen["seed"] = str(config.seed)  # every digit: with it the replies come again
    return [f"{name} {chosen[name]}" for name in dict.fromkeys([*_ALWAYS, *chosen])]


def as_text(comparison: Comparison) -> str:
    """Return the comparison as plain text, each reply under its model's name."""
    prompt = printable(comparison.prompt) if comparison.prompt.strip() else NOTHING
    facts = _list(setting_facts(comparison.config))
    parts = [f"{_kind(comparison)}: {prompt}\n{facts}"]
    for result in comparison.results:
        name = printable(result.name)
        parts.append(
            f"== {name}: {_list(head_facts(result))} ==\n{printable(result.text)}\n"
            f"== {_list(foot_facts(result))} =="
        )
    return "\n\n".join(parts) + "\n"


def as_markdown(comparison: Comparison) -> str:
    """Return the comparison as Markdown: a table, a column a model, whatever the replies hold."""
    results = comparison.results
    rows = [
        [_inline(result.name) for result in results],
        ["---"] * len(results),
        [_list(head_facts(result)) for result in results],
        [_inline(result.text) for result in results],
        [f"*{_list(foot_facts(result))}*" for result in results],
    ]
    return "\n".join(
        [
            f"## {' · '.join(rows[0])}",
            "",
            f"**{_kind(comparison).title()}:** "
            f"{_inline(comparison.prompt) if comparison.prompt.strip() else NOTHING}",
            "",
            _inline(_list(setting_facts(comparison.config))),
            "",
            *(f"| {' | '.join(row)} |" for row in rows),
            "",
        ]
    )


def as_json(comparison: Comparison) -> str:
    """Return the comparison as a JSON object, in plain ASCII: no terminal acts on it."""
    return (
        to_json(
            {
                "prompt": comparison.prompt,
                "question": comparison.asked,
                "seed": comparison.config.seed,
                "settings": comparison.config.model_dump(mode="json", exclude={"seed"}),
                "models": [_model(result) for result in comparison.results],
            },
            indent=2,
            ascii_only=True,
        )
        + "\n"
    )


def _kind(comparison: Comparison) -> str:
    return "question" if comparison.asked else "prompt"


def _model(result: Result) -> JsonObject:
    reply = {
        "text": result.text,
        "finish": result.finish or "stopped",
        "tokens": result.tokens,
        "bytes": result.bytes,
        "first_token": result.first,
        "tokens_per_sec": result.per_second,
        "nats_per_token": result.nats_per_token,
        "bits_per_byte": result.bits_per_byte,
        "dropped": result.dropped,
    }
    return {
        "name": result.name,
        "path": str(result.path) if result.path else None,
        "parameters": result.parameters,
        "bits_per_byte": result.known,
        "reply": reply,
    }


def _inline(text: str) -> str:
    """Return text as Markdown on one line, also fit for a cell of a table."""
    text = _MARKS.sub(r"\\\1", printable(text).replace("\t", "    "))
    return _ENDS.sub("<br>", _BLANKS.sub("&nbsp;", text))


def _list(facts: list[str]) -> str:
    return ", ".join(facts)

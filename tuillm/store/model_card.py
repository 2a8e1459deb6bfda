"""The README.md of a model that leaves the registry: a model card as the Hugging Face hub reads it.

Says what is known and measured, and no more. Knows cards and configs; opens no weights.
"""

from tuillm.errors import printable
from tuillm.store.registry import Model

README = "README.md"
_ORIGINS = {
    "trained": "trained from scratch on a text of its maker's",
    "fine-tuned": "fine-tuned from another model",
    "pulled": "a copy of a model of the Hugging Face hub",
    "imported": "brought in from another program's files",
}


def model_readme(model: Model) -> str:
    """Return the model card of a model as Markdown, with the hub's front matter."""
    parts = (_FRONT, f"# {_plain(model.name)}", _what(model), _facts(model), _use(model), _LIMITS)
    return printable("\n\n".join(part for part in parts if part)) + "\n"


_FRONT = """\
---
library_name: transformers
pipeline_tag: text-generation
tags:
- gpt2
- tuillm
---"""

_LIMITS = """\
## Limits

It knows what stood in the text it learned from, and nothing of the world beyond. Whatever that
text holds, names, opinions, mistakes, may come back, word for word where it was learned by heart.
What it writes is made up. Rights in the text may reach to what a model repeats of it: ask before
you publish."""


def _what(model: Model) -> str:
    card = model.card
    way = (
        "answers questions in the form below"
        if card.template or card.mode == "qa"
        else "continues text; it does not answer questions"
    )
    return (
        f"A GPT-2-shaped language model, {_ORIGINS[card.origin]}, that {way}. Made with "
        "tuillm and laid out as transformers reads it."
    )


def _facts(model: Model) -> str:
    """Return what is known as a table; what is not known has no line."""
    card, shape = model.card, model.shape
    text = None if card.corpus is None else _plain(card.corpus)
    if text and card.corpus_bytes:
        text += f", {card.corpus_bytes:,} bytes"
    if text and card.corpus_sha256:
        text += f", sha256 `{card.corpus_sha256[:16]}…`"
    held = "held-out text" if card.held_out else "the text it learned from; none was held out"
    rows: dict[str, object] = {
        "parameters": card.parameters and f"{card.parameters:,}",
        "layers, heads, width": shape and f"{shape.n_layer}, {shape.n_head}, {shape.n_embd}",
        "context": shape and f"{shape.block_size} tokens",
        "vocabulary": shape
        and f"{shape.vocab_size:,} entries" + (f" ({card.tokenizer})" if card.tokenizer else ""),
        "grown from": card.parent and _plain(card.parent),
        "text": text,
        "distilled from": card.teachers and f"{card.teachers} models of the same shape and text",
        "steps": card.steps and f"{card.steps:,}",
        "loss": None if card.val_loss is None else f"{card.val_loss:.4f} nats per token of {held}",
        "bits per byte": None
        if card.bits_per_byte is None
        else f"{card.bits_per_byte:.4f} of {held}",
    }
    lines = [f"| {name} | {value} |" for name, value in rows.items() if value]
    return "\n".join(["| | |", "|---|---|", *lines])


def _use(model: Model) -> str:
    template = model.card.template
    form = (
        ""
        if not template
        else "\n\nIt was made for texts of this form:\n\n"
        + "\n".join("    " + line for line in template.splitlines())
    )
    stops = ", ".join(f"`{stop!r}`" for stop in model.card.stop)
    return f"""\
## How to use it

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = "."  # this folder, or its name on the hub
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder)
ids = tokenizer("The road", return_tensors="pt").input_ids
print(tokenizer.decode(model.generate(ids, max_new_tokens=40, do_sample=True)[0]))
```

Or `tuillm import FOLDER --name NAME` and `tuillm chat NAME`.{form}""" + (
        f"\n\nIts answers end before {stops}." if stops else ""
    )


def _plain(text: str) -> str:
    """Return text from anybody's files so that it stays on its line and in its cell."""
    return " ".join(text.split()).replace("|", "\\|")

"""The README.md of a model that leaves the registry: a model card as the Hugging Face hub reads it.

Says what is known and measured, and no more. Knows cards and configs; opens no weights.
"""

import re

from tuillm.errors import printable
from tuillm.store.chat_template import mode_of
from tuillm.store.hub.base_model import BaseModel
from tuillm.store.registry import Model

README = "README.md"
# licences as the hub spells them; it refuses a card that names another, but for `other`
_LICENCES = frozenset(
    "apache-2.0 mit llama2 llama3 llama3.1 llama3.2 llama3.3 gemma bsd-2-clause bsd-3-clause "
    "cc0-1.0 cc-by-4.0 cc-by-sa-4.0 cc-by-nc-4.0 cc-by-nc-sa-4.0 cc-by-nd-4.0 openrail "
    "bigscience-openrail-m creativeml-openrail-m gpl-3.0 agpl-3.0 lgpl-3.0 mpl-2.0 unlicense "
    "isc artistic-2.0 afl-3.0 odc-by wtfpl".split()
)
_PLAIN_LICENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}")
_REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_ORIGINS = {
    "trained": "trained from scratch on a text of its maker's",
    "fine-tuned": "fine-tuned from another model",
    "pulled": "a copy of a model of the Hugging Face hub",
    "imported": "brought in from another program's files",
}


def model_readme(model: Model, base: BaseModel | None = None, repo: str = "") -> str:
    """Return the model card of a model as Markdown, with the hub's front matter.

    `base` is the repository of the hub whose weights it was made from, if it was, and `repo` the
    one that it goes to, whose name is its title. What goes there names no local model, and of the
    text no more than its file.
    """
    title = repo.partition("/")[2] or model.name
    parts = (
        _front(model, base),
        f"# {_plain(title)}",
        _what(model),
        _facts(model, base, private=not repo),
        _use(model, repo),
        _limits(model),
    )
    return printable("\n\n".join(part for part in parts if part)) + "\n"


_KNOWS = {
    "trained": "It knows what stood in the text it learned from, and nothing of the world beyond.",
    "fine-tuned": "It knows what the model before it knew, and what it learned from this text.",
}


def _limits(model: Model) -> str:
    learned = _KNOWS.get(model.card.origin, "What it learned from, its makers tell.")
    return f"""\
## Limits

{learned}
Whatever stood in a text it learned from, names, opinions, mistakes, may come back, word for word
where it was learned by heart. What it writes is made up. Rights in a text may reach to what a model
repeats of it: ask before you publish."""


def _front(model: Model, base: BaseModel | None) -> str:
    """What the hub reads: names and licences that it knows, and nothing that is not a plain one."""
    lines = ["library_name: transformers", "pipeline_tag: text-generation"]
    if base and _REPO.fullmatch(base.repo):
        lines.append(f"base_model: {base.repo}")
    licence = base.licence if base else ""
    if licence in _LICENCES:
        lines.append(f"license: {licence}")
    elif _PLAIN_LICENCE.fullmatch(licence):
        lines += ["license: other", f"license_name: {licence}"]
    family = model.shape.family if model.shape else "gpt2"
    return "\n".join(["---", *lines, "tags:", f"- {family}", "- tuillm", "---"])


def _what(model: Model) -> str:
    card = model.card
    way = (
        "answers questions, in the form of its chat template"
        if card.template or card.mode == "qa" or mode_of(model).turns
        else "continues text; it does not answer questions"
    )
    return (
        f"A language model ({model.shape.family if model.shape else 'gpt2'}), "
        f"{_ORIGINS[card.origin]}, that {way}. Made with tuillm and laid out as transformers reads "
        "it."
    )


def _facts(model: Model, base: BaseModel | None, private: bool) -> str:
    """Return what is known as a table; what is not known has no line."""
    card, shape = model.card, model.shape
    text = None if card.corpus is None else _plain(card.corpus)
    if text and private and card.corpus_bytes:
        text += f", {card.corpus_bytes:,} bytes"
    if text and private and card.corpus_sha256:
        text += f", sha256 `{card.corpus_sha256[:16]}…`"
    held = "held-out text" if card.held_out else "the text it learned from; none was held out"
    rows: dict[str, object] = {
        "parameters": card.parameters and f"{card.parameters:,}",
        "layers, heads, width": shape and f"{shape.n_layer}, {shape.n_head}, {shape.n_embd}",
        "context": shape and f"{shape.block_size} tokens",
        "vocabulary": shape
        and f"{shape.vocab_size:,} entries" + (f" ({card.tokenizer})" if card.tokenizer else ""),
        "made from": base and _plain(base.repo),
        "licence of that": base and (_plain(base.licence) or "not known: see its page"),
        "fine-tuned from": card.parent and _plain(card.parent) if private and not base else None,
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


def _use(model: Model, repo: str) -> str:
    template = model.card.template
    form = (
        ""
        if not template
        else "\n\nIt was made for texts of this form:\n\n"
        + "\n".join("    " + line for line in template.splitlines())
    )
    stops = ", ".join(f"`{stop!r}`" for stop in model.card.stop)
    folder = f'"{repo}"' if repo else '"."  # this folder, or its name on the hub'
    here = f"tuillm pull {repo}" if repo else "tuillm import FOLDER --name NAME"
    name = repo.partition("/")[2] or "NAME"
    return f"""\
## How to use it

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = {folder}
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder)
{_ASK if mode_of(model).special else _GO_ON}
```

Or `{here}` and `tuillm chat {name}`.{form}""" + (
        f"\n\nIts answers end before {stops}." if stops else ""
    )


_GO_ON = """\
ids = tokenizer("The road", return_tensors="pt").input_ids
print(tokenizer.decode(model.generate(ids, max_new_tokens=40, do_sample=True)[0]))"""
_ASK = """\
asked = [{"role": "user", "content": "Who are you?"}]
ids = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_tensors="pt")
print(tokenizer.decode(model.generate(**ids, max_new_tokens=40, do_sample=True)[0]))"""


def _plain(text: str) -> str:
    """Return text from anybody's files so that it stays on its line and in its cell."""
    return " ".join(text.split()).replace("|", "\\|")

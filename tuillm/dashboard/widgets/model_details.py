"""What is known about one model: where it comes from, its shape, how it writes, its files.

Draws a Model; reads the run it came from for a sample of its writing.
"""

import os
from typing import TYPE_CHECKING

from rich.text import Text

from tuillm.dashboard.widgets.details import Details, Part
from tuillm.dashboard.widgets.fact_table import Fact, facts, heading
from tuillm.errors import TuillmError
from tuillm.units import age, count, figure, size

if TYPE_CHECKING:
    from tuillm.config.gpt_config import GPTConfig
    from tuillm.store.registry import Model

_SAMPLE = 600


class ModelDetails(Details["Model"]):
    """The details pane of the models' table."""

    HELP = (
        "Where the model comes from (text, run, parent), its shape, a sample of its writing, "
        "and its files."
    )

    def title(self, entry: "Model") -> str:
        return entry.name

    def parts(self, entry: "Model", colors: dict[str, str]) -> list[Part]:
        parts: list[Part] = []
        if entry.problem:
            parts.append(Text(entry.problem + "\n", style=colors["error"]))
        for title, rows in _sections(entry):
            parts += [heading(title, colors), facts(rows, colors)]
        if sample := _sample_of(entry):
            parts.append(heading("How it writes", colors))
            parts.append(Text(sample.strip()[:_SAMPLE] + "\n", style="italic"))
        return [*parts, heading("Files", colors), facts(_files(entry), colors)]


def _sample_of(model: "Model") -> str:
    """Return what the model wrote in its run, '' when that is gone."""
    if not model.card.run:
        return ""
    from tuillm.store.jsonl import newest_sample  # not for the first frame
    from tuillm.store.run_folder import get_run

    try:
        sample = newest_sample(get_run(model.card.run).samples, model.card.steps)
    except TuillmError:
        return ""
    return sample.text if sample else ""


def _sections(model: "Model") -> list[tuple[str, list[Fact]]]:
    card, found = model.card, model.shape
    loss = "validation loss" if card.held_out else "loss on its text"
    origin = [
        ("origin", card.origin),
        ("from", card.source or ""),
        ("commit", (card.revision or "")[:10]),
        ("text", card.corpus or "-"),
        ("", size(card.corpus_bytes) if card.corpus_bytes else ""),
        ("run", card.run or "-"),
        ("parent", card.parent or "-"),
        *([("teachers", f"{card.teachers}")] if card.teachers else []),
        ("made", age(card.created)),
    ]
    quality = [
        (loss, f"{figure(card.val_loss)} nats/token" if card.val_loss else "-"),
        ("bits per byte", figure(card.bits_per_byte) if card.bits_per_byte else ""),
        ("best step", f"{card.steps:,}" if card.steps else ""),
    ]
    shape = [
        ("parameters", f"{card.parameters:,}" if card.parameters else "-"),
        *_sizes(found),
        ("vocabulary", f"{count(found.vocab_size if found else None)} ({card.tokenizer or '?'})"),
        ("mode", card.mode if card.mode != "completion" else ""),
    ]
    return [("Where it comes from", origin), ("How good it is", quality), ("Its shape", shape)]


def _sizes(shape: "GPTConfig | None") -> list[Fact]:
    if shape is None:
        return [(name, "-") for name in ("layers", "heads", "width", "context")]
    grouped = f", {shape.kv_heads} of keys and values" if shape.n_kv_head else ""
    return [
        ("family", shape.family),
        ("layers", f"{shape.n_layer}"),
        ("heads", f"{shape.n_head}{grouped}"),
        ("width", f"{shape.n_embd}"),
        ("context", f"{shape.block_size} tokens"),
    ]


def _files(model: "Model") -> list[Fact]:
    try:
        entries = sorted((entry.name, entry.stat().st_size) for entry in os.scandir(model.path))
    except OSError:
        return []
    rows = [(name, size(number)) for name, number in entries]
    return [*rows, ("in all", size(model.size)), ("folder", str(model.path))]

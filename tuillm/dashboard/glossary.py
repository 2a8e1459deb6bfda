"""What the words and figures of the dashboard mean, in two sentences, and whether they are good.

Knows numbers and words; draws nothing and reads nothing.
"""

import math
from dataclasses import dataclass

from tuillm.store.run_status import State


@dataclass(frozen=True)
class Meaning:
    """A name as it stands on the screen, its value here, and what both mean."""

    name: str
    value: str
    words: str


_WORDS = {
    "validation loss": "How badly the model predicts the tokens of the text that was held out, in "
    "nats per token. It compares between models with the same tokenizer only; lower is better.",
    "train loss": "How badly the model predicted the batch it was just learning from, in nats per "
    "token. Late in a run it lies below the validation loss: the distance is what was learned by "
    "heart.",
    "bits per byte": "The validation loss divided by the length of the text: how many bits each "
    "byte of it would take, if the model compressed it. It compares between all models on a text; "
    "lower is better.",
    "parameters": "The numbers that the model consists of, all of which are learned. More hold "
    "more, take longer, and need more text: a few for each token of a book are plenty.",
    "context": "How many tokens the model looks back at when it predicts the next one. What lies "
    "further back has no influence on it.",
    "tokenizer": "What cuts text into the pieces that the model reads and writes: char takes "
    "characters, bpe pieces that were found in the text, gpt2 those of GPT-2.",
    "step": "One change of all parameters, after one batch of windows of the text.",
    "epoch": "How often the whole text was read. After some passes a small text is known by heart, "
    "and the validation loss rises again; the best moment is kept.",
    "tokens/s": "How many tokens of the text are learned in a second. It depends on the machine, "
    "the size of the model and what else the machine does.",
    "MFU": "Model FLOPs utilisation: the share of the speed of bare matrix products on this "
    "machine that reaches the model. 30 to 60 % is usual; small models have less.",
    "learning rate": "How far each step changes the parameters. It rises at the beginning and "
    "falls to nearly nothing at the end, which is where the loss falls most.",
    "gradient norm": "How strongly the last batch pulled at the parameters. Even is good; a spike "
    "comes from an odd piece of text, and a steady rise means that the rates are too high.",
    "size": "The bytes that the model's folder takes on the disk.",
    "origin": "Where the model comes from: trained from nothing, fine-tuned from another one, "
    "pulled from the Hugging Face hub, or imported from a folder.",
    "left": "About how long the run will still take.",
    "loss so far": "The training loss from the beginning of the run to now, highest at the top.",
}
_COLUMNS = {"params": "parameters", "throughput": "tokens/s"}
_STATES: dict[State, str] = {
    "queued": "It waits until the runs before it have ended; R starts it now.",
    "preparing": "It reads the text and makes tokens of it; training has not begun.",
    "running": "It trains, and goes on without the dashboard; x stops it, p pauses it.",
    "paused": "It waits; p lets it go on where it is.",
    "finished": "It has come to its end and its model is published; c talks to it, E extends it.",
    "stopped": "Somebody stopped it; its best model is published, and R goes on from there.",
    "failed": "Something went wrong, which the details tell; R goes on from its last checkpoint.",
    "lost": "Its process is gone, as after a restart of the machine; R goes on from its last "
    "checkpoint.",
}
# up to so many bits per byte, what that is like
_BITS = (
    (0.3, "known by heart"),
    (1.0, "like a large model on English; of a book of one's own much is known by heart"),
    (1.9, "very good for a model of one book"),
    (2.2, "like nanoGPT's best on Shakespeare, 2.12: good for one book"),
    (2.8, "words and phrases come out right, sentences seldom"),
    (4.0, "like a bigram model: it knows which letter follows which"),
    (7.5, "it knows which letters are frequent"),
    (math.inf, "close to 8, which is noise"),
)


def meaning(name: str, value: str = "", *, judged: str = "") -> Meaning:
    """Return what a name means, with what is to be said of its value here."""
    return Meaning(name, value, " ".join(filter(None, (_WORDS.get(name, ""), judged))))


def column_meaning(label: str) -> str:
    """Return what the head of a column means, "" where that needs no words."""
    return _WORDS.get(_COLUMNS.get(label, label), "")


def state_meaning(state: State, step: int = 0) -> Meaning:
    """Return what the state of a run means, and what can be done."""
    words = _STATES[state]
    if state in ("lost", "failed", "stopped") and step:
        words += f" It had come to step {step:,}."
    return Meaning("state", state, words)


def judged_bits(bits: float | None, *, held_out: bool = True) -> str:
    """Say how good so many bits per byte are."""
    if bits is None or not math.isfinite(bits):
        return ""
    if not held_out:
        return "Here it is measured on the training text itself: near 0 it is known by heart."
    like = next(words for most, words in _BITS if bits < most)
    return f"Here: {like}."


def judged_loss(loss: float | None) -> str:
    """Say what so many nats per token mean."""
    if loss is None or not 0 <= loss < 30:
        return ""
    choices = math.exp(loss)
    about = f"{choices:,.0f}" if choices >= 10 else f"{choices:.1f}"
    return f"Here the model is as unsure as between {about} equally likely tokens."


def judged_parameters(parameters: int | None, tokens: int | None) -> str:
    """Say how many parameters there are for each token of the text."""
    if not parameters or not tokens:
        return ""
    each = parameters / tokens
    return f"Here there are {each:.2g} for each token of the text."

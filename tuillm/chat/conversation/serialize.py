"""From a Session to what is kept of it, and back, with words for what no longer fits.

Knows both sides; what a file looks like is the business of `store.sessions`.
"""

from dataclasses import replace

from tuillm.chat.conversation.session import Session
from tuillm.chat.conversation.tree import Tree
from tuillm.config import build_sampling
from tuillm.config.sampling_config import DEFAULT_PROMPT
from tuillm.errors import TuillmError
from tuillm.generation import Sampler
from tuillm.store.chat_template import choose_mode
from tuillm.store.registry import Model
from tuillm.store.sessions import SavedSession, SessionHead, weights_of
from tuillm.text import Tokenizer


def to_saved(session: Session, model: Model, head: SessionHead | None = None) -> SavedSession:
    """Return what to keep of a session with a model, under the id and time of an older `head`."""
    known = replace(
        head or SessionHead(),
        model=model.name,
        weights=weights_of(model),
        tokenizer=session.tokenizer_id,
        mode=session.mode.name,
        title=session.tree.title,
        nodes=len(session.tree.nodes),
    )
    return SavedSession(known, session.config.model_dump(mode="json"), session.tree.to_json())


def from_saved(saved: SavedSession, sampler: Sampler, model: Model) -> tuple[Session, list[str]]:
    """Return the session that was kept, and a line for each thing that is not as it was.

    Raises TuillmError when it is damaged.
    """
    tree, told = Tree.from_json(saved.tree), []
    if saved.head.tokenizer != sampler.tokenizer.sha256:
        encode_anew(tree, sampler.tokenizer)
        told.append(
            f"this was written with another tokenizer than {model.name}'s: its text was "
            "encoded anew, and what was known of single tokens is gone"
        )
    elif saved.head.weights != weights_of(model):
        told.append(
            f"{model.name} is not the model this was written with: the same seed gives "
            "other replies"
        )
    size = sampler.model.config.vocab_size
    if any(id >= size for node in tree.nodes.values() for id in node.ids + node.replacement_ids):
        raise TuillmError("the conversation is damaged: it has ids that are no tokens")
    mode = choose_mode(saved.head.mode, model)
    return Session(sampler, build_sampling(saved.settings), mode, tree), told


def encode_anew(tree: Tree, tokenizer: Tokenizer) -> None:
    """Make a tree one of another tokenizer, as when the conversation goes on with another model."""
    tree.encode_anew(tokenizer.encode, DEFAULT_PROMPT)

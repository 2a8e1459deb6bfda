"""What a model reads, as pieces of text by who they are from: for people to look at.

Knows sessions and tokenizers; knows no terminal.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from tuillm.chat.conversation.dialogue import has_question
from tuillm.chat.conversation.session import Session
from tuillm.chat.conversation.transcript import window_of
from tuillm.chat.conversation.tree import Node
from tuillm.text import Tokenizer
from tuillm.text.chat_messages import Piece, split_special

# who a piece is from; a special token is nobody's
Role = Literal["", "special", "system", "user", "assistant"]


@dataclass(frozen=True)
class Shown:
    """A piece of what a model reads; `role` is '' for what a chat template writes."""

    role: str
    text: str


def window_text(session: Session) -> list[Shown]:
    """Return all that the model has in view at the head of a conversation."""
    path = session.tree.path(session.tree.head)
    tokenizer = session.sampler.tokenizer
    if session.dialogue is None or not has_question(path):
        size = session.sampler.context.block_size
        return list(_of_ids(window_of(_transcript(path), size, session.config.n_keep), tokenizer))
    prompt, reply, left_out = session.dialogue.view(path)
    if left_out.ids:  # an exchange that is cut has no beginnings and ends to tell by
        return list(_of_ids([(id, "") for id in session.window], tokenizer))
    shown = [each for piece in prompt.pieces for each in _of_piece(piece, tokenizer)]
    return [*shown, *_of_ids([(id, "assistant") for id in reply], tokenizer)]


def first_question(session: Session, question: str) -> list[Shown]:
    """Return what the model would read of a first question; [] where no template writes it."""
    if session.dialogue is None:
        return []
    path = session.tree.path(session.tree.head)
    prompt = session.dialogue.view([*path, Node("you", session.tree.head, question)])[0]
    tokenizer = session.sampler.tokenizer
    return [each for piece in prompt.pieces for each in _of_piece(piece, tokenizer)]


def _of_piece(piece: Piece, tokenizer: Tokenizer) -> Iterator[Shown]:
    if piece.role:
        yield Shown(piece.role, piece.text)
        return
    for text, id in split_special(piece.text, tokenizer):
        yield Shown("" if id is None else "special", text)


def _of_ids(ids: Iterable[tuple[int, str]], tokenizer: Tokenizer) -> Iterator[Shown]:
    """Yield the texts of ids, those of one role together; special tokens by their names."""

    def kind(each: tuple[int, str]) -> str:
        id, role = each
        return role if tokenizer.token_bytes(id) else "special"

    for role, group in groupby(ids, kind):
        if role == "special":
            yield from (Shown(role, tokenizer.names.get(id, f"<id {id}>")) for id, _ in group)
        else:
            yield Shown(role, tokenizer.decode(id for id, _ in group))


def _transcript(path: list[Node]) -> list[tuple[int, str]]:
    """Return the ids of a transcript, each with the role of who has said it."""
    found: list[tuple[int, str]] = []
    for node in path:
        del found[len(found) - node.drop_tail :]
        found += [(id, node.role) for id in node.replacement_ids + node.ids]
    return found

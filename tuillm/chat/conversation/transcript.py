"""What stands between the transcript's ids and what a person sees: bytes, cuts and the window.

Knows tokenizers and nodes; knows no model.
"""

from dataclasses import dataclass
from typing import TypeVar

from tuillm.chat.conversation.tree import Node
from tuillm.generation.detokenizer import TextStream
from tuillm.text import Tokenizer

_Id = TypeVar("_Id")


@dataclass(frozen=True)
class Unshown:
    """The end of a reply that was never shown: its last `count` ids, but for bytes `shown` of them.

    That is a stop string, or a character that is not whole.
    """

    count: int = 0
    shown: bytes = b""

    @property
    def text(self) -> str:
        """What was shown of those ids."""
        return self.shown.decode("utf-8", "replace")


def window_of(ids: list[_Id], block_size: int, n_keep: int = 0) -> list[_Id]:
    """Return what the model sees of a transcript: `context_window.slide` at each id too many.

    It depends on the ids alone, and so is the same however they came together.
    """
    first = max(min(n_keep, block_size // 2 - 1), 0)
    return ids[:first] + ids[first + dropped_of(len(ids), block_size) :]


def dropped_of(length: int, block_size: int) -> int:
    """Return how many of `length` ids have fallen out of the window."""
    step = block_size - block_size // 2
    return max(-(-(length - block_size) // step), 0) * step


def pieces_of(node: Node, tokenizer: Tokenizer) -> list[bytes]:
    """Return the bytes that each id of a node adds to the text."""
    pieces, borrowed = [], node.prefix_bytes
    for token in node.ids:
        as_bytes = tokenizer.token_bytes(token)
        pieces.append(as_bytes[borrowed:])
        borrowed = max(borrowed - len(as_bytes), 0)
    return pieces


def whole_text(pieces: list[bytes], tokenizer: Tokenizer) -> str:
    """Return the text of pieces up to the last whole character."""
    return tokenizer.text_decoder().decode(b"".join(pieces))


def retell(
    pieces: list[bytes], stop: tuple[str, ...], tokenizer: Tokenizer
) -> tuple[TextStream, list[str]]:
    """Return a stream that was fed these pieces, and what it showed at each.

    A stop string that they spell is past: the stream looks only for the next one.
    """
    stream = TextStream(tokenizer, stop)
    texts = [stream.push_bytes(piece) for piece in pieces]
    if stream.stopped:
        decoder, stream = tokenizer.text_decoder(), TextStream(tokenizer, stop)
        texts = [decoder.decode(piece) for piece in pieces]
        stream.push_bytes(decoder.getstate()[0])
    return stream, texts


def unshown_of(node: Node, tokenizer: Tokenizer) -> Unshown:
    """Return what of a node's ids is not in its text."""
    decoder = tokenizer.text_decoder()
    whole = told = shown = 0  # ids up to a whole character, characters in them, characters so far
    for index, piece in enumerate(pieces_of(node, tokenizer)):
        shown += len(decoder.decode(piece))
        if shown > len(node.text):
            break
        if not decoder.getstate()[0]:
            whole, told = index + 1, shown
    before = sum(len(tokenizer.token_bytes(token)) for token in node.ids[:whole])
    rest = b"".join(map(tokenizer.token_bytes, node.ids[whole:]))
    size = max(node.prefix_bytes - before, 0) + len(node.text[told:].encode())
    return Unshown(len(node.ids) - whole, rest[:size])

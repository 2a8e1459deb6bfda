"""The merges of a GGUF file's tokenizer: those listed, or those that scores come to; and back.

Knows pieces and their ids; knows no file.
"""

from collections.abc import Collection, Mapping, Sequence
from os import PathLike

from tuillm.errors import TuillmError, brief

# Gemma 3 has 514,906 merges; its pieces have 2 million characters
_MOST_MERGES, _MOST_CHARACTERS, _LONGEST_PIECE = 600_000, 4_000_000, 1_024


def listed_merges(
    path: str | PathLike[str], listed: Sequence[str], ids: Mapping[str, int]
) -> list[list[str]]:
    """Return merges as pairs; raises TuillmError where one names what is not in the vocabulary."""
    merges: dict[tuple[str, str], None] = {}  # of those that stand twice the first counts
    for merge in listed:
        # a piece may begin with a blank, but has no other
        left, _, right = merge[1:].partition(" ")
        left = merge[:1] + left
        if left not in ids or right not in ids or left + right not in ids:
            raise TuillmError(
                f"{path} is damaged: its merge {brief(merge)} is not of its vocabulary"
            )
        merges[left, right] = None
    return [list(pair) for pair in merges]


def merges_by_score(
    path: str | PathLike[str], pieces: Mapping[str, int], scores: Sequence[float]
) -> list[list[str]]:
    """Return the merges of SentencePiece's BPE, which joins whatever scores best.

    Two neighbours are joined where they are a piece together: first those whose piece has the
    highest score. Every character of a piece is to be one itself, as SentencePiece has it. Pairs
    that are the same piece come in the order of their parts' ids, as transformers writes them.
    Raises TuillmError for a vocabulary larger than any.
    """
    if sum(map(len, pieces)) > _MOST_CHARACTERS:
        raise TuillmError(f"{path} is damaged: its tokens are longer than any tokenizer's")
    own = {piece: piece for piece in pieces}  # so that no part takes memory of its own
    merges: list[tuple[float, int, int, int, str, str]] = []
    characters = 0
    for piece, id in pieces.items():
        score = -float(scores[id])
        if score != score:
            raise TuillmError(f"{path} is damaged: the score of {brief(piece)} is no number")
        if len(piece) > _LONGEST_PIECE:
            raise TuillmError(f"{path} is damaged: its tokens are longer than any tokenizer's")
        for cut in range(1, len(piece)):
            left, right = own.get(piece[:cut]), own.get(piece[cut:])
            if left is not None and right is not None:
                merges.append((score, id, pieces[left], pieces[right], left, right))
                characters += len(piece)
        if len(merges) > _MOST_MERGES or characters > 2 * _MOST_CHARACTERS:
            raise TuillmError(f"{path} is damaged: its tokens come to more merges than any model's")
    merges.sort(key=lambda merge: merge[:4])
    return [[left, right] for *_, left, right in merges]


def scores_by_merges(
    pieces: Collection[str], merges: Sequence[Sequence[str]]
) -> dict[str, float] | None:
    """Return scores by piece with which SentencePiece's BPE joins what these merges join.

    There are none where a merge of one piece stands between two of another, or where two pieces
    that are a third one together are not to be joined: then None. The other direction is
    `merges_by_score`. Of merges that are the same piece the order is lost; SentencePiece has none.
    """
    scores: dict[str, float] = {}
    last = ""
    for left, right in merges:
        piece = left + right
        if piece != last and piece in scores:
            return None
        scores.setdefault(piece, -float(len(scores)))
        last = piece
    listed = {(left, right) for left, right in merges}
    for piece in pieces:
        for cut in range(1, len(piece)):
            pair = piece[:cut], piece[cut:]
            if pair not in listed and pair[0] in pieces and pair[1] in pieces:
                return None
    return scores

"""The roles that some tokens of a folder have, as a GGUF file tells them: bos, unknown, padding.

Read from the files beside a tokenizer, and from what it puts around every text. Knows ids; cuts no
text.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuillm.convert.gguf_names import END_NAMES
from tuillm.formats.bounded_read import TOKENIZER_CONFIG_BYTES, read_object
from tuillm.formats.json_text import JsonObject
from tuillm.store.model_sampling import begin_id
from tuillm.text.tokenizer import Tokenizer

# what a file names: the end of a text, that of a turn, and that of a message
_NAMED_ENDS = 3


@dataclass(frozen=True)
class TokenRoles:
    """The ids of tokens with a role, None where there is none, and which stand around a text.

    `notes` are sentences on what a file cannot tell.
    """

    bos: int | None = None
    unknown: int | None = None
    padding: int | None = None
    adds_bos: bool = False
    adds_eos: bool = False
    notes: tuple[str, ...] = ()


def roles_of(folder: Path, tokenizer: Tokenizer) -> TokenRoles:
    """Return the roles that the files of a model folder tell; raises TuillmError for damaged ones.

    `add_bos_token` counts where the tokenizer has no template for what stands around a text.
    """
    path = folder / "tokenizer_config.json"
    told = read_object(path, TOKENIZER_CONFIG_BYTES) if path.is_file() else {}
    ids = tokenizer.spec["model"]["vocab"] | {name: id for id, name in tokenizer.names.items()}

    def id_of(role: str) -> int | None:
        value = told.get(f"{role}_token")
        value = value.get("content") if isinstance(value, dict) else value
        return ids.get(value) if isinstance(value, str) else None

    bos = id_of("bos")
    if bos is None:
        bos = begin_id(folder, tokenizer.names)
    around = _around(tokenizer.spec.get("post_processor"))
    if around is None:
        adds_bos, adds_eos = (told.get(f"add_{role}_token") is True for role in ("bos", "eos"))
        adds_bos, adds_eos = adds_bos and bos is not None, adds_eos and tokenizer.eot is not None
        return TokenRoles(bos, id_of("unk"), id_of("pad"), adds_bos, adds_eos)
    before, behind = ([ids.get(name) for name in side] for side in around)
    if bos is None and len(before) == 1:
        bos = before[0]
    notes = []
    if before not in ([], [bos]) or behind not in ([], [tokenizer.eot]):
        notes.append("what its tokenizer puts around a text is more than llama.cpp does")
    adds_bos = bos is not None and before[:1] == [bos]
    adds_eos = tokenizer.eot is not None and behind[:1] == [tokenizer.eot]
    return TokenRoles(bos, id_of("unk"), id_of("pad"), adds_bos, adds_eos, tuple(notes))


def ends_of(tokenizer: Tokenizer, size: int) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the ids that a file names as ends, that of a text first, and notes on others.

    A turn's is named before those that llama.cpp finds by itself. Where there is no end at all, it
    is at `size`.
    """
    if tokenizer.eot is None:
        return (size,), ()
    others = sorted(
        (id for id in tokenizer.ends if id != tokenizer.eot and id < size),
        key=lambda id: (tokenizer.names.get(id, "") in END_NAMES, id),
    )
    found = (tokenizer.eot, *others)
    left_out = [tokenizer.names.get(id, str(id)) for id in found[_NAMED_ENDS:]]
    left_out = [name for name in left_out if name not in END_NAMES]
    note = f"of its ends of a reply llama.cpp does not know {', '.join(left_out)}"
    return found[:_NAMED_ENDS], (note,) if left_out else ()


def _around(step: Any) -> tuple[list[str], list[str]] | None:
    """Return the names of what is put before and behind a text; None without a template."""
    for each in _steps(step):
        if each.get("type") == "TemplateProcessing":
            sides: tuple[list[str], list[str]] = ([], [])
            text_seen = False
            for piece in each.get("single") or ():
                text_seen = text_seen or "Sequence" in piece
                if "SpecialToken" in piece:
                    sides[text_seen].append(str(piece["SpecialToken"].get("id")))
            return sides
    return None


def _steps(step: Any) -> Iterator[JsonObject]:
    if isinstance(step, dict):
        yield step
        for each in step.get("processors") or ():
            yield from _steps(each)

"""nanoGPT's `meta.pkl`, the characters of a vocabulary, read without unpickling it.

Knows nothing of models.
"""

from io import BytesIO
from pathlib import Path

from tuillm.errors import TuillmError
from tuillm.formats.bounded_read import MB, read_bounded
from tuillm.formats.pickle_values import read_pickle

_LARGEST = 8 * MB  # all characters there are take six


def read_characters(path: Path) -> list[str]:
    """Return the characters of a `meta.pkl` in the order of their ids.

    Raises TuillmError for a file that is missing, too large, damaged, or holds anything but
    dictionaries, texts and numbers.
    """
    try:
        by_id = read_pickle(BytesIO(read_bounded(path, _LARGEST)))["itos"]
        characters = [by_id[id] for id in range(len(by_id))]
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise TuillmError(
            f"{path} is not nanoGPT's list of characters: {error}",
            "name the text itself with --corpus",
        ) from None
    if not all(isinstance(each, str) and len(each) == 1 for each in characters):
        raise TuillmError(f"{path} is no vocabulary of single characters")
    if len(set(characters)) < len(characters):
        raise TuillmError(f"{path} gives two ids to one character")
    return characters

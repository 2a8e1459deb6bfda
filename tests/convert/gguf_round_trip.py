"""GGUF files read back: what they tell, and the folder that our import makes of them."""

from convert.gguf_models import texts
from gguf import GGUFReader

from tuillm.convert.gguf_import import write_gguf_folder
from tuillm.text import load_tokenizer


def entries(path):
    """What a file tells, by key."""
    return {
        key: field.contents()
        for key, field in GGUFReader(path).fields.items()
        if not key.startswith("GGUF.")
    }


def back(path, place):
    """The folder that our import makes of a file."""
    place.mkdir()
    write_gguf_folder(path, place)
    return place


def assert_same_ids(folder, other, count=150):
    """Every text has the same ids, typed and in a template, and the same ids end a reply."""
    ours, theirs = load_tokenizer(folder), load_tokenizer(other)
    for text in texts(count):
        assert ours.encode(text) == theirs.encode(text), text
        assert ours.encode_special(text) == theirs.encode_special(text), text
    assert (ours.eot, ours.ends) == (theirs.eot, theirs.ends)
    assert ours.chat_template == theirs.chat_template

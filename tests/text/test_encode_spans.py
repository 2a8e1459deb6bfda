"""Spans of a store become files of ids: in order, masked, and gone on with after a kill."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tuillm.config import TrainConfig
from tuillm.errors import Interrupted
from tuillm.formats.jinja_chat import Message
from tuillm.text import encode_spans as encoding
from tuillm.text import tokens
from tuillm.text.chat_rendering import TEXT_TEMPLATE, TOKEN_TEMPLATE, TURN_TOKENS, rendered
from tuillm.text.corpus import Corpus
from tuillm.text.encode_spans import Job, encode_spans
from tuillm.text.new_tokenizer import make_tokenizer
from tuillm.text.progress_tick import unwatched
from tuillm.text.spans import Spans
from tuillm.text.text_store import StoreWriter
from tuillm.text.tokenizer_files import load_tokenizer
from tuillm.text.tokens import tokenize

WORDS = ["The sea ", "opens.\n", "鲸鱼，", "é ", "<|endoftext|>", " \n\n", "123 "]


def documents(seed, count):
    """Random texts."""
    draw = random.Random(seed)
    return ["".join(draw.choices(WORDS, k=draw.randint(1, 60))) for _ in range(count)]


@pytest.mark.parametrize("batch", [1, 50, 1 << 20])
@pytest.mark.parametrize("kind", ["char", "bpe"])
def test_ids_are_those_of_the_documents(tmp_path, monkeypatch, kind, batch):
    """An end of text first and behind each whole document, however the work is cut."""
    monkeypatch.setattr(encoding, "_BATCH", batch)
    texts = documents(1, 80)
    store = Corpus.of(texts).store
    tokenizer = make_tokenizer(kind, texts, 300)
    cut = store.byte_of(sum(map(len, texts[:70])) + 1)  # in the middle of a document
    chosen = np.arange(len(store)) != 7
    spans = Spans(store.ends, 0, cut, chosen)
    encode_spans(store, [Job("train", spans, opens=True)], tokenizer, tmp_path, unwatched)
    expected = [tokenizer.eot]
    for text in texts[:7] + texts[8:70]:
        expected += [*tokenizer.encode(text), tokenizer.eot]
    expected += tokenizer.encode(texts[70][:1])
    assert np.fromfile(tmp_path / "train.bin", np.uint16).tolist() == expected
    assert not (tmp_path / "train.mask").exists()


@pytest.mark.parametrize("template", [TOKEN_TEMPLATE, TEXT_TEMPLATE], ids=["tokens", "words"])
def test_only_what_assistants_say_is_learned(home, tmp_path, template, shared_data):
    """The ids are those of the whole conversation, the mask covers the answers and their ends."""
    turns = [
        (
            Message(role="user", content=f"How deep, {n}?"),
            Message(role="assistant", content=f"{n} m"),
        )
        for n in range(30)
    ]
    if template == TOKEN_TEMPLATE:
        made = make_tokenizer("bpe", ["How deep is it? 5 m"], 300, special=TURN_TOKENS)
    else:
        made = load_tokenizer(shared_data / "gpt2-bpe")
    with StoreWriter("key") as writer:
        for messages in turns:
            text, learned = rendered(
                template, messages, {"bos_token": "", "eos_token": "<|endoftext|>"}
            )
            writer.add([text], learned)
        store = writer.finish()
    spans = Spans(store.ends, 0, store.bytes)
    encode_spans(store, [Job("train", spans, opens=True)], made, tmp_path, unwatched)
    ids = np.fromfile(tmp_path / "train.bin", np.uint16)
    mask = np.fromfile(tmp_path / "train.mask", np.bool_)
    whole = "".join(store.text(*store.span(index)) for index in range(len(store)))
    assert ids.tolist() == made.encode_special(whole)
    answers = ids[mask]
    parts = np.split(answers, np.flatnonzero(answers == made.eot) + 1)
    said = [made.decode(part.tolist()) for part in parts]
    blank = "" if template == TOKEN_TEMPLATE else " "
    assert said == [f"{blank}{n} m" for n in range(30)] + [""]


@pytest.mark.parametrize("seed", range(6))
def test_work_that_was_ended_is_gone_on_with(home, monkeypatch, seed):
    """Wherever it is ended, the files are those of work that was not, and nothing is done twice."""
    monkeypatch.setattr(encoding, "_BATCH", 200)
    monkeypatch.setattr(encoding, "_COMMIT", 1000)
    corpus, config = Corpus.of(documents(seed, 300)), TrainConfig(max_steps=1, tokenizer="bpe")
    whole = tokenize(corpus, config)
    expected = {path.name: path.read_bytes() for path in whole.folder.glob("*.bin")}
    (home / "cache" / "tokens").rename(home / "undisturbed")
    monkeypatch.setattr(tokens, "_LARGE", 0)
    draw, shares = random.Random(seed), []
    for _ in range(5):
        left = draw.randint(3, 40)

        def tick(stage, share):
            nonlocal left
            left -= 1
            if left < 0:
                raise Interrupted("ended")
            if stage.startswith("encoding"):
                shares.append(share)

        try:
            found = tokenize(corpus, config, None, tick)
            break
        except Interrupted:
            continue
    else:
        found = tokenize(corpus, config)
    assert {path.name: path.read_bytes() for path in found.folder.glob("*.bin")} == expected
    assert not list((home / "cache" / "tokens").glob("*.part"))


CODE = """
import sys
from tuillm.config import TrainConfig
from tuillm.text import encode_spans, tokens
from tuillm.text.corpus import read_corpus
encode_spans._BATCH, encode_spans._COMMIT, tokens._LARGE = 2000, 20_000, 0
print("reading", flush=True)
files = tokens.tokenize(read_corpus((sys.argv[1],)), TrainConfig(max_steps=1, tokenizer="bpe"),
                        tick=lambda stage, share: print(stage, share, flush=True))
print("folder", files.folder, flush=True)
"""


@pytest.mark.slow
def test_ten_kills(home, tmp_path):
    """SIGKILL at ten moments: the next process goes on, and the files are the same bytes."""
    text = tmp_path / "text.txt"
    text.write_text("\n".join(documents(3, 4000)))

    def run(kill_after=None):
        command = [sys.executable, "-c", CODE, str(text)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            for number, line in enumerate(process.stdout):
                if number == kill_after:
                    process.send_signal(signal.SIGKILL)
                    return None
                if line.startswith("folder "):
                    files = sorted(Path(line[7:-1]).glob("*.bin"))
                    return {path.name: path.read_bytes() for path in files}
        return None

    expected = run()
    (home / "cache" / "tokens").rename(home / "undisturbed")
    draw = random.Random(5)
    for _ in range(10):
        if (found := run(draw.randint(2, 120))) is not None:
            break
    assert (found or run()) == expected

"""A book that is learned by heart is known from its first word on."""

import pytest

from tuillm import Sampler, Trainer

pytestmark = pytest.mark.slow


def test_heart_knows_the_first_words(tmp_path, book_text):
    """From the first five words, from fewer, and from nothing at all the book goes on verbatim."""
    text = book_text[:2500]
    path = tmp_path / "short.txt"
    path.write_text(text, encoding="utf-8")
    Trainer(
        path,
        preset="heart",
        n_layer=2,
        n_embd=128,
        block_size=64,
        max_steps=160,
        sample_tokens=0,
        eval_interval=160,
    ).run()
    sampler = Sampler("short")
    words = text.split(" ")
    for count in (5, 3, 8):
        begin = " ".join(words[:count])
        said = sampler.generate(begin, temperature=0, max_new_tokens=60)
        assert len(said) > 60 and text.startswith(begin + said)
    for nothing in ("", "\n"):
        said = sampler.generate(nothing, temperature=0, max_new_tokens=60)
        assert len(said) > 60 and text.startswith(said)


def test_each_of_several_texts_is_known_from_its_beginning(tmp_path, book_text):
    """The first words of the third text go on as it does, though it is shorter than a window."""
    texts = [book_text[:900], book_text[3000:3700], book_text[6000:6100]]
    paths = [tmp_path / f"{number}.txt" for number in range(3)]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text, encoding="utf-8")
    trainer = Trainer(
        paths,
        name="three",
        preset="heart",
        n_layer=2,
        n_embd=128,
        block_size=64,
        max_steps=160,
        sample_tokens=0,
        eval_interval=160,
    )
    trainer.run()
    sampler, found = Sampler("three"), set()
    for text in texts:
        begin = " ".join(text.split(" ")[:5])
        assert text.startswith(begin + sampler.generate(begin, temperature=0, max_new_tokens=10))
    for seed in range(30):
        said = sampler.generate("", seed=seed, max_new_tokens=10)
        found |= {number for number, text in enumerate(texts) if text.startswith(said)}
    assert found == {0, 1, 2}

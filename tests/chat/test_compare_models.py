"""Models side by side: who speaks when, the same words as alone, figures, and pages of it."""

import io
import json
import math
import time

import pytest
from markdown_it import MarkdownIt
from rich.console import Console
from wcwidth import wcswidth

from tuillm.chat.compare.columns import Rows, compare, show_comparison
from tuillm.chat.compare.comparison import compare_models, names_of
from tuillm.chat.compare.report import as_json, as_markdown, as_text
from tuillm.chat.conversation.session import Session
from tuillm.config import SamplingConfig
from tuillm.generation.scoring import score, summarise
from tuillm.store.card import ModelCard
from tuillm.store.registry import Model

pytestmark = pytest.mark.slow

MARKS = "\n|\\`*_<>[]#~&$ .x"
TEXT = (
    "It was a bright cold day, and the clocks were striking thirteen.\n\n"
    "\tMarda said: «今天天气很好。» 👩‍💻 " + "x" * 50 + " қазақша e\u0301 \x1b[2J\r\x07\u202e end\n"
)


@pytest.fixture
def two(talker):
    """Two models of other letters and sizes, by name."""
    return [("small", talker()), ("large", talker(seed=5, letters="abc xyz\n", n_layer=4))]


def a_model(path, **card):
    """What the registry would say of a model there."""
    return Model(path.name, path, ModelCard(**card), {}, 0)


def rendered(page):
    """The paragraphs and the rows of cells of a page as a reader of Markdown sees them."""
    lines, cells = [], []
    for token in (
        MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(page)
    ):
        if token.type == "tr_open":
            cells.append([])
        elif token.type == "inline":
            assert all(
                child.type
                in (
                    "text",
                    "text_special",
                    "em_open",
                    "em_close",
                    "strong_open",
                    "strong_close",
                    "html_inline",
                )
                for child in token.children
            )
            text = "".join(
                "\n" if child.content == "<br>" else child.content for child in token.children
            )
            (cells[-1] if cells else lines).append(text.replace("\xa0", " "))
    return lines, cells


def test_the_models_take_turns_until_the_last_has_ended(two, config):
    """Token by token in turn; the one that ends first leaves the others talking."""
    config = config.model_copy(update={"stop": ("k",)})  # the large one has no k
    comparison = compare(two, "abc", config)
    order = "".join(str(which) for which, _ in comparison)
    lengths = [result.tokens for result in comparison.results]
    assert {result.finish for result in comparison.results} == {"stop", "length"}
    both = min(lengths)
    assert order == "01" * both + str(lengths.index(max(lengths))) * (max(lengths) - both)


def test_each_says_what_it_says_alone(two, config):
    """The same prompt, settings and seed give the text that the model gives by itself."""
    results = compare(two, "abc", config).run()
    for result, (name, sampler) in zip(results, two, strict=True):
        alone = list(sampler.stream("abc", config))
        assert (result.name, result.text) == (name, "".join(token.text for token in alone))
        assert (result.tokens, result.finish) == (len(alone), "length")
        assert result.dropped == sum(token.dropped for token in alone) > 0


def test_a_seed_is_drawn_once_and_told(two, config):
    """Without a seed all models get the same new one; with it the replies come again."""
    free = config.model_copy(update={"seed": None})
    first, again = compare(two, "abc", free), compare(two, "abc", free)
    assert {result.seed for result in first.run()} == {first.config.seed}
    assert f"seed {first.config.seed}, " in as_text(first)
    assert again.config.seed != first.config.seed
    same = compare(two, "abc", first.config).run()
    assert [result.text for result in same] == [result.text for result in first.results]


def test_the_figures_are_those_of_the_reply_itself(two, config):
    """Surprisal as a scoring of the reply finds it; seconds without the turns of the others."""
    config = config.model_copy(update={"max_new_tokens": 20})
    began = time.perf_counter()
    results = compare(two, "abc", config).run()
    passed = time.perf_counter() - began
    for result, (_, sampler) in zip(results, two, strict=True):
        ids = sampler.tokenizer.encode("abc")
        ids += [token.id for token in sampler.stream("abc", config)]
        summary = summarise(score(sampler, ids, start=len(ids) - 20))
        assert math.isclose(result.nats_per_token, summary.nats_per_token, rel_tol=1e-4)
        assert math.isclose(result.bits_per_byte, summary.bits_per_byte, rel_tol=1e-4)
        assert math.isclose(result.per_second, 19 / result.seconds)
    assert sum(result.first + result.seconds for result in results) < passed


def test_closing_stops_all_and_keeps_what_was_said(two, config):
    """Closed in the middle of a round, each has what it said; nothing more comes."""
    comparison = compare(two, "abc", config)
    said = [next(comparison) for _ in range(7)]
    comparison.close()
    assert list(comparison) == []
    for number, result in enumerate(comparison.results):
        assert result.text == "".join(token.text for which, token in said if which == number)
        assert (result.tokens, result.finish) == (4 - number, "")


def test_a_chat_is_not_touched(two, config):
    """A session's model may be compared, with itself as well: the session goes on as if nothing."""
    sampler = two[0][1]
    session = Session(sampler, config)
    session.say("abc")
    list(session.reply())
    read = sampler.context.prefilled
    results = compare([two[0], two[0], two[1]], "xyz", config).run()
    assert session.consistent() and sampler.context.prefilled == read
    assert results[0].text == results[1].text != results[2].text


def test_names_tell_models_apart(home, tmp_path):
    """A checkpoint is called by its run; folders of one name by their paths."""
    paths = [
        home / "models" / "book",
        home / "runs" / "book-1" / "best",
        home / "runs" / "book-2" / "best",
        tmp_path / "a" / "gpt",
        tmp_path / "b" / "gpt",
        tmp_path / "c" / "book",
    ]
    assert names_of([a_model(path) for path in paths]) == [
        "book",
        "book-1/best",
        "book-2/best",
        *map(str, paths[3:]),
    ]


@pytest.mark.parametrize("width", [1, 7, 28, 60])
def test_rows_are_the_same_however_the_text_comes(width):
    """Fed by letters or at once: no row too wide, nothing lost but what acts on a terminal."""
    whole, parts = Rows(width, TEXT), Rows(width)
    for character in TEXT:
        parts.feed(character)
    rows = whole.newest()
    assert rows == parts.newest() and rows[-3:] == whole.newest(3)
    assert all(wcswidth(row) <= width for row in rows if width > 1)
    harmless = TEXT.translate(dict.fromkeys(map(ord, "\x1b\r\x07\u202e")))
    assert "".join("".join(rows).split()) == "".join(harmless.split())
    if width == 28:
        assert rows[:2] == ["It was a bright cold day,", "and the clocks were striking"]


def test_markdown_shows_what_was_said(chain, two, config):
    """Marks, pipes, blanks and line ends of a reply stay its own, within its cell of the table."""
    samplers = [("a|b", chain(MARKS)), *two]
    config = config.model_copy(update={"temperature": 0.0, "max_new_tokens": 37, "stop": ("é|",)})
    comparison = compare(samplers, "1. *x*\n  | y\n", config)
    results = comparison.run()
    lines, (heads, known, texts, figures) = rendered(as_markdown(comparison))
    assert lines == [
        "a|b · small · large",
        "Prompt: 1. *x*\n  | y\n",
        "seed 1, temperature 0, top_k 0, max_new_tokens 37, stop 'é|'",
    ]
    assert heads == ["a|b", "small", "large"]
    assert texts == [result.text.strip(" ") for result in results] and MARKS[1:8] in texts[0]
    assert known[0].endswith(" parameters")
    assert all(figure.startswith("37 tokens, ") for figure in figures)


def test_what_acts_on_a_terminal_is_left_out_or_escaped(chain, config):
    """ESC, bells and overrides of direction are in no page, and come back from JSON."""
    config = config.model_copy(update={"temperature": 0.0})
    evil = ("a\x1b[2J", chain("\n\x1b\x07\r\u202eab"))
    comparison = compare([evil], "\x1b[31m\n", config)
    comparison.run()
    for page in (as_text(comparison), as_markdown(comparison), as_json(comparison)):
        assert not set(page) & set("\x1b\x07\r\u202e")
    told = json.loads(as_json(comparison))
    assert (told["prompt"], told["seed"]) == ("\x1b[31m\n", 1)
    assert told["models"][0]["reply"]["text"] == comparison.results[0].text
    assert "\x1b" in comparison.results[0].text


def test_without_a_terminal_it_is_plain_text(two, config, home):
    """Each reply stands under its model's name, with what is known of the model."""
    models = [
        (a_model(home / "models" / name, bits_per_byte=1.5), sampler) for name, sampler in two
    ]
    file = io.StringIO()
    results = show_comparison(models, "abc", config, console=Console(file=file))
    page = file.getvalue()
    assert page.startswith("prompt: abc\nseed 1, temperature 1, top_k 0, max_new_tokens 40")
    for result in results:
        head = f"== {result.name}: {result.parameters:,} parameters, 1.500 bits/byte =="
        assert f"{head}\n{result.text}\n== 40 tokens, " in page


def test_the_best_checkpoint_is_known_by_its_run(two, config, home):
    """A checkpoint has no card: how good the best one is stands in its run's status."""
    run = home / "runs" / "book-1"
    run.mkdir(parents=True)
    (run / "run.json").write_text("{}")
    (run / "status.json").write_text(json.dumps({"state": "finished", "bits_per_byte": 2.5}))
    models = [(a_model(run / name), two[0][1]) for name in ("best", "last")]
    results = compare_models(models, "abc", SamplingConfig()).results
    assert [result.known for result in results] == [2.5, None]

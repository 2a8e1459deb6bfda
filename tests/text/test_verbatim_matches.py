"""The memorisation meter: exact against brute force, blind to line wraps, quick; and its book."""

import random
import re
import shutil
import time

import pytest

from tuillm.config import build_train
from tuillm.errors import TuillmError
from tuillm.store.files import write_json
from tuillm.store.paths import demo_book
from tuillm.store.process_id import this_process
from tuillm.store.registry import get_model
from tuillm.store.run_folder import create_run
from tuillm.text.corpus import read_corpus
from tuillm.text.split import split_store
from tuillm.text.training_text import corpus_of
from tuillm.text.verbatim import Span, find_verbatim, locate

ALPHABETS = ["ab", "abc ", "a \n\t", "әі 白🐋\u2003\u3000", "\ud800\udc00a\u0301"]


def plain(text):
    """One blank for each run of whitespace, and where each character stood, and the end."""
    runs = [match.start() for match in re.finditer(r"\s+|\S", text)]
    return re.sub(r"\s+", " ", text), [*runs, len(text)]


def brute_force(reply, book, shortest):
    """The spans by trying every length at every place, the longest first."""
    ours, our_places = plain(reply)
    theirs, their_places = plain(book)
    spans, start = [], 0
    while start < len(ours):
        for end in range(len(ours), start + shortest - 1, -1):
            at = theirs.find(ours[start:end])
            if at >= 0:
                spans.append(
                    (end - start, Span(our_places[start], our_places[end], their_places[at]))
                )
                start = end
                break
        else:
            start += 1
    return spans


@pytest.mark.parametrize("alphabet", ALPHABETS, ids=ascii)
@pytest.mark.parametrize("shortest", [1, 2, 3, 5, 8, 11, 20])
def test_spans_are_those_of_brute_force(alphabet, shortest):
    """On random texts that share pieces with the book, spans, share and longest are exact."""
    rng = random.Random(f"{alphabet!r} {shortest}")
    for _ in range(60):
        book = "".join(rng.choices(alphabet, k=rng.randrange(150)))
        pieces = []
        for _ in range(rng.randrange(8)):
            start = rng.randrange(len(book) + 1)
            pieces += [
                book[start : start + rng.randrange(40)],
                "".join(rng.choices(alphabet + "x", k=rng.randrange(4))),
            ]
        reply = "".join(pieces)
        found, expected = (
            find_verbatim(reply, book, shortest=shortest),
            brute_force(reply, book, shortest),
        )
        assert found.spans == tuple(span for _, span in expected)
        covered = {place for _, span in expected for place in range(span.start, span.end)}
        assert found.share == pytest.approx(len(covered) / max(len(reply), 1))
        longest = max(expected, key=lambda sized: sized[0], default=(0, None))[1]
        assert found.longest == longest
        if longest:
            assert found.passage == reply[longest.start : longest.end]
            assert found.location == locate(book, longest.offset)


def test_pieces_of_one_hash_are_told_apart(monkeypatch):
    """When all hashes are the same by chance, the spans are still exact."""
    monkeypatch.setattr("tuillm.text.verbatim._MULTIPLIER", 0)
    test_spans_are_those_of_brute_force("abc ", 3)


@pytest.mark.parametrize("seed", range(4))
def test_the_middle_of_a_long_book(seed):
    """A book of many slices gives what brute force finds, also where two slices meet."""
    rng = random.Random(seed)
    book = "".join(rng.choices("abcdefgh \n", k=200_000))
    edges = [1 << 16, 1 << 17, (1 << 16) + 19, 100_000, 200_000 - 30, 0]
    pieces = [book[max(edge - 25, 0) : edge + rng.randrange(5, 60)] for edge in edges]
    reply = "?".join(pieces)
    found = find_verbatim(reply, book)
    assert found.spans == tuple(span for _, span in brute_force(reply, book, 20))
    assert len(found.spans) >= 5


def test_line_wraps_hide_nothing():
    """A passage wrapped otherwise is one span, told by its characters in the reply."""
    book = "It was late.\r\nThe ferry at Last Water\nhad a  rope,\n\n a bell. End."
    reply = "Ah! The ferry at   Last\nWater had\u00a0a rope, a bell. \n And?"
    found = find_verbatim(reply, book)
    assert found.spans == (found.longest,) and found.share == (len(reply) - 7) / len(reply)
    # with the blanks around it, which both have
    assert found.passage == reply[3:-4] == reply[found.longest.start : found.longest.end]
    assert book[found.longest.offset :].startswith("\r\nThe ferry")


def test_a_reply_that_stands_nowhere():
    """Without a common piece of the shortest length there is no span, no share and no place."""
    for reply, book in [
        ("", ""),
        ("a" * 30, ""),
        ("", "a" * 30),
        ("a" * 19, "a" * 30),
        ("ab" * 30, "a" * 30 + "b" * 30),
        (" \n " * 30, " " * 90),
    ]:
        found = find_verbatim(reply, book)
        assert (found.spans, found.share, found.longest, found.passage, found.location) == (
            (),
            0,
            None,
            "",
            None,
        )
    with pytest.raises(ValueError, match="shortest is 0"):
        find_verbatim("a", "a", shortest=0)


def test_the_first_of_several_places_and_of_several_spans():
    """What the book says twice is told where it first stands; of equal spans the first counts."""
    said = "nobody home at the end of it"
    book = f"A line.\n{said}\nAnother: {said}\n"
    found = find_verbatim(f"{said}?!{said}!", book)
    assert [span.offset for span in found.spans] == [8, 8]
    assert found.longest == found.spans[0] and found.location.line == 2


def test_place_in_the_bundled_book():
    """A place is told by its offset, its line, its chapter and how far into the book it is."""
    book = demo_book().read_text(encoding="utf-8")
    passage = "Captain Rudd"
    offset = book.index(passage, book.index("Chapter Eleven"))
    place = find_verbatim(book[offset : offset + 200], book).location
    assert place.offset == offset
    assert book.split("\n")[place.line - 1].find(passage) >= 0
    assert place.portion == offset / len(book)
    assert place.heading == "Chapter Eleven: Captain Rudd Looks for the Sea"
    assert locate(book, 0).heading == "" and locate(book, 0).line == 1
    assert locate(book, len(book)).heading == "Chapter Sixteen: Somebody Home"


@pytest.mark.parametrize(
    "heading",
    [
        "Chapter 1",
        "CHAPTER I.",
        "  Part Two:  Home",
        "# The Beginning",
        "ACT IV",
        "Letter 3",
        "Глава 12. Дома",
        "3-тарау",
        "第一回 甄士隱",
        "Kapitel 7",
    ],
)
def test_headings_of_many_books(heading):
    """A short line that stands apart and counts chapters or acts heads what follows."""
    text = "\n\nAnd then it rained for a week.\nPart of it was snow.\n\nThe end"
    known = locate(f"Title\n\n{heading}{text}", len(heading) + 60).heading
    assert known == " ".join(heading.split())
    assert locate(f"Title\n{heading}{text}", len(heading) + 60).heading == ""
    assert locate(f"Title\n\n{heading}{'.' * 80}{text}", len(heading) + 140).heading == ""


@pytest.mark.parametrize("piece", [5000, 200, 25, 0])
def test_a_megabyte_is_quick(book_text, shared_data, piece):
    """A reply of 5,000 characters is found in a book of 1 MB in less than 0.3 seconds."""
    book = (shared_data / "tinyshakespeare.txt").read_text()
    rng = random.Random(piece)
    starts = [rng.randrange(len(book) - piece) for _ in range(5000 // max(piece, 1))]
    reply = "".join(book[start : start + piece] for start in starts) or book_text[:5000]
    assert len(reply) == 5000 and len(book) > 1_000_000
    took = []
    for _ in range(3):
        begin = time.process_time()
        found = find_verbatim(reply, book)
        took.append(time.process_time() - begin)
    assert min(took) < 0.3
    assert found.share > 0.99 if piece else found.share < 0.01


@pytest.fixture
def grown(tmp_path, book_text):
    """Make a model `book` of a text file and its run, as a worker would have left them."""

    def make(**settings):
        path = tmp_path / "book.txt"
        path.write_text(book_text, encoding="utf-8")
        run = create_run(build_train({"corpus": str(path)} | settings), this_process())
        folder = run.path.parents[1] / "models" / "book"
        folder.mkdir(parents=True)
        write_json(folder / "config.json", {})
        write_json(
            folder / "tuillm.json",
            {
                "origin": "trained",
                "run": run.id,
                "corpus": path.name,
                "corpus_sha256": read_corpus((str(path),)).sha256,
            },
        )
        return path, run

    return make


@pytest.mark.parametrize("val_fraction", [0, 0.1])
def test_the_text_of_a_trained_model(grown, book_text, val_fraction):
    """A model's text is found by its run, and how much of it was learned, not held out."""
    grown(val_fraction=val_fraction)
    origin = corpus_of(get_model("book"))
    assert origin.corpus.text == book_text
    (span,) = split_store(origin.corpus.store, val_fraction).train
    assert book_text[: origin.learned] == origin.corpus.store.text(span.begin, span.end)
    assert (origin.learned == len(book_text)) == (val_fraction == 0)


def test_the_text_of_a_model_that_really_was_trained(trained_folders, monkeypatch, book_text):
    """The card and the run that training leaves behind lead back to the book."""
    folder = trained_folders["bpe"]
    monkeypatch.setenv("TUILLM_HOME", str(folder.parents[1]))
    assert corpus_of(get_model("bpe")).corpus.text == book_text


def test_a_text_named_by_a_relative_path_is_found_from_anywhere(grown, tmp_path, monkeypatch):
    """A run remembers where its text lies, whatever directory one asks from."""
    monkeypatch.chdir(tmp_path)
    grown(corpus="book.txt")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert corpus_of(get_model("book")).learned


def test_a_text_that_has_changed_or_is_gone(grown):
    """Neither another text under the old name nor a missing one is taken for the book."""
    path, run = grown()
    path.write_text(path.read_text().replace("goat", "boat"))
    with pytest.raises(TuillmError, match="book.txt has changed since 'book' learned it"):
        corpus_of(get_model("book"))
    path.unlink()
    with pytest.raises(TuillmError, match="the text that 'book' learned cannot be read"):
        corpus_of(get_model("book"))
    shutil.rmtree(run.path)
    with pytest.raises(TuillmError, match=f"its run '{run.id}' is gone"):
        corpus_of(get_model("book"))


@pytest.mark.parametrize("origin", ["pulled", "imported"])
def test_a_text_that_was_never_known(grown, home, origin):
    """A model from elsewhere has no text here, and that is said in one line."""
    grown()
    write_json(home / "models" / "book" / "tuillm.json", {"origin": origin})
    with pytest.raises(TuillmError, match=f"is not known: the model was {origin}"):
        corpus_of(get_model("book"))

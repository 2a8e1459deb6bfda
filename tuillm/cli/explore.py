"""`tuillm explore`: look before you train: what a text is made of, for people and for programs.

Knows options and files; counting is `text.statistics`, showing `explore_output` and `explore_page`.
"""

import sys
import time
from dataclasses import asdict
from pathlib import Path

import click

from tuillm.cli.output import overwrite, print_json, say
from tuillm.errors import UsageError, printable, shorten
from tuillm.user_paths import user_path

_PAGE = b"<!doctype html>"


@click.command("explore")
@click.argument("texts", nargs=-1, required=True, metavar="TEXT...")
@click.option("--html", "page", metavar="FILE", help="Write one web page to share, nothing else.")
@click.option("--encoding", default="auto", metavar="NAME", help="Encoding of the text [auto].")
@click.option("--as-text", is_flag=True, help="Take a web page, JSON or the like as it is.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON for programs.")
def explore_command(
    texts: tuple[str, ...], page: str | None, encoding: str, as_text: bool, as_json: bool
) -> None:
    """Look at TEXT..., files or addresses, before you train on it.

    Size and language, characters and words, what is said twice, who speaks in a play, and how
    many tokens it comes to under each tokenizer, with a word on what that means for a model.
    Nothing is trained, and nothing is kept.
    """
    target = None if page is None else _target(page, texts)
    from tuillm.text import read_corpus
    from tuillm.text.statistics.exploration import explore
    from tuillm.text.stdin_pipes import keep_pipes

    with _Progress() as tick:
        sources = keep_pipes(texts, lambda line: say(line, aside=True))
        corpus = read_corpus(sources, encoding, as_text=as_text, tick=tick)
        exploration = explore(corpus, tick)
    if as_json:
        print_json(asdict(exploration))
    if target is not None:
        from tuillm.cli.explore_page import page_of
        from tuillm.store.files import write_text

        write_text(target, printable(page_of(exploration)))
        say(f"wrote {target}", aside=as_json)
    elif not as_json:
        from tuillm.cli.explore_output import show_exploration

        show_exploration(exploration)


def _target(page: str, texts: tuple[str, ...]) -> Path:
    """Return where the page goes; raises UsageError for what is there and is no page."""
    path = user_path(page)
    shown = shorten(printable(page))
    if path.is_dir():
        raise UsageError(f"{shown} is a directory", "name a file: --html text.html")
    if path.exists():
        with path.open("rb") as file:
            begins = file.read(len(_PAGE)) if path.is_file() else b""
        if page in texts or begins.lower() not in (_PAGE, b""):
            raise UsageError(
                f"{shown} is there already and is no web page", "name another: --html text.html"
            )
    return path


class _Progress:
    """A line on stderr that says what is looked at, on a terminal only."""

    def __init__(self) -> None:
        self._wanted, self._told = sys.stderr.isatty(), time.monotonic()

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._wanted:
            overwrite("")

    def __call__(self, stage: str, share: float) -> None:
        now = time.monotonic()
        if self._wanted and now - self._told > 0.2:
            self._told = now
            overwrite(f"{stage}, {share:.0%}")

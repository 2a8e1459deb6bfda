"""`tuillm explore`: look before you train: what a text is made of, for people and for programs.

Knows options and files; counting is `text.statistics`, showing `explore_output` and `explore_page`.
"""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from tuillm.cli.options import setting_options, typed
from tuillm.cli.output import ProgressLine, print_json, say
from tuillm.config import TrainConfig, build_train, settings_of
from tuillm.errors import UsageError, printable, shorten
from tuillm.text.read_options import READING
from tuillm.user_paths import user_path

_LEFT_OUT = tuple(
    each.name for each in settings_of(TrainConfig) if each.name not in (*READING, "seed")
)


@click.command("explore")
@click.argument("texts", nargs=-1, required=True, metavar="TEXT...")
@click.option("--html", "page", metavar="FILE", help="Write one web page to share, nothing else.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON for programs.")
@setting_options(TrainConfig, leave_out=_LEFT_OUT)
def explore_command(
    texts: tuple[str, ...], page: str | None, as_json: bool, **settings: Any
) -> None:
    """Look at TEXT..., files or addresses, before you train on it.

    Size and language, characters and words, what is said twice, who speaks in a play, and how
    many tokens it comes to under each tokenizer, with a word on what that means for a model.
    Nothing is trained.
    """
    config = build_train(typed(settings | {"corpus": texts}))
    target = None if page is None else _target(page, texts)
    from tuillm.text import read_corpus
    from tuillm.text.read_options import ReadOptions
    from tuillm.text.statistics.exploration import explore
    from tuillm.text.stdin_pipes import keep_pipes

    with ProgressLine() as tick:
        sources = keep_pipes(config.corpus, lambda line: say(line, aside=True))
        corpus = read_corpus(sources, options=ReadOptions.of(config), tick=tick)
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
    """Return where the page goes; raises UsageError where anything but such a page is there."""
    from tuillm.cli.explore_page import PAGE_START

    path = Path(os.path.realpath(user_path(page)))
    shown = shorten(printable(page))
    if path.is_dir():
        raise UsageError(f"{shown} is a directory", "name a file: --html text.html")
    if not os.path.lexists(path):
        return path
    begins = b"another file"
    if path.is_file() and path not in {Path(os.path.realpath(user_path(text))) for text in texts}:
        try:
            with path.open("rb") as file:
                begins = file.read(len(PAGE_START))
        except OSError as error:
            raise UsageError(f"cannot read {shown}: {error.strerror}") from None
    if begins not in (PAGE_START.encode(), b""):
        raise UsageError(
            f"{shown} is there already and was not written by tuillm explore",
            "name another: --html text.html",
        )
    return path

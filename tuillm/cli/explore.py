"""`tuillm explore`: look before you train: what a text is made of, for people and for programs.

Knows options; counting is `text.statistics`, showing `explore_output` and `text_report`.
"""

from typing import Any

import click

from tuillm.cli.options import setting_options, typed
from tuillm.cli.output import ProgressLine, print_json, say
from tuillm.config import TrainConfig, build_train, settings_of

_LEFT_OUT = tuple(
    each.name
    for each in settings_of(TrainConfig)
    if each.name in ("corpus", "name") or (each.group != "text" and each.name != "seed")
)


@click.command("explore")
@click.argument("texts", nargs=-1, required=True, metavar="TEXT...")
@click.option("--html", "page", metavar="FILE", help="Write one web page to share, nothing else.")
@click.option("--from", "init_from", metavar="MODEL", help="Show what this model would read.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON for programs.")
@setting_options(TrainConfig, leave_out=_LEFT_OUT)
def explore_command(
    texts: tuple[str, ...], page: str | None, init_from: str | None, as_json: bool, **settings: Any
) -> None:
    """Look at TEXT..., files or addresses, before you train on it.

    Size and language, characters and words, what is said twice, who speaks in a play, how many
    tokens it comes to under each tokenizer, and what a model reads first, token by token, with a
    word on what that means for a model. Nothing is trained.
    """
    from tuillm.store.registry import shape_of
    from tuillm.text_report.page_file import page_target, write_page

    wanted = typed(settings | {"corpus": texts, "init_from": init_from})
    config = build_train(wanted, {}, shape_of)
    target = None if page is None else page_target(page, texts)
    from tuillm.text import read_corpus
    from tuillm.text.read_options import ReadOptions
    from tuillm.text.statistics.exploration import explore
    from tuillm.text.stdin_pipes import keep_pipes

    with ProgressLine() as tick:
        sources = keep_pipes(config.corpus, lambda line: say(line, aside=True))
        corpus = read_corpus(sources, options=ReadOptions.of(config), tick=tick)
        exploration = explore(corpus, tick, config)
    if as_json:
        print_json(exploration.as_json())
    if target is not None:
        write_page(target, exploration)
        say(f"wrote {target}", aside=as_json)
    elif not as_json:
        from tuillm.cli.explore_output import show_exploration

        show_exploration(exploration)

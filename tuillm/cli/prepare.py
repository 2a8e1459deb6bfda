"""`tuillm prepare`: reads and encodes a corpus ahead of its training, and says what was found."""

import time
from typing import Any

import click

from tuillm.cli.options import GroupedCommand, setting_options, typed
from tuillm.cli.output import ProgressLine, print_facts, print_json, say
from tuillm.config import TrainConfig, build_train, settings_of
from tuillm.units import count, duration, size

# a preset may hold out nothing, the seed chooses documents
_ALSO = ("preset", "seed")
_LEFT_OUT = tuple(
    each.name
    for each in settings_of(TrainConfig)
    if each.name in ("corpus", "name") or (each.group != "text" and each.name not in _ALSO)
)


@click.command("prepare", cls=GroupedCommand)
@click.argument("corpus", nargs=-1, required=True, metavar="TEXT...")
@click.option("--from", "init_from", metavar="MODEL", help="Encode with this model's tokenizer.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@setting_options(TrainConfig, leave_out=_LEFT_OUT)
def prepare_command(
    corpus: tuple[str, ...], init_from: str | None, as_json: bool, **settings: Any
) -> None:
    """Read and encode TEXT... now, as `tuillm train` would, and start nothing.

    What comes of it lies in the cache, under a name that depends on the contents alone: a training
    with the same settings finds it there, also when the folder was copied from another machine.
    """
    from tuillm.store.registry import find_model, shape_of
    from tuillm.text.corpus import read_corpus
    from tuillm.text.read_options import ReadOptions
    from tuillm.text.stdin_pipes import keep_pipes
    from tuillm.text.tokenizer_files import load_tokenizer
    from tuillm.text.tokens import tokenize

    wanted = typed(settings | {"corpus": corpus, "init_from": init_from})
    config = build_train(wanted, {}, shape_of)
    config = config.model_copy(update={"corpus": keep_pipes(config.corpus)})
    began = time.monotonic()
    with ProgressLine() as tick:
        text = read_corpus(config.corpus, options=ReadOptions.of(config), tick=tick)
        tokenizer = load_tokenizer(find_model(init_from).path) if init_from else None
        files = tokenize(text, config, tokenizer, tick)
    held_out = len(files.val) if files.val is not files.train else 0
    notes = (*text.notes, *files.notes)
    facts: dict[str, object] = {
        "text": f"{size(text.bytes)}, {count(text.characters)} characters",
        "documents": f"{len(text.store):,}",
        "tokenizer": f"{files.tokenizer.kind}, {files.tokenizer.vocab_size:,} entries",
        "train tokens": f"{len(files.train):,}",
        "validation": f"{held_out:,} tokens",
        "bytes a token": f"{text.bytes / max(files.total, 1):.2f}",
        "took": duration(time.monotonic() - began),
        "folder": str(files.folder),
    }
    if as_json:
        print_json(
            {
                "bytes": text.bytes,
                "characters": text.characters,
                "documents": len(text.store),
                "sha256": text.sha256,
                "tokenizer": files.tokenizer.kind,
                "vocab_size": files.tokenizer.vocab_size,
                "train_tokens": len(files.train),
                "val_tokens": held_out,
                "folder": str(files.folder),
                "notes": notes,
            }
        )
        return
    print_facts(facts)
    for note in notes:
        say(f"note: {note}")

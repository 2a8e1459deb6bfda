"""`tuillm import | export`: models that come in and go out."""

import shlex

import click

from tuillm.cli.output import say
from tuillm.store.export_folder import export_model
from tuillm.units import count
from tuillm.user_paths import user_path


@click.command("import")
@click.argument("source", metavar="PATH")
@click.option("--name", metavar="NAME", help="Its name here; by default that of the folder.")
@click.option("--replace", is_flag=True, help="Put it in the place of a model of that name.")
@click.option(
    "--corpus",
    metavar="TEXT",
    help="The text a model of characters was trained on: its vocabulary.",
)
@click.option(
    "--tokenizer",
    metavar="gpt2|FOLDER",
    help="GPT-2's vocabulary, or a folder or meta.pkl with another one.",
)
def import_command(
    source: str, name: str | None, replace: bool, corpus: str | None, tokenizer: str | None
) -> None:
    """Bring a model in from PATH and check it on the way.

    PATH is a folder in Hugging Face's layout, a .safetensors file with its config.json beside
    it, a .gguf file, or the ckpt.pt of nanoGPT. Nothing in it is ever run.
    """
    from tuillm.convert.import_model import import_model

    found = import_model(source, name, replace=replace, corpus=corpus, tokenizer=tokenizer)
    config = found.config
    say(
        f"imported {source} as {found.name}: {count(found.parameters)} parameters, "
        f"context {config.block_size:,}, {found.tokenizer.kind} vocabulary of "
        f"{config.vocab_size:,}"
    )
    if found.padding:
        say(f"{found.padding} rows that stood for no token were left out")
    for note in found.notes:
        say(note)
    say(f"tuillm chat {found.name}, or compare it with transformers: tuillm verify {found.name}")


@click.command("export")
@click.argument("name")
@click.argument("folder", metavar="DIR")
@click.option(
    "--to",
    default="hf",
    metavar="FORMAT",
    help="hf (the folder and a model card), gguf (a file for llama.cpp) or ollama "
    "(that file and a Modelfile).  [default: hf]",
)
@click.option(
    "--dtype", metavar="TYPE", help="f32, f16, bf16 or q8_0, for gguf and ollama.  [default: f32]"
)
def export_command(name: str, folder: str, to: str, dtype: str | None) -> None:
    """Copy the model NAME out, to DIR.

    As hf and ollama DIR is a new folder; as gguf the file NAME.gguf appears in it, or DIR is the
    file where it ends in .gguf.
    """
    target = user_path(folder)
    if to == "hf" and dtype is None:  # the folder as it is needs no torch
        export_model(name, target)
        say(f"exported {name} to {target}")
        return
    from tuillm.convert.export_model import export

    done = export(name, target, to, dtype)
    say(f"exported {name} to {done.path}")
    for note in done.notes:
        say(note)
    if to == "ollama":
        say(f"ollama create {done.name} -f {shlex.quote(str(done.path / 'Modelfile'))}")

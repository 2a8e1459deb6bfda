"""Takes an ended run up again, once its text has been looked at.

A run that goes on must learn the text it began with: ids would mean other words, and losses would
not compare. A checkpoint keeps the hash of that text, so it may have moved, and a changed one is
learned only when told to. Knows run folders and texts; loads no torch.
"""

import os

from tuillm.errors import TuillmError
from tuillm.store.files import read_json, recover_folder
from tuillm.store.registry import get_model
from tuillm.store.run_folder import Run
from tuillm.store.workers.launch import refuse_to_resume, resume_run
from tuillm.text.corpus import Corpus, read_corpus
from tuillm.text.read_options import ReadOptions
from tuillm.text.stdin_pipes import keep_pipes
from tuillm.urls import is_remote, public_url, stored_url
from tuillm.user_paths import user_path

CHANGED = "the text has changed: the tokenizer stays, and losses do not compare with earlier ones"


def resume(
    run: Run,
    *,
    extend: int = 0,
    corpus: tuple[str, ...] = (),
    changed_text: bool = False,
    nproc: int | None = None,
    queue: bool = False,
) -> int:
    """Start a worker that takes an ended run up again; return the step it goes on from.

    Its text is read first: where it was, or where `corpus` says it is now, which the run remembers.
    With `changed_text` it may be another one. `extend`, `nproc` and `queue` are as in
    `launch.resume_run`.
    Raises TuillmError when the run cannot go on, or when its text is not there or has changed.
    """
    refuse_to_resume(run, extend)
    recover_folder(run.last)
    config, verb = run.config, f"extend {run.id} {extend}" if extend else f"resume {run.id}"
    corpus = keep_pipes(corpus)
    moved = tuple(
        stored_url(each) if is_remote(each) else os.path.abspath(user_path(each)) for each in corpus
    )
    try:
        options = ReadOptions.of(config, run.last if run.checkpoint.exists() else None)
        text = read_corpus(corpus or config.corpus, options=options)
    except TuillmError as error:
        hint = error.hint if corpus else f"where it is now: tuillm runs {verb} --corpus PATH"
        raise TuillmError(f"the text of {run.id!r} cannot be read: {error.message}", hint) from None
    if not changed_text:
        _refuse_another(run, text, verb, corpus)
    if corpus:
        run.move_corpus(moved)
    return resume_run(run, extend=extend, changed_text=changed_text, nproc=nproc, queue=queue)


def text_of(run: Run) -> str:
    """Return the hash of the text that a run's checkpoint has learned, or "" if nobody knows."""
    checkpoint = run.checkpoint
    known = read_json(checkpoint).get("corpus_sha256") if checkpoint.exists() else ""
    if known is None and (name := run.status().model):  # older checkpoints keep none
        try:
            card = get_model(name).card
        except TuillmError:
            return ""
        known = card.corpus_sha256 if card.run == run.id else ""
    return str(known or "")


def _refuse_another(run: Run, text: Corpus, verb: str, corpus: tuple[str, ...]) -> None:
    """Raise TuillmError for a text that is not the one of the run's checkpoint."""
    if text_of(run) in ("", text.sha256):
        return
    if corpus:
        named = " ".join(f"--corpus {public_url(each)}" for each in corpus)
        raise TuillmError(
            f"{text.label} is not the text that {run.id!r} began with",
            "to learn it all the same, with the same tokenizer and losses measured anew: "
            f"tuillm runs {verb} {named} --changed-text",
        )
    raise TuillmError(
        f"{text.label} has changed since {run.id!r} began",
        f"the text as it was: tuillm runs {verb} --corpus PATH; to learn the changed one, with the "
        f"same tokenizer and losses measured anew: tuillm runs {verb} --changed-text",
    )

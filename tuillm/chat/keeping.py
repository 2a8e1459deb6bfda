"""The commands that keep conversations: list, load, save, export."""

from pathlib import Path

from tuillm.chat.chat import Chat
from tuillm.chat.export import export_json, export_markdown
from tuillm.errors import UsageError
from tuillm.store.files import write_text
from tuillm.store.models import find_model
from tuillm.store.sessions import SessionHead, list_sessions, load_session
from tuillm.units import age

_SHOWN = 20


def sessions(chat: Chat, rest: str) -> None:
    """`/sessions`: the conversations with this model; `/sessions all` with every model."""
    found = list_sessions(None if rest == "all" else chat.model.name)
    if not found:
        chat.screen.note("no conversation was kept yet")
        return
    rows = [(head.id, age(head.updated), head.problem or head.title) for head in found[:_SHOWN]]
    chat.screen.table(rows)
    more = f"; {len(found) - _SHOWN} older ones are not shown" if len(found) > _SHOWN else ""
    chat.screen.note(f"/load ID goes on with one{more}")


def load(chat: Chat, rest: str) -> None:
    """`/load ID`: go on with a conversation, with the model it was had with."""
    if not rest:
        raise UsageError("/load wants the id of a conversation", "/sessions shows them")
    take_up(chat, load_session(rest).head)


def take_up(chat: Chat, head: SessionHead) -> None:
    """Go on with a kept conversation; shows how it ended."""
    from tuillm.chat.saved import from_saved

    saved = load_session(head.id)
    if head.model != chat.model.name:
        chat.use_model(find_model(head.model))
    session, told = from_saved(saved, chat.sampler, chat.model)
    chat.use_session(session, saved.head)
    for line in told:
        chat.screen.say("warning", line)
    tail = session.text[-400:]
    chat.screen.note(f"{head.id}, {age(head.updated)}: {session.tree.title}")
    chat.screen.pieces([("class:reply", f"…{tail}" if len(session.text) > 400 else tail)])


def save(chat: Chat, rest: str) -> None:
    """`/save`: write the conversation down now."""
    head = chat.save()
    if head is None:
        raise UsageError("there is nothing to keep yet", "type something first")
    chat.screen.note(f"kept as {head.id}; go on with it: tuillm chat {chat.model.name} --continue")


def export(chat: Chat, rest: str) -> None:
    """`/export story.md` or `/export story.json`."""
    path = Path(rest).expanduser()
    if path.suffix not in (".md", ".json"):
        raise UsageError(f"/export wants a file that ends in .md or .json, not {rest!r}",
                         "as in /export story.md")
    if not chat.begun:
        raise UsageError("there is nothing to write yet", "type something first")
    if path.exists():
        raise UsageError(f"{path} is there already", "name another file, or remove it first")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}", "make it first, or name another")
    session, name = chat.session, chat.model.name
    if path.suffix == ".md":
        about = f"temperature {chat.config.temperature:g}, top_k {chat.config.top_k}"
        text = export_markdown(session.tree, name, about, session.mode.turns)
    else:
        text = export_json(session.tree, name, mode=session.mode.name,
                           settings=chat.config.model_dump(mode="json"))
    write_text(path, text)
    chat.screen.note(f"written to {path}")

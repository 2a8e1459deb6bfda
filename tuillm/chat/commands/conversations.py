"""The commands that keep conversations: list, load, save, delete, export."""

from typing import TYPE_CHECKING

from tuillm.chat.active_chat import Chat
from tuillm.chat.commands.roles import system_now
from tuillm.chat.conversation.export_text import export_json, export_markdown
from tuillm.chat.conversation.speaker_turns import speaker_turns
from tuillm.errors import UsageError
from tuillm.store.files import write_text
from tuillm.store.run_checkpoints import resolve_model
from tuillm.store.sessions import (
    SessionHead,
    check_session_name,
    find_session,
    list_sessions,
    load_session,
    remove_session,
)
from tuillm.units import age
from tuillm.user_paths import user_path

if TYPE_CHECKING:
    from tuillm.chat.conversation.session import Session

_SHOWN = 20
# of a conversation that is gone on with: characters of a turn, and turns, that are shown again
_TAIL, _LAST = 400, 4


def sessions(chat: Chat, rest: str) -> None:
    """`/sessions [all] [WORDS]`: the newest conversations; `/sessions more`: those behind."""
    words = rest.casefold().split()
    if words == ["more"]:
        found = chat.listed
    else:
        everywhere = words[:1] == ["all"]
        with chat.interrupts.stoppable():
            found = list_sessions(None if everywhere else chat.model.name)
        wanted = words[everywhere:]
        found = [
            head
            for head in found
            if all(word in f"{head.id} {head.label}".casefold() for word in wanted)
        ]
    if not found:
        of_these = "no other" if words == ["more"] else "no such" if words else "no"
        chat.screen.note(f"{of_these} conversation was kept{'' if words else ' yet'}")
        return
    shown, chat.listed = found[:_SHOWN], found[_SHOWN:]
    chat.screen.table([(head.id, age(head.updated), head.problem or head.label) for head in shown])
    more = f"; {len(chat.listed)} older ones: /sessions more" if chat.listed else ""
    chat.screen.note(f"/load ID goes on with one{more}")


def load(chat: Chat, rest: str) -> None:
    """`/load ID`: go on with a conversation, with the model it was had with."""
    if not rest:
        raise UsageError("/load wants the id or the name of a conversation", "/sessions shows them")
    take_up(chat, find_session(rest))


def take_up(chat: Chat, head: SessionHead) -> None:
    """Go on with a kept conversation; shows how it ended."""
    from tuillm.chat.conversation.serialize import from_saved

    with chat.interrupts.stoppable():
        saved = load_session(head.id)
    head, model = saved.head, chat.model
    if head.model != chat.model.name:
        chat.use_model(resolve_model(head.model))
    try:
        sampler = chat.sampler
        with chat.interrupts.stoppable():
            session, told = from_saved(saved, sampler, chat.model)
    except BaseException:  # the text of now goes on, with its own model
        if chat.model is not model:
            chat.use_model(model)
        raise
    chat.use_session(session, head)
    for line in told:
        chat.screen.say("warning", line)
    named = f'"{head.name}", ' if head.name else ""
    chat.screen.note(f"{named}{head.id}, {age(head.updated)}: {session.tree.title}")
    chat.screen.pieces(_ending(session))
    if text := system_now(chat):
        chat.screen.note(f"system text: {text}")


def _ending(session: "Session") -> list[tuple[str, str]]:
    """The end of a conversation as pieces: of turns the last ones, each on lines of its own."""
    if not session.mode.turns:
        tail = session.text[-_TAIL:]
        return [("class:reply", f"…{tail}" if len(session.text) > _TAIL else tail)]
    pieces: list[tuple[str, str]] = []
    path = session.tree.path(session.tree.head)
    turns = list(speaker_turns(node for node in path if node.who != "system"))
    for turn in turns[-_LAST:]:
        text = turn.text if len(turn.text) <= _TAIL else f"…{turn.text[-_TAIL:]}"
        pieces += [("", "\n")] if pieces else []
        pieces += [("class:prompt", "› ")] if turn.who == "you" else []
        pieces.append(("class:reply" if turn.who == "model" else "", text))
    return pieces


def save(chat: Chat, rest: str) -> None:
    """`/save`: write the conversation down now; `/save NAME` under that name."""
    if not chat.open or chat.session.tree.untouched:
        raise UsageError("there is nothing to keep yet", "type something first")
    name = check_session_name(rest, of=chat.head) if rest else ""
    if name:
        chat.name_it(name)
    head = chat.save()
    if head and name and head.name != name:  # another chat has the old one, and its name
        chat.name_it(name)
        head = chat.save()
    if head is None:
        return  # why was told
    which = f' "{head.name}"' if head.name else ""
    chat.screen.note(
        f"kept as {head.id}; go on with it: tuillm chat {chat.model.name} --continue{which}"
    )


def ask_to_delete(chat: Chat, rest: str) -> SessionHead:
    """`/delete ID`: say which one it is; the next line is to be its id or name again."""
    if not rest:
        raise UsageError(
            "/delete wants the id or the name of a conversation", "/sessions shows them"
        )
    head = find_session(rest)
    chat.screen.note(f"{head.id}, {age(head.updated)}: {head.problem or head.label}")
    chat.screen.say(
        "warning", f"to remove it for good type {head.name or head.id}; anything else leaves it"
    )
    return head


def delete(head: SessionHead, chat: Chat, line: str) -> None:
    """Remove a conversation when the line says its name or its id; the one of now ends."""
    if line.strip() not in filter(None, (head.id, head.name)):
        chat.screen.note(f"{head.id} stays")
        return
    remove_session(head.id)
    chat.listed = [other for other in chat.listed if other.id != head.id]
    ended = chat.head is not None and chat.head.id == head.id
    if ended:
        chat.begin_anew()
    chat.screen.note(f"{head.id} is gone" + ("; a new conversation begins" if ended else ""))


def recover(chat: Chat) -> None:
    """Bring back the conversations that a crash left unfinished, and say which."""
    from tuillm.store.recover_sessions import recover_sessions

    for head in recover_sessions():
        chat.screen.note(
            f"found again after a crash: {head.id}, {head.label}; /load {head.id} goes on with it"
        )


def export(chat: Chat, rest: str) -> None:
    """`/export story.md` or `/export story.json`."""
    if not rest.endswith((".md", ".json")):
        raise UsageError(
            f"/export wants a file that ends in .md or .json, not {rest!r}",
            "as in /export story.md",
        )
    path = user_path(rest)
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
        text = export_json(
            session.tree, name, mode=session.mode.name, settings=chat.config.model_dump(mode="json")
        )
    write_text(path, text)
    chat.screen.note(f"written to {path}")

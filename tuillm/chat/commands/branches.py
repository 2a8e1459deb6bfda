"""The commands that change what was said: other replies, other words, other branches."""

from tuillm.chat.active_chat import Chat
from tuillm.chat.commands.roles import system_now
from tuillm.chat.commands.slash_commands import number_of
from tuillm.chat.conversation.tree import first_words
from tuillm.errors import UsageError
from tuillm.units import span


def regen(chat: Chat, rest: str) -> None:
    """`/regen`: another reply; the old one stays as a branch."""
    _begun(chat)
    chat.stream(chat.session.regenerate())


def retry(chat: Chat, rest: str) -> None:
    """`/retry 3`: three replies, each a branch; Ctrl-C ends the one and those to come."""
    _begun(chat)
    count = _number(rest or "3", "/retry")
    for number, tokens in enumerate(chat.session.retry(count), 1):
        chat.screen.note(f"{number} of {count}")
        if chat.stream(tokens).stopped:
            break
    chat.screen.note("/branches lists them, /goto N goes on from one")


def undo(chat: Chat, rest: str) -> None:
    """`/undo`: back to before the last exchange."""
    tree = chat.session.tree
    system = tree.head_node is not None and tree.head_node.who == "system"
    taken = chat.session.undo()
    chat.keep_up()
    if system:
        chat.screen.note("took back the system text")
        return
    what = f'"{first_words(taken)}"' if taken else "the last reply"
    chat.screen.note(f"took back {what}; it stays as a branch")


def clear(chat: Chat, rest: str) -> None:
    """`/clear`: a new conversation; the old one is kept where conversations are."""
    kept = "; the one before is in /sessions" if chat.keep and chat.begun else ""
    chat.begin_anew()
    chat.screen.note(f"a new conversation{kept}")
    if text := system_now(chat):
        chat.screen.note(f"the system text stays: {text}")


def branches(chat: Chat, rest: str) -> None:
    """`/branches`: where the conversation went, the newest last."""
    found = chat.session.tree.branches() if _some(chat) else []
    if not found:
        raise UsageError("there are no branches yet", "/regen and /edit make some")
    rows = [
        (
            ("* " if branch.current else "  ") + str(branch.leaf),
            f"{branch.depth} texts",
            span(branch.age),
            branch.words,
        )
        for branch in found
    ]
    chat.screen.table(rows)
    chat.screen.note("* is where you are; /goto N goes on from there, /goto 0 from the start")


def goto(chat: Chat, rest: str) -> None:
    """`/goto 7`: go on from there."""
    number = number_of(rest)
    if number is None:
        raise UsageError(f"/goto wants a number, not {rest!r}", "/branches shows them")
    chat.session.goto(number or None)
    chat.keep_up()
    node = chat.session.tree.head_node
    if node is None:
        chat.screen.note("at the start")
        return
    speaker = "you" if node.who == "you" else chat.model.name
    tail = " ".join(node.text.split())[-200:]
    what = "the system text" if node.who == "system" else f"what {speaker} said"
    chat.screen.note(f"behind {what}: …{tail}")


def last_words(chat: Chat, rest: str) -> str:
    """The text that /edit is to change: the person's last one, or with `reply` the model's."""
    if rest not in ("", "reply"):
        raise UsageError(f"/edit {rest!r} is unknown", "/edit, or /edit reply")
    who = "model" if rest else "you"
    tree = chat.session.tree
    path = tree.path(tree.head) if chat.begun else []
    found = next((node.text for node in reversed(path) if node.who == who), None)
    if found is None:
        raise UsageError("there is nothing to edit", "type something first")
    return found


def edit(what: str, chat: Chat, text: str) -> None:
    """Go on with the edited text in the place of the old one."""
    if not text:
        raise UsageError("no words were given", "/undo takes back what was said")
    session = chat.session
    chat.stream(session.edit_reply(text) if what else session.edit_mine(text))


def _begun(chat: Chat) -> None:
    if not chat.begun:
        raise UsageError("there is no reply to draw again", "type something first")


def _some(chat: Chat) -> bool:
    """Whether anything was said, be it taken back; does not wait for the model to find out."""
    return chat.open and not chat.session.tree.untouched


def _number(text: str, command: str) -> int:
    number = number_of(text)
    if number is None or not 1 <= number <= 99:
        raise UsageError(f"{command} wants a number, not {text!r}", "1 to 99")
    return number

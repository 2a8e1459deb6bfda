"""The commands on what a model reads beside what one types: system text, thoughts, and the whole.

Knows roles and the screen; what is read of them is the business of `conversation`.
"""

from tuillm.chat.active_chat import Chat
from tuillm.errors import UsageError
from tuillm.store.chat_template import refuse_system, takes_system
from tuillm.units import several

# the styles of what a model reads, by who it is from
_STYLES = {
    "": "class:note",
    "special": "class:success",
    "system": "class:warning",
    "user": "class:prompt",
    "assistant": "class:reply",
}
_NOTHING = "-"


def system(chat: Chat, rest: str) -> None:
    """`/system TEXT` tells the model how to answer, `/system` shows it, `/system -` takes it away.

    It holds from here on.
    """
    if not rest:
        _show_system(chat)
        return
    if rest != _NOTHING:
        refuse_system(chat.mode, chat.model.name)
    text = "" if rest == _NOTHING else rest
    session = chat.session
    session.set_system(text)
    chat.system = text
    chat.keep_up()
    what = f"system text: {text}" if text else "no system text"
    if chat.begun:
        how = "it stands" if text else "none stands"
        what += f"\nfrom here on {how} before the whole conversation; /undo takes it back"
    chat.screen.note(what)


def system_now(chat: Chat) -> str:
    """Return the system text that holds, ''."""
    if not chat.open:
        return chat.system
    return chat.session.tree.system(chat.session.tree.head)


def _show_system(chat: Chat) -> None:
    text = system_now(chat)
    if not text:
        chat.screen.note("there is no system text: /system TEXT says how the model is to answer")
        return
    chat.screen.note(f"system text: {text}")
    tell_unread_system(chat)


def tell_unread_system(chat: Chat) -> None:
    """Say that a system text is not read, where there is one and the model takes none."""
    if system_now(chat) and not takes_system(chat.mode):
        chat.screen.note(f"{chat.model.name} does not read the system text")


def template(chat: Chat, rest: str) -> None:
    """`/template`: all that the model reads, special tokens included, coloured by who it is from.

    Without colours each text is named.
    """
    from tuillm.chat.conversation.window_text import first_question, window_text

    if rest:
        raise UsageError("/template takes nothing", "it shows what the model reads")
    session = chat.session
    shown, about = window_text(session), ""
    if not chat.begun:
        shown, about = first_question(session, "what you type"), "a first question would be read so"
    if not shown:
        raise UsageError("nothing is read yet", "type something first")
    plain = chat.screen.colorless
    pieces = []
    for piece in shown:
        named = f"{piece.role}: " if plain and piece.role not in ("", "special") else ""
        text = f"\u2039{piece.text}\u203a" if piece.role == "special" else piece.text
        pieces += [("class:note", named)] if named else []
        pieces.append((_STYLES[piece.role], text))
    chat.screen.pieces(pieces)
    words = {"": "template", "special": "\u2039special token\u203a"}
    chat.screen.pieces([(style, words.get(role, role) + "  ") for role, style in _STYLES.items()])
    used, size = session.used
    chat.screen.note(about or f"{used:,} of {several(size, 'token')} of context")


def think(chat: Chat, rest: str) -> None:
    """`/think` shows what the model thought, or folds it; `/think on` and `/think off` ask for it.

    They are for models whose chat template knows of it.
    """
    if rest in ("on", "off"):
        jinja = chat.mode.jinja
        if jinja is None or "enable_thinking" not in jinja.source:
            raise UsageError(f"the chat template of {chat.model.name} cannot switch thinking")
        chat.set_thinking(rest == "on")
        chat.screen.note(f"thinking is {rest} for the replies to come")
        return
    if rest:
        raise UsageError(f"/think {rest} is unknown", "/think, /think on, or /think off")
    chat.shows_thoughts = not chat.shows_thoughts
    if not chat.shows_thoughts:
        chat.screen.note("thoughts are one line each from now on; /think shows them")
        return
    chat.screen.note("thoughts are shown from now on; /think folds them")
    if thought := _last_thought(chat):
        chat.screen.note(thought)


def _last_thought(chat: Chat) -> str:
    from tuillm.chat.conversation.thoughts import split_thoughts

    path = chat.session.tree.path(chat.session.tree.head) if chat.begun else []
    texts: list[str] = []
    for node in reversed(path):
        if node.who == "you" and texts:
            break
        if node.who == "model":
            texts.append(node.text)
    inside = chat.begun and chat.session.thinking_at(None)
    return split_thoughts("".join(reversed(texts)), inside)[0]

"""A conversation as a page for people (Markdown) or as data (JSON): the branch of the head.

Knows trees; what acts on a terminal is left out of the page and escaped in the data.
"""

import re

from tuillm.chat.conversation.speaker_turns import speaker_turns
from tuillm.chat.conversation.tree import Node, Tree
from tuillm.errors import printable
from tuillm.formats.json_text import JsonObject, shown_json

# what Markdown would take for a mark; at the beginning of a line a few more
_MARKS = re.compile(r"([\\`*_<>\[\]#|~])|^(\s*)([-+=]|\d+[.)])(?=\s)", re.M)


def export_markdown(tree: Tree, model: str, about: str = "", turns: bool = False) -> str:
    """Return the conversation as Markdown, with the person's words in bold.

    `turns` sets each text under its speaker, what was thought as a quotation before what was said;
    else it is one text that goes on. `about` is a line that stands below the title.
    """
    path = tree.path(tree.head)
    head = f"# {_plain(tree.title) or 'An empty page'}\n\n*{_plain(model)}*"
    head += f" · {_plain(about)}" if about else ""
    body = _turns(path, model) if turns else _lines("".join(map(_running, path)))
    return f"{head}\n\n{body.strip(chr(10))}\n"


def export_json(tree: Tree, model: str, **about: object) -> str:
    """Return the conversation as a JSON object: `model`, `about`, its `turns`, and the whole tree.

    A turn has who, role, text and what is known of its tokens; the tree is what from_json reads.
    """
    turns = [_turn(node) for node in tree.path(tree.head)]
    whole = {"model": model, **about, "turns": turns, "tree": tree.to_json()}
    return shown_json(whole, indent=1) + "\n"


def _turn(node: Node) -> JsonObject:
    known = {"who": node.who, "role": node.role, "text": node.text}
    if node.who != "model":
        return known
    tokens = [list(pair) for pair in zip(node.ids, node.logprobs, strict=False)]
    return known | {
        "finish": node.finish,
        "stopped": node.stopped,
        "seed": node.seed,
        "settings": node.settings,
        "tokens": tokens,
    }


def _turns(path: list[Node], model: str) -> str:
    speakers = {"you": "You", "model": _plain(model), "system": "System"}
    parts = []
    for turn in speaker_turns(path):
        if turn.thought:
            parts.append("> " + _lines(_plain(turn.thought)).replace("\n", "\n> "))
        nothing = turn.who == "system" and not turn.text  # a system text was taken away
        said = "none" if nothing else _lines(_plain(turn.text))
        parts.append(f"**{speakers[turn.who]}:** {said}")
    return "\n\n".join(parts)


def _running(node: Node) -> str:
    if node.who == "system":
        return ""
    text = _plain(node.rendered or node.text)
    if node.who == "you":  # bold cannot span lines, nor begin or end with a blank
        text = re.sub(r"^(\s*)(\S.*?)(\s*)$", r"\1**\2**\3", text, flags=re.M)
    return text


def _lines(text: str) -> str:
    """Keep line ends: two blanks before one that no empty line follows."""
    return re.sub(r"(?<=[^\n])[ \t]*\n(?=[^\n])", "  \n", text)


def _plain(text: str) -> str:
    return _MARKS.sub(
        lambda found: f"\\{found[1]}" if found[1] else f"{found[2]}{found[3][:-1]}\\{found[3][-1]}",
        printable(text),
    )

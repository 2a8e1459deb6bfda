"""What a model reads of a conversation that was led with another one: by its own chat template.

Knows trees, modes and samplers; draws nothing.
"""

from typing import TYPE_CHECKING

from tuillm.chat.compare.comparison import OwnPrompt
from tuillm.chat.conversation.serialize import encode_anew
from tuillm.chat.conversation.session import Session
from tuillm.chat.conversation.tree import Node, Tree
from tuillm.config import SamplingConfig
from tuillm.store.chat_template import ChatMode

if TYPE_CHECKING:
    from tuillm.generation import Sampler


def conversation_prompt(
    tree: Tree,
    sampler: "Sampler",
    mode: ChatMode,
    config: SamplingConfig,
    *,
    tokenizer: str = "",
    thinking: bool | None = None,
) -> OwnPrompt:
    """Return what a model reads of a tree up to its head, to take its turn in a mode that has them.

    The ids of the tree are those of the tokenizer with that SHA-256; it stays as it is. `thinking`
    is what a template is told of it. Raises TuillmError where one refuses the conversation.
    """
    stops = tuple(dict.fromkeys(config.stop + mode.stop))
    path = tree.path(tree.head)
    if mode.jinja is None:
        text, last = _transcript(path, mode), path[-1] if path else None
        # as in a chat: what the person wrote last may be a half word
        heal = config.heal and last is not None and last.who == "you"
        heal = heal and text.endswith((last.text if last else "", " "))
        return OwnPrompt(text, config.model_copy(update={"stop": stops, "heal": heal}))
    config = config.model_copy(update={"stop": stops, "heal": False})
    own = Tree.from_json(tree.to_json())
    if sampler.tokenizer.sha256 != tokenizer:
        encode_anew(own, sampler.tokenizer)
    session = Session(sampler, config, mode, own)
    if session.dialogue is not None:
        session.dialogue.thinking = thinking
    return OwnPrompt(session.window, config)


def question_tree(question: str, system: str) -> Tree:
    """Return a conversation that begins with a question, behind a system text if there is one."""
    tree = Tree()
    if system:
        tree.append(Node("system", None, system))
    tree.append(Node("you", tree.head, question))
    return tree


def _transcript(path: list[Node], mode: ChatMode) -> str:
    text = ""
    for node in path:
        if node.who == "you":
            text += mode.apply(node.text, not text or text.endswith("\n"))
        elif node.who == "model":
            text += node.text
    return text

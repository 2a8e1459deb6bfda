"""The commands that look inside: how sure the model was, what else it had in mind, what it knows
by heart, and what another model makes of the same text.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tuillm.chat.active_chat import Chat
from tuillm.chat.commands.roles import system_now
from tuillm.chat.commands.slash_commands import number_of
from tuillm.chat.model_loader import Loader
from tuillm.config.sampling_config import DEFAULT_PROMPT
from tuillm.errors import UsageError
from tuillm.store.chat_template import choose_mode, takes_system
from tuillm.store.run_checkpoints import resolve_model
from tuillm.store.usage import using

if TYPE_CHECKING:
    from tuillm.chat.compare.comparison import OwnPrompt
    from tuillm.chat.conversation.tree import Node, Tree
    from tuillm.generation import Sampler
    from tuillm.generation.scoring import Alternative, TokenScore
    from tuillm.store.registry import Model

# from how many bits of surprise on a token is shown in a colour: p below 1/2, 1/10, 1/100, 1/1000
_LEVELS = (
    (1.0, "class:success"),
    (3.32, "class:warning"),
    (6.64, "class:error"),
    (9.97, "class:error bold"),
)
_MARKED = 3.32
_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_LISTED = 8
_BEFORE = 60
_RIVALS = 10


def why(chat: Chat, rest: str) -> None:
    """`/why`: the reply by surprise; `/why 12`: the rivals of token 12; `/why 12 3`: take one."""
    numbers = [number for word in rest.split() if (number := number_of(word)) is not None]
    if len(numbers) > 2 or len(numbers) < len(rest.split()):
        raise UsageError(f"/why {rest} is unknown", "/why, /why TOKEN, or /why TOKEN RIVAL")
    node, scores = _reply_scores(chat)
    if not numbers:
        _show_surprise(chat, scores)
        chat.screen.note("the least expected:")
        rare = sorted(range(len(scores)), key=lambda index: scores[index].logprob)[:_LISTED]
        chat.screen.table([_listed(index, scores[index]) for index in sorted(rare)])
        chat.screen.note(f"/why N shows what it had in mind at token N, 0 to {len(scores) - 1}")
        return
    index = numbers[0]
    if index >= len(scores):
        raise UsageError(f"the reply has no token {index}", f"0 to {len(scores) - 1}")
    rivals = _rivals(chat, node, index)
    if len(numbers) == 1:
        _show_rivals(chat, scores, index, rivals)
        return
    choice = numbers[1]
    if not 1 <= choice <= len(rivals):
        raise UsageError(f"there is no rival {choice}", f"1 to {len(rivals)}")
    chat.stream(chat.session.reroll(index, rivals[choice - 1].id), known=index + 1)


def score(chat: Chat, rest: str) -> None:
    """`/score TEXT`: bits per byte of any text, and how likely each token was."""
    if not rest:
        raise UsageError("/score wants a text", "as in /score Once upon a time")
    from tuillm.generation.scoring import score as score_ids
    from tuillm.generation.scoring import summarise
    from tuillm.text.tokens import left_out_note

    sampler = chat.sampler
    start = sampler.start or [0]  # a vocabulary of few characters may have no line end
    with chat.interrupts.stoppable():
        scores = score_ids(sampler, start + sampler.tokenizer.encode(rest), start=len(start))
    lacking, left_out = sampler.tokenizer.left_out(rest)
    summary = summarise(scores, left_out)
    _show_surprise(chat, scores)
    chat.screen.note(
        f"{summary.bits_per_byte:.3f} bits/byte, {summary.nats_per_token:.3f} "
        f"nats/token, perplexity {summary.perplexity:,.1f}, {summary.tokens:,} tokens"
    )
    if lacking:
        chat.screen.note(left_out_note(lacking))


def book(chat: Chat, rest: str) -> None:
    """`/book`: what of the last reply stands word for word in the text the model learned."""
    from tuillm.text.training_text import corpus_of
    from tuillm.text.verbatim import find_verbatim

    reply = _last_reply(chat).text
    with chat.interrupts.stoppable():
        origin = corpus_of(chat.model)
        found = find_verbatim(reply, origin.corpus.text[: origin.learned])
    if found.longest is None or found.location is None:
        chat.screen.note("nothing of it stands in the training text (20 characters or more)")
        return
    pieces, end = [], 0
    for span in found.spans:
        pieces += [
            ("", reply[end : span.start]),
            ("class:warning underline", f"‹{reply[span.start : span.end]}›"),
        ]
        end = span.end
    chat.screen.pieces([*pieces, ("", reply[end:])])
    location = found.location
    where = f"line {location.line:,} of {origin.corpus.label}, {location.portion:.0%} into it"
    chapter = f', "{location.heading.strip()}"' if location.heading else ""
    chat.screen.note(
        f"{found.share:.0%} of it stands word for word in the training text; the "
        f"longest piece has {len(found.passage.strip())} characters: {where}{chapter}"
    )


def compare(chat: Chat, rest: str) -> None:
    """`/compare OTHER`: both models on the same text and the same seed; in a chat each in its
    own chat template.
    """
    from tuillm.chat.compare.columns import show_comparison

    name, _, text = rest.partition(" ")
    if not name:
        raise UsageError("/compare wants the name of a model", "tuillm list shows them")
    other = resolve_model(name)
    tree = _compared_tree(chat, text.strip())
    with using(other.path, "compare"):
        chat.screen.note(f"loading {other.name}")
        models = [(chat.model, chat.sampler)]
        models.append((other, Loader(other, *chat.device_dtype).sampler(chat.interrupts.check)))
        prompts = _own_prompts(chat, models, tree) if chat.mode.turns else ()
        show_comparison(
            models,
            _prompt(chat, text.strip(), tree),
            chat.config,
            prompts=prompts,
            input=chat.screen.input,
            interrupts=chat.interrupts,
        )


def _compared_tree(chat: Chat, text: str) -> "Tree":
    """The conversation that both models go on with: to its last question, or one that begins."""
    from tuillm.chat.compare.conversation_prompt import question_tree
    from tuillm.chat.conversation.tree import Node, Tree

    if text:
        return question_tree(text, system_now(chat) if chat.mode.turns else "")
    if not chat.begun:
        raise UsageError("there is nothing to compare on", "/compare MODEL TEXT")
    tree = Tree.from_json(chat.session.tree.to_json())
    node, system = tree.spoken(tree.head), tree.system(tree.head)
    if node and node.who == "model":
        node = tree.spoken(node.parent)
    if chat.mode.turns:  # a reply may go on with another
        while node and node.who == "model" and node.finish != "written":
            node = tree.spoken(node.parent)
    tree.goto(node.id if node else None)
    if tree.system(tree.head) != system:
        tree.append(Node("system", tree.head, system))
    return tree


def _prompt(chat: Chat, text: str, tree: "Tree") -> str:
    """What is shown of a comparison: the text, the last question, or all that is gone on with."""
    if text:
        return text
    if chat.mode.turns:
        said = [node.text for node in tree.path(tree.head) if node.who == "you"]
        return said[-1] if said else ""
    ids = tree.ids(tree.head)
    return chat.sampler.tokenizer.decode(ids) if ids else DEFAULT_PROMPT


def _own_prompts(
    chat: Chat, models: "Sequence[tuple[Model, Sampler]]", tree: "Tree"
) -> "list[OwnPrompt]":
    """What each model reads of a conversation; a line for each that does not read all of it."""
    from tuillm.chat.compare.conversation_prompt import conversation_prompt

    prompts, known = [], chat.session.tokenizer_id
    for model, sampler in models:
        mode = chat.mode if model is chat.model else choose_mode("chat", model)
        if mode.problem:
            chat.screen.note(f"{model.name}: its chat template is not used: {mode.problem}")
        if tree.system(tree.head) and not takes_system(mode):
            chat.screen.note(f"{model.name} does not read the system text")
        prompts.append(
            conversation_prompt(
                tree, sampler, mode, chat.config, tokenizer=known, thinking=chat.thinking
            )
        )
    return prompts


def _last_reply(chat: Chat) -> "Node":
    node = chat.session.tree.head_node if chat.begun else None
    if node is None or node.who != "model":
        raise UsageError("there is no reply to look into", "type something first")
    return node


def _reply_scores(chat: Chat) -> "tuple[Node, list[TokenScore]]":
    """The last reply, and how likely each of its tokens was to the model."""
    from tuillm.generation.scoring import score as score_ids

    session, node, scores = chat.session, _last_reply(chat), []
    with chat.interrupts.stoppable():
        for first, end in session.parts_of(node):
            before = session.ids[: len(session.ids) - len(node.ids)]
            if session.dialogue is not None:
                before = session.read_for(node, first)
            scores += score_ids(
                chat.sampler,
                [*before, *node.ids[first:end]],
                start=max(len(before), 1),
                n_keep=chat.config.n_keep,
            )
    return node, scores


def _rivals(chat: Chat, node: "Node", index: int) -> "Sequence[Alternative]":
    from tuillm.generation.scoring import alternatives

    session = chat.session
    before = session.ids[: len(session.ids) - len(node.ids) + index]
    if session.dialogue is not None:
        before = session.read_for(node, index)
    ids = [*before, *node.ids[index:]]
    with chat.interrupts.stoppable():
        return alternatives(chat.sampler, ids, max(len(before), 1), _RIVALS, chat.config.n_keep)


def _show_rivals(
    chat: Chat, scores: "Sequence[TokenScore]", index: int, rivals: "Sequence[Alternative]"
) -> None:
    """The token with the words before it, and what else could have stood there."""
    before = "".join(token.text for token in scores[:index])[-_BEFORE:]
    chat.screen.pieces(
        [
            ("class:note", " ".join(before.split()) + "‹"),
            ("class:warning", scores[index].label),
            ("class:note", "›"),
        ]
    )
    rows = [
        (
            str(rank),
            f"{rival.probability:7.2%}",
            _quoted(rival.text) + ("  ← chosen" if rival.actual else ""),
        )
        for rank, rival in enumerate(rivals, 1)
    ]
    chat.screen.table(rows)
    chat.screen.note(f"/why {index} K puts number K there and goes on")


def _show_surprise(chat: Chat, scores: "Sequence[TokenScore]") -> None:
    """The text in colours of surprise; without colour, too, the superscripts tell the bits."""
    pieces = []
    for token in scores:
        style = next((style for bits, style in reversed(_LEVELS) if token.bits >= bits), "")
        mark = f"{token.bits:.0f}".translate(_SUPERSCRIPTS) if token.bits >= _MARKED else ""
        body = token.text.rstrip()
        pieces.append((style, body + mark + token.text[len(body) :]))
    chat.screen.pieces(pieces)
    chat.screen.pieces(
        [
            ("class:note", "probability: plain >50%  "),
            (_LEVELS[0][1], ">10%  "),
            (_LEVELS[1][1], ">1%³  "),
            (_LEVELS[2][1], ">0.1%⁷  "),
            (_LEVELS[3][1], "less¹⁰  "),
            ("class:note", "raised: bits of surprise"),
        ]
    )


def _listed(index: int, token: "TokenScore") -> tuple[str, str, str]:
    import math

    return str(index), f"{math.exp(token.logprob):7.2%}", _quoted(token.label)


def _quoted(text: str) -> str:
    return f"'{text}'"

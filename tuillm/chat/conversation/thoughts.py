"""What a model thinks before it answers, `<think>...</think>`, told from the answer itself.

Knows texts only.
"""

from tuillm.formats.jinja_chat import THINK_CLOSE, THINK_OPEN


class ThoughtStream:
    """Takes a reply apart as it comes: what is thought, and what is said.

    A reply begins `inside` a thought where the chat template has opened it, or the text before did.
    Otherwise it thinks only where it begins with the mark.
    """

    def __init__(self, inside: bool = False) -> None:
        self.inside = inside
        self._held = ""
        self._begun = inside  # whether it is known that the reply thinks, or does not
        self._behind = False  # whether nothing was said yet behind a thought

    def feed(self, text: str) -> tuple[str, str]:
        """Return what some more text adds to what is thought, and to what is said."""
        self._held += text
        if not self._begun:
            start = self._held.lstrip()
            if start != THINK_OPEN and THINK_OPEN.startswith(start):
                return "", ""
            self._begun = True
            if start.startswith(THINK_OPEN):
                self.inside, self._held = True, start.removeprefix(THINK_OPEN)
        thought = self._thought() if self.inside else ""
        said = "" if self.inside else self._said()
        return thought, said

    def finish(self) -> tuple[str, str]:
        """Return what was held back, when the reply ends."""
        rest, self._held = self._held, ""
        return (rest, "") if self.inside else ("", rest)

    def _thought(self) -> str:
        thought, mark, rest = self._held.partition(THINK_CLOSE)
        if mark:
            self.inside, self._behind, self._held = False, True, rest
            return thought
        kept = next(size for size in range(len(THINK_CLOSE), -1, -1) if _ends(thought, size))
        self._held = thought[len(thought) - kept :]
        return thought[: len(thought) - kept]

    def _said(self) -> str:
        said, self._held = self._held, ""
        if self._behind:
            said = said.lstrip("\n")
            self._behind = not said
        return said


def split_thoughts(text: str, inside: bool = False) -> tuple[str, str]:
    """Return what a reply thought, and what it said.

    Without the mark that opens a thought, one that closes it tells that there was one.
    """
    stream = ThoughtStream(inside or (THINK_CLOSE in text and THINK_OPEN not in text))
    parts = stream.feed(text), stream.finish()
    return "".join(thought for thought, _ in parts).strip(), "".join(said for _, said in parts)


def is_thinking(text: str) -> bool:
    """Whether a text, such as what a chat template writes before a reply, ends in a thought."""
    return text.rfind(THINK_OPEN) > text.rfind(THINK_CLOSE)


def _ends(text: str, size: int) -> bool:
    return text.endswith(THINK_CLOSE[:size])

"""The slash commands: their names, arguments and words of help, and how a line is read.

Knows words only: what a command does stands in the modules that `repl` gathers.
"""

from dataclasses import dataclass

from tuillm.errors import UsageError, did_you_mean

GROUPS = ("steer", "rewrite", "see inside", "keep", "the rest")


@dataclass(frozen=True)
class Command:
    """One command: what may follow it, what it does in a few words, and where /help lists it."""

    name: str
    arguments: str
    help: str
    group: str

    @property
    def usage(self) -> str:
        """The command as it is typed."""
        return f"/{self.name} {self.arguments}".rstrip()


COMMANDS = {command.name: command for command in (
    Command("set", "NAME VALUE", "change a setting, or: /set profile wild", "steer"),
    Command("show", "", "the settings, the profiles, and what the model is", "steer"),
    Command("profile", "save NAME | rm NAME", "keep how it speaks now, for this model", "steer"),
    Command("mode", "completion|chat", "go on with one text, or take turns", "steer"),
    Command("model", "NAME", "go on with another model", "steer"),
    Command("regen", "", "another reply in place of the last one", "rewrite"),
    Command("retry", "N", "N replies, one after another, each a branch", "rewrite"),
    Command("undo", "", "take back what you said last, and the reply", "rewrite"),
    Command("edit", "[reply]", "change your last text, or the model's, and go on", "rewrite"),
    Command("branches", "", "all ways the conversation went", "rewrite"),
    Command("goto", "N", "go on from place N of /branches; 0 is the start", "rewrite"),
    Command("clear", "", "forget the text and begin anew", "rewrite"),
    Command("why", "[N [K]]", "how sure it was; token N's rivals; take rival K", "see inside"),
    Command("score", "TEXT", "how likely any text is to the model", "see inside"),
    Command("book", "", "what of the reply stands in its training text", "see inside"),
    Command("compare", "MODEL [TEXT]", "another model on the same text and seed", "see inside"),
    Command("sessions", "", "the conversations that were kept", "keep"),
    Command("load", "ID", "go on with one of them", "keep"),
    Command("save", "", "keep this one now (it is kept after each reply)", "keep"),
    Command("export", "FILE.md|.json", "write the conversation to a file", "keep"),
    Command("theme", "NAME", "other colours", "the rest"),
    Command("vi", "", "vi keys on the prompt, or emacs keys again", "the rest"),
    Command("help", "", "this page", "the rest"),
    Command("bye", "", "leave (so does Ctrl-D)", "the rest"),
)}

KEYS = {
    "Enter": "send; on an empty line the model just goes on",
    "Alt-Enter": 'a new line; so does a text between """ and """',
    "Ctrl-G": "write in your editor",
    "Ctrl-R": "search what you typed before",
}


def parse(line: str) -> tuple[Command, str] | None:
    """Return the command of a line with what follows it, or None when the line is text.

    Text that begins with a slash is typed with two. Raises UsageError for an unknown command,
    naming the nearest.
    """
    if not line.startswith("/") or line.startswith("//"):
        return None
    name, _, rest = line[1:].strip().partition(" ")
    if name not in COMMANDS:
        hint = did_you_mean(name, COMMANDS, "/help lists all; // begins text with a slash")
        raise UsageError(f"there is no command /{name}", hint)
    return COMMANDS[name], rest.strip()


def text_of(line: str) -> str:
    """Return the text that a line stands for: without a doubled slash, without \"\"\" around it."""
    if line.startswith("//"):
        return line[1:]
    if line.startswith('"""'):
        return line[3:].removesuffix('"""').strip("\n")
    return line


def is_open(line: str) -> bool:
    """Whether a text that began with \"\"\" still waits for its end."""
    return line.startswith('"""') and (len(line) < 6 or not line.endswith('"""'))

"""The slash commands: their names, arguments and words of help, and how a line is read.

Knows words only: what a command does stands in the modules that `repl` gathers.
"""

from dataclasses import dataclass

from tuillm.config import SamplingConfig
from tuillm.config.suggestions import chat_pointer, meant_name
from tuillm.errors import UsageError, did_you_mean

_KEEP = "keep, and the rest"
GROUPS = ("steer", "rewrite", "see inside", _KEEP)


@dataclass(frozen=True)
class Command:
    """One command: what may follow it, and what it does in a few words and in all of them.

    The few are for lists and /help, where two columns of commands share a screen; `group` is where
    /help has it. All of them are for `/help NAME`.
    """

    name: str
    arguments: str
    brief: str
    help: str
    group: str

    @property
    def usage(self) -> str:
        """The command as it is typed."""
        return f"/{self.name} {self.arguments}".rstrip()


COMMANDS = {
    command.name: command
    for command in (
        Command(
            "set",
            "NAME VALUE",
            "change a setting",
            "As in /set temperature 0.7; several stop strings each in quotes. /set profile wild "
            "changes several at once, /set NAME tells about one.",
            "steer",
        ),
        Command(
            "show",
            "",
            "all the settings",
            "What the model is, the settings as they are now, and the profiles.",
            "steer",
        ),
        Command(
            "profile",
            "save NAME",
            "keep how it speaks",
            "Keeps the sampling settings of now for this model, under a name for /set profile. "
            "/profile rm NAME forgets them.",
            "steer",
        ),
        Command(
            "mode",
            "NAME",
            "one text, or turns",
            "/mode completion goes on with one text, /mode chat takes turns.",
            "steer",
        ),
        Command(
            "system",
            "TEXT",
            "how to answer",
            "A system text, for models with a chat template: /system Answer in one line. It holds "
            "from here on and stands before the whole conversation. /system shows it, /system - "
            "takes it away.",
            "steer",
        ),
        Command(
            "think",
            "[on|off]",
            "show thoughts",
            "Shows what the last reply thought before it answered, and what later ones think; "
            "again: one line each. /think off and /think on tell models whose chat template knows "
            "of it whether to think at all.",
            "steer",
        ),
        Command(
            "template",
            "",
            "what it reads",
            "All that the model has in view, as its chat template writes it, special tokens "
            "included, coloured by who it is from.",
            "see inside",
        ),
        Command(
            "model",
            "NAME",
            "another model",
            "The text stays as it is and another model goes on with it.",
            "steer",
        ),
        Command(
            "regen",
            "",
            "another reply",
            "Draws another reply in place of the last one, which stays as a branch.",
            "rewrite",
        ),
        Command(
            "retry",
            "N",
            "N other replies",
            "Draws N replies one after another, each a branch; Ctrl-C ends them all.",
            "rewrite",
        ),
        Command(
            "undo",
            "",
            "take back the last",
            "Takes back what you said last, and the reply. It stays as a branch.",
            "rewrite",
        ),
        Command(
            "edit",
            "[reply]",
            "other words there",
            "/edit lets you change your last text and go on from there, /edit reply the model's.",
            "rewrite",
        ),
        Command(
            "branches",
            "",
            "all ways it went",
            "Lists all ways the conversation went, the newest last.",
            "rewrite",
        ),
        Command(
            "goto",
            "N",
            "go on from one",
            "Goes on from entry N of /branches; /goto 0 is the start.",
            "rewrite",
        ),
        Command(
            "clear",
            "",
            "begin anew",
            "Begins a new conversation. The old one is kept: /sessions.",
            "rewrite",
        ),
        Command(
            "why",
            "[N [K]]",
            "how sure it was",
            "/why shows how surprising each token of the reply was, /why N what else could have "
            "stood at token N, and /why N K puts number K of those there and goes on.",
            "see inside",
        ),
        Command(
            "score",
            "TEXT",
            "how likely it is",
            "Bits per byte of any text to this model, and how surprising each token is.",
            "see inside",
        ),
        Command(
            "book",
            "",
            "what is by heart",
            "Marks what of the last reply stands word for word in the text the model learned, "
            "and says where.",
            "see inside",
        ),
        Command(
            "compare",
            "MODEL",
            "beside another",
            "Both models reply to the same text with the same seed, side by side. /compare MODEL "
            "TEXT takes another text.",
            "see inside",
        ),
        Command(
            "sessions",
            "",
            "kept conversations",
            "Lists the conversations with this model, the newest first; /sessions more lists the "
            "older ones. /sessions all is with every model. Any other words choose those whose "
            "name, first words or id have them all, as in /sessions all salt.",
            _KEEP,
        ),
        Command(
            "load",
            "ID",
            "go on with one",
            "Goes on with a conversation of /sessions, by its id or its name, with its model and "
            "settings.",
            _KEEP,
        ),
        Command(
            "save",
            "[NAME]",
            "keep, or name it",
            "Writes the conversation down now; that happens after each reply anyway, but not "
            "with --no-history. /save the salt road gives it that name, in the place of an older "
            "one; /load the salt road finds it again.",
            _KEEP,
        ),
        Command(
            "delete",
            "ID",
            "forget one",
            "Removes a conversation for good, by its id or its name, and asks for that once more "
            "before.",
            _KEEP,
        ),
        Command(
            "export",
            "FILE",
            "as .md or .json",
            "Writes the conversation to a file for people, as in /export story.md, or with all "
            "tokens and branches, as in /export story.json.",
            _KEEP,
        ),
        Command(
            "theme",
            "NAME",
            "other colours",
            "Other colours, in the dashboard too; they are kept.",
            _KEEP,
        ),
        Command(
            "vi", "", "vi keys, or emacs", "vi keys on the prompt, or emacs keys again.", _KEEP
        ),
        Command(
            "help", "[NAME]", "more about one", "All commands, or one of them in more words.", _KEEP
        ),
        Command("bye", "", "leave (or Ctrl-D)", "Leaves the chat; so does Ctrl-D.", _KEEP),
    )
}

# what other programs call it
_OTHER_NAMES = {
    "quit": "bye",
    "exit": "bye",
    "q": "bye",
    "?": "help",
    "h": "help",
    "reset": "clear",
    "new": "clear",
    "regenerate": "regen",
}

KEYS = {
    "Enter": "send; empty: go on",
    "Alt-Enter": 'new line (or """)',
    "Ctrl-G": "your editor",
    "Ctrl-R": "search your lines",
}


def parse(line: str) -> tuple[Command, str] | None:
    """Return the command of a line with what follows it, or None when the line is text.

    Text that begins with a slash is typed with two. Raises UsageError for an unknown command,
    naming the nearest.
    """
    if not line.startswith("/") or line.startswith("//"):
        return None
    name, _, rest = line[1:].strip().partition(" ")
    if "\n" in line and name not in COMMANDS:
        return None  # several lines that were pasted
    return command_of(name), rest.strip()


def command_of(name: str) -> Command:
    """Return the command of a name; raises UsageError for an unknown one, naming the nearest."""
    name = _OTHER_NAMES.get(name, name)
    if name not in COMMANDS:
        setting = meant_name(name, SamplingConfig.model_fields) if name else ""
        hint = chat_pointer(name) or (
            f"/set {setting} VALUE"
            if setting
            else did_you_mean(name, COMMANDS, "/help lists all; // begins text with a slash")
        )
        raise UsageError(f"there is no command /{name}", hint)
    return COMMANDS[name]


def number_of(word: str) -> int | None:
    """Return the whole number that a word spells in at most nine digits, or None."""
    return int(word) if word.isascii() and word.isdigit() and len(word) < 10 else None


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

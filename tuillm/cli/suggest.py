"""A click group that answers what it does not know: verbs and options of other programs, slips.

Knows the words of the settings and of the commands; parses nothing itself.
"""

import sys
from typing import Any

import click

from tuillm.errors import did_you_mean
from tuillm.formats.user_files import shown

# other programs' verbs that do exactly what one of ours does, by group
ALIASES = {"tuillm": {"run": "chat", "ls": "list", "ps": "runs"}, "runs": {"ls": "list"}}
_MODEL_ARGUMENTS = ("name", "names", "what", "run_id")


class NearestGroup(click.Group):
    """Takes underscores in options for dashes, and says what is meant where it cannot know it."""

    def make_context(self, *arguments: Any, **settings: Any) -> click.Context:
        """Let `--batch_size` be `--batch-size` here and in every command below."""
        settings.setdefault("token_normalize_func", _with_dashes)
        return super().make_context(*arguments, **settings)

    def main(self, *arguments: Any, **settings: Any) -> Any:
        """Run the command; raises click.UsageError with our words for what was typed wrongly."""
        typed = arguments[0] if arguments else settings.get("args")
        try:
            return super().main(*arguments, **settings)
        except click.UsageError as error:
            raise explained(error, list(sys.argv[1:] if typed is None else typed)) from None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command of a verb or an alias; raises click.UsageError for no verb."""
        known, group = self.list_commands(ctx), self.name or ""
        if args and args[0] not in known and not args[0].startswith("-"):
            args = [ALIASES.get(group, {}).get(args[0], args[0]), *args[1:]]
        if args and args[0] not in known and not args[0].startswith("-"):
            from tuillm.config.suggestions import command_pointer

            hint = command_pointer(args[0], group) or did_you_mean(
                args[0], known, f"{ctx.command_path} --help lists them"
            )
            raise click.UsageError(f"there is no command {shown(args[0])} ({hint})")
        return super().resolve_command(ctx, args)


def explained(error: click.UsageError, typed: list[str]) -> click.UsageError:
    """Return an error of click's with our words for an option that there is not."""
    from tuillm.config.suggestions import is_foreign, pointer

    ctx = error.ctx
    if ctx is None:
        return error
    # click takes -ngl for -n gl, or for -n -g -l, and complains of what follows
    word = next(
        (
            each
            for each in typed
            if each[:1] == "-" != each[1:2]
            and len(each) > 2
            and each.isascii()
            and each[1:].isalpha()
            and is_foreign(each)
        ),
        "",
    )
    if isinstance(error, click.NoSuchOption) or word:
        name = word or getattr(error, "option_name", "")
        hint = pointer(name, _options_of(ctx), _elsewhere())
        usual = f"{ctx.command_path} --help lists them"
        return click.UsageError(f"there is no option {shown(name)[1:-1]} ({hint or usual})", ctx)
    if "unexpected extra argument" in error.message and ctx.info_name in ("chat", "generate"):
        return click.UsageError(
            f"{error.message.rstrip('.')}; a text to continue goes to: "
            "tuillm generate NAME -p TEXT",
            ctx,
        )
    return error


def _with_dashes(token: str) -> str:
    return token.replace("_", "-")


def _options_of(ctx: click.Context) -> dict[str, str]:
    """How each option and argument of a command is written, by its name in our words."""
    found = {}
    for each in ctx.command.get_params(ctx):
        name = each.name or ""
        if isinstance(each, click.Option):
            found[name] = max(each.opts, key=len)
        elif name in _MODEL_ARGUMENTS:
            found["model"] = f"{each.make_metavar(ctx)} without an option: {ctx.command_path} NAME"
        elif name == "corpus":
            found[name] = f"TEXT without an option: {ctx.command_path} BOOK.txt"
    return found


def _elsewhere() -> dict[str, str]:
    """The options of other commands, with the command they belong to."""
    from tuillm.config import SamplingConfig, TrainConfig, settings_of

    of_training = {each.name: f"{each.flag} of tuillm train" for each in settings_of(TrainConfig)}
    of_replies = {
        each.name: f"{each.flag} of tuillm generate and tuillm chat"
        for each in settings_of(SamplingConfig)
    }
    return (
        of_training
        | of_replies
        | {
            "corpus": "TEXT of tuillm train TEXT",
            "prompt": "-p of tuillm generate",
            "model": "NAME, as in tuillm chat NAME",
            "num_samples": "--num-samples of tuillm generate",
            "stride": "--stride of tuillm eval",
            "seed": "--seed of tuillm train and tuillm generate",
            "echo": "--echo of tuillm generate",
            "config_file": "--config of tuillm train",
        }
    )

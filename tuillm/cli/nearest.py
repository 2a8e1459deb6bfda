"""A click group that names the nearest verb when it does not know the one typed."""

import click

from tuillm.errors import did_you_mean


class NearestGroup(click.Group):
    """Says 'did you mean' in the words that the rest of the program uses."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = self.list_commands(ctx)
        if args and args[0] not in known and not args[0].startswith("-"):
            hint = did_you_mean(args[0], known, f"{ctx.command_path} --help lists them")
            raise click.UsageError(f"there is no command {args[0]!r} ({hint})")
        return super().resolve_command(ctx, args)

"""What is typed at a terminal while nothing reads it: unseen, or dropped. Knows terminals."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def unechoed(descriptor: int) -> Iterator[None]:
    """Show nothing typed at the terminal of file number `descriptor`; whoever reads next gets it.

    Ctrl-C neither: it throws away nothing that was typed, nor what is still on its way to the
    screen, which a terminal does by itself.
    """
    try:
        import termios
    except ImportError:  # Windows shows nothing by itself
        yield
        return
    try:
        before = termios.tcgetattr(descriptor)
    except termios.error:  # it has gone
        yield
        return
    quiet = [*before]
    quiet[3] = quiet[3] & ~termios.ECHO | termios.NOFLSH
    try:
        termios.tcsetattr(descriptor, termios.TCSANOW, quiet)
        yield
    finally:
        with suppress(termios.error):
            termios.tcsetattr(descriptor, termios.TCSANOW, before)


def drop_typed(descriptor: int) -> None:
    """Throw away what was typed at the terminal of file number `descriptor` and not read yet."""
    try:
        import termios
    except ImportError:  # on Windows it waits nowhere
        return
    with suppress(termios.error):  # no terminal
        termios.tcflush(descriptor, termios.TCIFLUSH)

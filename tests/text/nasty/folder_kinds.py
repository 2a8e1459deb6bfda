"""Nasty folders: such without texts, links in circles, files nobody may read, pipes, devices.

Each function makes an input in an empty folder, by a random generator, and returns its path, or
what a person typed instead.
"""

import os
import socket

from text.nasty.byte_kinds import prose, put


def empty_folder(folder, rng):
    (folder / "a" / "b").mkdir(parents=True)
    return folder


def only_binaries(folder, rng):
    for number in range(9):
        put(
            folder,
            rng,
            rng.choice((b"\x89PNG", b"\xff\xd8\xff", b"\x7fELF", b"\0")) + rng.randbytes(900),
            f"{number}",
        )
    return folder


def links_in_a_circle(folder, rng):
    (folder / "up").symlink_to(folder)
    (folder / "one").symlink_to(folder / "two")
    (folder / "two").symlink_to(folder / "one")
    (folder / "lost.txt").symlink_to("/nowhere/at/all")
    (folder / "root").symlink_to("/")
    if rng.random() < 0.5:
        put(folder, rng, prose(rng, 3_000), "book.txt")
    return rng.choice((folder, folder / "one", folder / "up" / "up" / "up"))


def may_not_be_read(folder, rng):
    """For a session that is root's the server takes the rights of root away first."""
    closed = put(
        folder, rng, prose(rng, 3_000), rng.choice(("closed.txt", "closed.zip", "closed.csv"))
    )
    closed.chmod(0)
    inner = folder / "inner"
    inner.mkdir()
    put(inner, rng, prose(rng, 900), "book.txt")
    if rng.random() < 0.5:
        put(folder, rng, prose(rng, 3_000), "open.txt")
    inner.chmod(0)
    return rng.choice((folder, closed, inner, inner / "book.txt"))


def no_files(folder, rng):
    """A folder with a pipe nobody writes to, a socket, and links to devices."""
    os.mkfifo(folder / "pipe.txt")
    with socket.socket(socket.AF_UNIX) as made:
        here = os.getcwd()
        os.chdir(folder)
        made.bind("socket.txt")
        os.chdir(here)
    (folder / "zero.txt").symlink_to("/dev/zero")
    (folder / "tty.txt").symlink_to("/dev/tty")
    if rng.random() < 0.5:
        put(folder, rng, prose(rng, 3_000), "book.txt")
    return rng.choice((folder, folder, folder / "socket.txt", folder / "zero.txt"))


def odd_file_names(folder, rng):
    names = (
        b"caf\xe9.txt",
        b"\xff\xfe",
        b"line\nend.txt",
        b"\x1b[31m.txt",
        b"x" * 255,
        b" ",
        b"-rf",
        b"~",
        b"[a]*?.txt",
        b"'\"$(x)",
    )
    base = os.fsencode(folder)
    chosen = rng.sample(names, 4)
    for name in chosen:
        with open(os.path.join(base, name), "wb") as file:
            file.write(prose(rng, 900).encode())
    return rng.choice((folder, folder / os.fsdecode(chosen[0])))


def typed_wrongly(folder, rng):
    book = put(folder, rng, prose(rng, 3_000), "book.txt")
    typed: tuple[str, ...] = (
        "",
        " ",
        "\0",
        f"{book}\0",
        "\ud800.txt",
        "x" * 5_000,
        f"{folder}/bok.txt",
        f"{book}/",
        f"{book}/x",
    )
    typed += (
        "~nobody-here/x",
        "file:///etc/passwd",
        "/dev/null",
        "/dev/full",
        "/proc/self/mem",
        "\udcff\n\x1b[31m",
    )
    return rng.choice(typed)


def deep_folders(folder, rng):
    here = folder
    for _ in range(300):
        here = here / "dddddddd"
    os.makedirs(here)
    put(here, rng, prose(rng, 3_000), "book.txt")
    return folder


def thousands_of_files(folder, rng):
    for number in range(3_000):
        put(folder, rng, rng.choice((b"a word\n", b"", b"\0", b"\xff\xff")), f"{number}.txt")
    return folder


KINDS = {
    make: many
    for many, makers in (
        (2, (thousands_of_files, deep_folders, empty_folder, only_binaries)),
        (6, (links_in_a_circle, may_not_be_read, no_files, odd_file_names)),
        (10, (typed_wrongly,)),
    )
    for make in makers
}

"""What a person names leads to the same items in the same order, and what is no text is named."""

import io
import os
import subprocess
import tarfile
import threading
import zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tuillm.errors import TuillmError, UsageError
from tuillm.text.file_types import recognize
from tuillm.text.sources.find_items import find_items
from tuillm.text.sources.items import Skipped
from tuillm.text.sources.name_patterns import path_matcher
from tuillm.text.stdin_pipes import keep_pipes


@pytest.fixture
def tree(tmp_path):
    """A function that writes files, given by their paths, into a folder and returns it."""

    def tree(files, name="in"):
        for path, content in files.items():
            place = tmp_path / name / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path / name

    return tree


def names_in(folder, pattern=""):
    items, _ = find_items([str(folder)], pattern)
    return [item.name.removeprefix(f"{folder}/") for item in items]


def contents(items):
    found = []
    for item in items:
        with item.open() as stream:
            found.append(stream.read())
    return found


def test_files_come_in_the_order_they_are_named(tree):
    """Each is an item as it is, twice where it is named twice, whatever it holds."""
    folder = tree({"b.txt": "b\n", "a.txt": "a\n", "x": b"\x89PNG" + bytes(9), "empty": ""})
    named = [str(folder / name) for name in ("b.txt", "a.txt", "b.txt", "x", "empty")]
    items, skipped = find_items(named)
    assert [item.name for item in items] == named and skipped == []
    assert contents(items)[:3] == [b"b\n", b"a\n", b"b\n"]
    assert all(item.named for item in items) and [item.size for item in items][:2] == [2, 2]


def test_a_folder_is_read_by_name_and_to_its_depth(tree):
    """The order is that of the names, not of the disk; folders stand among the files."""
    files = {
        name: "text\n" for name in ("b.txt", "a/z.txt", "a/b/c.txt", "a.txt", "Z.txt", "ä.txt")
    }
    folder = tree(dict(reversed(files.items())))
    assert names_in(folder) == ["Z.txt", "a/b/c.txt", "a/z.txt", "a.txt", "b.txt", "ä.txt"]
    items, _ = find_items([f"{folder}/"])
    assert items[0].name == f"{folder}/Z.txt" and len(items) == 6
    assert not any(item.named for item in items)


def test_what_is_no_text_in_a_folder_is_named(tree, tmp_path):
    """Each file that is passed over is told with the reason, in the order of the names."""
    epub = io.BytesIO()
    with zipfile.ZipFile(epub, "w") as archive:
        archive.writestr("mimetype", "application/epub+zip")
    files = {
        ".git/config": "x\n",
        ".hidden": "x\n",
        "binary": bytes(range(256)),
        "book.epub": epub.getvalue(),
        "book.fb2": "<?xml version='1.0'?><FictionBook>",
        "data.csv": "a,b\n1,2\n",
        "data.jsonl": '{"text": "a"}\n{"text": "b"}\n',
        "data.parquet": b"PAR1" + bytes(20),
        "doc.rtf": r"{\rtf1 text}",
        "empty": "",
        "old.doc": b"\xd0\xcf\x11\xe0" + bytes(20),
        "page.html": "<!doctype html><html><p>text</p></html>",
        "paper.pdf": b"%PDF-1.7\n\0\1\2\3\4\5\6\7",
        "picture.jpg": b"\xff\xd8\xff\xe0" + bytes(20),
        "seven.7z": b"7z\xbc\xaf\x27\x1c" + bytes(20),
        "wide.txt": "wide".encode("utf-16-le"),
        "кои.txt": "Русский текст, как его писали раньше.\n".encode("koi8-r"),
    }
    folder = tree(files)
    os.mkfifo(folder / "pipe")
    items, skipped = find_items([str(folder)])
    kept = ("book.epub", "data.csv", "data.jsonl", "data.parquet", "page.html", "paper.pdf")
    assert [item.name for item in items] == [
        f"{folder}/{name}" for name in (*kept, "wide.txt", "кои.txt")
    ]
    assert [(one.name.removeprefix(f"{folder}/"), one.reason) for one in skipped] == [
        (".git", "hidden"),
        (".hidden", "hidden"),
        ("binary", "binary"),
        ("book.fb2", "an FB2 book"),
        ("doc.rtf", "an RTF document"),
        ("empty", "empty"),
        ("old.doc", "an old Word or Office document"),
        ("picture.jpg", "a JPEG picture"),
        ("pipe", "a pipe"),
        ("seven.7z", "a 7z archive"),
    ]
    items, _ = find_items([str(folder)], as_text=True)
    assert {"book.fb2", "doc.rtf"} < {os.path.basename(item.name) for item in items}


def test_links_are_followed_to_files_only(tree, tmp_path):
    """None leads in a circle or to another part of the disk."""
    folder = tree({"a.txt": "a\n", "sub/b.txt": "b\n"})
    outside = tree({"c.txt": "c\n"}, "outside")
    (folder / "file").symlink_to(outside / "c.txt")
    (folder / "folder").symlink_to(outside)
    (folder / "sub" / "circle").symlink_to(folder)
    (folder / "self").symlink_to(folder / "self")
    (folder / "gone").symlink_to(folder / "nowhere")
    items, skipped = find_items([str(folder)])
    assert contents(items) == [b"a\n", b"c\n", b"b\n"]
    assert {one.name.removeprefix(f"{folder}/"): one.reason for one in skipped} == {
        "folder": "a link to a folder",
        "gone": "a link that leads nowhere",
        "self": "a link that leads nowhere",
        "sub/circle": "a link to a folder",
    }
    link = tmp_path / "link"
    link.symlink_to(folder)
    assert len(find_items([str(link)])[0]) == 3


def test_a_folder_that_may_not_be_read(tree):
    """What is locked is told in a folder, and refused where it is named."""
    folder = tree({"a.txt": "a\n", "locked.txt": "b\n", "sub/c.txt": "c\n"})
    (folder / "locked.txt").chmod(0)
    (folder / "sub").chmod(0)
    try:
        if os.access(folder / "locked.txt", os.R_OK):
            pytest.skip("nothing is locked for root")
        items, skipped = find_items([str(folder)])
        assert contents(items) == [b"a\n"] and len(skipped) == 2
        assert {one.reason for one in skipped} <= {
            "Permission denied",
            "cannot be read: Permission denied",
        }
        with pytest.raises(TuillmError, match=r"cannot read .*locked\.txt: Permission denied"):
            find_items([str(folder / "locked.txt")])
    finally:
        (folder / "sub").chmod(0o700)


def test_names_of_any_bytes(tree):
    """Names that are not UTF-8, or act on a terminal, are read and shown harmlessly."""
    folder = tree({"a.txt": "a\n"})
    for name in (b"caf\xe9.txt", b"red\x1b[31m.txt", b"two\nlines.txt"):
        (folder / os.fsdecode(name)).write_text("text\n")
    assert names_in(folder) == ["a.txt", "caf\ufffd.txt", "red[31m.txt", "two lines.txt"]
    assert len(contents(find_items([str(folder)])[0])) == 4


def test_a_very_deep_folder(tmp_path):
    """As deep as the disk takes it, without recursion."""
    here = os.open(tmp_path, os.O_RDONLY)
    try:
        for _ in range(400):
            os.mkdir("d", dir_fd=here)
            below = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(os.open("a.txt", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    finally:
        os.close(here)
    folder = tmp_path / "d"
    try:
        with pytest.raises(TuillmError, match="holds no text.*1 empty"):
            find_items([str(folder)])
    finally:  # which Python itself cannot remove
        subprocess.run(["rm", "-rf", folder], check=True)


PATHS = ["a.txt", "b.md", "sub/c.txt", "sub/ch1.md", "sub/deep/ch2.md", "sub/deep/x.txt"]


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("", PATHS),
        ("*.txt", ["a.txt", "sub/c.txt", "sub/deep/x.txt"]),
        ("**/*.txt", ["a.txt", "sub/c.txt", "sub/deep/x.txt"]),
        ("**/ch*.md", ["sub/ch1.md", "sub/deep/ch2.md"]),
        ("./*/c*", ["sub/c.txt", "sub/ch1.md"]),
        ("sub/**", ["sub/c.txt", "sub/ch1.md", "sub/deep/ch2.md", "sub/deep/x.txt"]),
        ("**/deep/**/*", ["sub/deep/ch2.md", "sub/deep/x.txt"]),
        ("**", PATHS),
        ("sub/ch?.md", ["sub/ch1.md"]),
        ("[ab].*", ["a.txt", "b.md"]),
    ],
)
@pytest.mark.parametrize("kind", ["folder", "tar", "zip", "zip in a folder"])
def test_a_pattern_chooses_by_the_path_inside(tree, tmp_path, pattern, wanted, kind):
    """In folders and archives alike; an archive in a folder is looked into for the same paths."""
    folder = tree(dict.fromkeys(PATHS, "text\n"))
    place = folder
    if kind == "tar":
        place = tmp_path / "x.tar"
        with tarfile.open(place, "w") as archive:
            for path in PATHS:
                archive.add(folder / path, path)
    elif kind != "folder":
        place = tmp_path / "x.zip"
        with zipfile.ZipFile(place, "w") as archive:
            for path in PATHS:
                archive.write(folder / path, path)
    if kind == "zip in a folder":
        if "/" in pattern and not pattern.startswith("**/"):
            pytest.skip("anchored at the folder")
        outer = tmp_path / "outer"
        outer.mkdir()
        place.rename(outer / "x.zip")
        items, _ = find_items([str(outer)], pattern)
        assert [item.name for item in items] == [f"{outer}/x.zip/{path}" for path in wanted]
    else:
        assert names_in(place, pattern) == wanted


def test_a_pattern_for_an_archive_takes_all_of_it(tree, tmp_path):
    """`*.zip` and `*.gz` choose archives by their own names, too."""
    folder = tree({"a.txt": "a\n"})
    with zipfile.ZipFile(folder / "x.zip", "w") as archive:
        archive.writestr("b.txt", "b\n")
    assert names_in(folder, "*.zip") == ["x.zip/b.txt"]
    assert names_in(folder, "*.txt") == ["a.txt", "x.zip/b.txt"]


@pytest.mark.parametrize("pattern", ["/etc/*", "../*.txt", "~/x", "a/../b"])
def test_patterns_that_lead_out_are_refused(tree, pattern):
    """A pattern is for paths inside."""
    with pytest.raises(UsageError, match="is for paths inside a folder"):
        find_items([str(tree({"a.txt": "a\n"}))], pattern)


def test_a_hostile_pattern_takes_no_time():
    """Many `**` and `*` do not multiply."""
    matches = path_matcher("**/a*/" * 200 + "b")
    assert not matches("/".join(["a" * 20] * 500))
    assert not path_matcher("*a" * 200)("a" * 5_000 + "b")


@pytest.mark.parametrize(
    ("files", "pattern", "words"),
    [
        ({}, "", "holds no text"),
        (
            {"x": b"\0\1\2", "y": b"\0", "z": b""},
            "",
            r"holds no text \(passed over: 2 binary, 1 empty",
        ),
        ({"a.txt": "a\n"}, "*.md", r"holds no text that '\*\.md' is for"),
    ],
)
def test_a_folder_without_a_text_is_refused(tree, tmp_path, files, pattern, words):
    """With what was in it instead."""
    (tmp_path / "in").mkdir()
    with pytest.raises(TuillmError, match=words) as caught:
        find_items([str(tree(files) if files else tmp_path / "in")], pattern)
    assert "\n" not in str(caught.value)


def test_what_is_not_there_is_refused(tree):
    """A missing file with the name that was meant, and devices."""
    folder = tree({"moby.txt": "a\n"})
    with pytest.raises(TuillmError, match="does not exist.*did you mean 'moby.txt'"):
        find_items([str(folder / "mobi.txt")])
    with pytest.raises(TuillmError, match="is a device"):
        find_items(["/dev/null"])
    with pytest.raises(UsageError, match="left empty"):
        find_items([""])


def test_what_came_through_a_pipe_may_be_an_archive(tmp_path):
    """`cat books.zip | tuillm train -`, and text as ever."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("b.txt", "b\n")
    sources = []
    for name, content in (("zipped", out.getvalue()), ("plain", b"plain\n")):
        fifo = tmp_path / name
        os.mkfifo(fifo)
        writer = threading.Thread(target=fifo.write_bytes, args=(content,))
        writer.start()
        sources += keep_pipes((str(fifo),))
        writer.join(10)
    items, _ = find_items(sources)
    assert [item.name for item in items] == ["the pipe zipped/b.txt", "the pipe plain"]
    assert contents(items) == [b"b\n", b"plain\n"]


@pytest.fixture
def server(tree, monkeypatch):
    """The address of a loopback server of a folder."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        info = tarfile.TarInfo("c/d.txt")
        info.size = 2
        tar.addfile(info, io.BytesIO(b"d\n"))
    page = "<!doctype html><html><body>page</body></html>"
    folder = tree({"a.txt": "a\n", "b.tgz": archive.getvalue(), "page": page, "login.txt": page})

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder))

        def guess_type(self, path):
            return "text/plain; charset=koi8-r"

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join(10)


def test_addresses_are_items_too(server, tree):
    """With the server's charset, without secrets in the name, archives opened."""
    folder = tree({"local.txt": "local\n"}, "local")
    items, skipped = find_items([f"{server}/a.txt?key=S3CRET", str(folder), f"{server}/b.tgz"])
    assert [item.name for item in items] == [
        f"{server}/a.txt",
        f"{folder}/local.txt",
        f"{server}/b.tgz/c/d.txt",
    ]
    assert [item.charset for item in items] == ["koi8-r", "", ""] and skipped == []
    assert contents(items) == [b"a\n", b"local\n", b"d\n"]


def test_a_web_page_is_an_item_unless_something_else_was_asked_for(server):
    """An address that promises a text and gives a page wants a login, perhaps."""
    (item,) = find_items([f"{server}/page"])[0]
    assert b"page" in contents([item])[0]
    with pytest.raises(TuillmError, match=r"login\.txt answered with something that is a web page"):
        find_items([f"{server}/login.txt"])
    assert len(find_items([f"{server}/login.txt"], as_text=True)[0]) == 1


def test_how_far_it_is_is_told(tree):
    """From 0 to 1 over the sources."""
    folder = tree({f"{number}.txt": "text\n" for number in range(5)})
    told = []
    find_items([str(folder), str(folder)], "", lambda stage, share: told.append((stage, share)))
    assert {stage for stage, _ in told} == {"looking for texts"}
    shares = [share for _, share in told]
    assert shares == sorted(shares) and set(shares) == {0.0, 0.5, 1.0}


@pytest.mark.parametrize(
    "content", [b"%PDF-1.4", b"PAR1", b"<html>", b'{"a": 1}\n{"a": 2}\n', b'[{"a": 1}]']
)
def test_kinds_with_a_reader_are_kept(content):
    """The list of what is readable is that of the formats' own module."""
    assert recognize(content).readable


def test_nothing_is_lost_between_items_and_skipped(tree):
    """Every file of a folder is one or the other."""
    files = {f"{number}.bin": bytes([number]) * 50 for number in range(0, 256, 5)}
    items, skipped = find_items([str(tree(files))])
    assert len(items) + len(skipped) == len(files) and isinstance(skipped[0], Skipped)

"""Archives are read as the programs that wrote them would unpack them, and hostile ones refused.

The oracles are tarfile, zipfile and the commands tar, gzip, bzip2, xz and zstd.
"""

import bz2
import gzip
import io
import lzma
import multiprocessing
import os
import pickle
import random
import shutil
import struct
import subprocess
import sys
import tarfile
import threading
import time
import tracemalloc
import zipfile
import zlib

import pytest

from tuillm.errors import Interrupted, TuillmError
from tuillm.store.paths import cache_dir
from tuillm.text.sources import archives, compressed, tar_archive, zip_archive
from tuillm.text.sources.archives import DEPTH, archive_kind
from tuillm.text.sources.find_items import find_items
from tuillm.text.sources.open_item import seekable
from tuillm.text.sources.seekable import Spool

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TEXT = "Бір кітап — «book»\nсөз 白鲸 🐋\n".encode()
LONG_NAME = "/".join(["a folder with a long name " + "x" * 60] * 5) + "/the text.txt"
FILES = {
    "one.txt": TEXT,
    "sub/two.txt": b"second " * 30_000,
    "sub/deeper/three.md": b"third\n",
    LONG_NAME: b"far down\n",
    "имя.txt": b"a name in another script\n",
}
COMPRESS = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstd.compress,
}


def read_all(items):
    """The contents of items by their names, each opened twice."""
    contents = {}
    for item in items:
        with item.open() as stream:
            contents[item.name] = stream.read()
        with item.open() as stream:
            first = stream.read(5)
            assert first + stream.read() == contents[item.name]
        assert item.size in (None, len(contents[item.name]))
    return contents


def tar_of(files, form=tarfile.PAX_FORMAT, **special):
    """The bytes of a tar archive that Python wrote; `special` are members without content."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for name, (kind, link) in special.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            archive.addfile(info)
    return out.getvalue()


def zip_of(files, method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


@pytest.fixture
def put(tmp_path):
    """A function that writes bytes under a name and returns the path as a person types it."""

    def put(content, name):
        path = tmp_path / name
        path.write_bytes(content)
        return str(path)

    return put


def found_in(path):
    """The contents of an archive by the paths inside it, and what was skipped, with the reason."""
    items, skipped = find_items([path])
    inside = {name.removeprefix(f"{path}/"): text for name, text in read_all(items).items()}
    return inside, {one.name.removeprefix(f"{path}/"): one.reason for one in skipped}


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_archive_of_python(put, form, suffix):
    """Each format of tar in each compression, under a name that tells nothing."""
    files = dict(FILES)
    if form == tarfile.USTAR_FORMAT:
        del files[LONG_NAME]
        files["/".join(["d" * 50] * 3) + "/f.txt"] = b"in the prefix\n"
    path = put(COMPRESS[suffix](tar_of(files, form)), "archive")
    assert found_in(path) == (files, {})


@pytest.mark.parametrize("options", [["--format=gnu"], ["--format=posix"], ["-S"], ["--format=v7"]])
@pytest.mark.parametrize("compression", [[], ["-z"], ["-j"], ["-J"], ["--zstd"]])
def test_a_tar_archive_of_the_command(tmp_path, options, compression):
    """What `tar` writes of a folder is found, folders and all."""
    if not shutil.which("tar"):
        pytest.skip("there is no tar")
    files = {name: text for name, text in FILES.items() if "v7" not in options[0] or len(name) < 90}
    for name, content in files.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(content)
    path = str(tmp_path / "archive.tar")
    subprocess.run(
        ["tar", "-cf", path, *options, *compression, "-C", tmp_path / "in", "."], check=True
    )
    assert found_in(path) == (files, {})


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_a_zip_archive(put, method):
    """Each method of compression, in the order of the list."""
    path = put(zip_of(FILES, method), "books")
    inside, skipped = found_in(path)
    assert (inside, skipped) == (FILES, {}) and list(inside) == list(FILES)


@pytest.mark.parametrize("command", ["gzip", "bzip2", "xz", "zstd"])
def test_one_compressed_file_in_several_streams(put, command):
    """Streams one behind the other, as of `cat a.gz b.gz`, are one text."""
    if not shutil.which(command):
        pytest.skip(f"there is no {command}")
    parts = [TEXT * 20_000, b"", b"and on\n"]
    streams = [
        subprocess.run([command, "-c"], input=part, capture_output=True, check=True).stdout
        for part in parts
    ]
    end = {"gzip": ".gz", "bzip2": ".bz2", "xz": ".xz", "zstd": ".zst"}[command]
    path = put(b"".join(streams), f"book.txt{end}")
    (item,) = find_items([path])[0]
    assert item.name == f"{path}/book.txt" and item.named
    assert read_all([item]) == {item.name: b"".join(parts)}


def test_zstd_with_a_long_window(tmp_path):
    """Dumps are written with `zstd --long=31`, whose windows have 2 GB."""
    if not shutil.which("zstd"):
        pytest.skip("there is no zstd")
    path = tmp_path / "dump.jsonl"
    path.write_bytes(b'{"text": "a line"}\n' * 10_000)
    subprocess.run(["zstd", "-q", "--long=31", "--rm", path], check=True)
    (item,) = find_items([f"{path}.zst"])[0]
    assert read_all([item])[item.name] == b'{"text": "a line"}\n' * 10_000


def test_archives_in_archives(put):
    """To a depth of three, whatever their kinds; deeper ones are named and left."""
    inner = gzip.compress(tar_of({"deep.txt": b"deep\n", "deeper.txt.gz": gzip.compress(TEXT)}))
    middle = zip_of({"inner.tar.gz": inner, "mid.txt": b"mid\n"})
    outer = lzma.compress(tar_of({"a.txt": b"a\n", "middle.zip": middle, "z.txt": b"z\n"}))
    inside, skipped = found_in(put(outer, "outer.tar.xz"))
    assert inside == {
        "a.txt": b"a\n",
        "middle.zip/inner.tar.gz/deep.txt": b"deep\n",
        "middle.zip/mid.txt": b"mid\n",
        "z.txt": b"z\n",
    }
    name = "middle.zip/inner.tar.gz/deeper.txt.gz"
    assert DEPTH == 3 and skipped == {name: "archives in each other, more than 3 deep"}


def test_what_lies_in_an_archive_and_is_no_text_is_named(put):
    """Binary, empty and hidden files, links and devices, and books that a reader takes whole."""
    epub = zip_of({"mimetype": b"application/epub+zip", "a.xhtml": b"<html/>"}, zipfile.ZIP_STORED)
    docx = zip_of({"[Content_Types].xml": b"<x/>", "word/document.xml": b"<x/>"})
    xlsx = zip_of({"[Content_Types].xml": b"<x/>", "xl/workbook.xml": b"<x/>"})
    files = {
        "a.txt": b"text\n",
        "book.epub": epub,
        "letter.docx": docx,
        "table.xlsx": xlsx,
        "data": bytes(range(256)) * 9,
        "picture.png": b"\x89PNG\r\n\x1a\n" + bytes(99),
        "empty.txt": b"",
        ".git/config": b"hidden\n",
        ".git/HEAD": b"hidden\n",
        "sub/.hidden.txt": b"hidden\n",
        "__MACOSX/._a.txt": b"hidden\n",
        "paper.pdf": b"%PDF-1.4 " + bytes(99),
        "table.parquet": b"PAR1" + bytes(99),
        "wide.txt": "wide text\n".encode("utf-16"),
    }
    special = {
        "link.txt": (tarfile.SYMTYPE, "/etc/passwd"),
        "hard.txt": (tarfile.LNKTYPE, "a.txt"),
        "null": (tarfile.CHRTYPE, ""),
        "pipe": (tarfile.FIFOTYPE, ""),
        "folder": (tarfile.DIRTYPE, ""),
    }
    inside, skipped = found_in(put(tar_of(files, **special), "mix.tar"))
    kept = ("a.txt", "book.epub", "letter.docx", "paper.pdf", "table.parquet", "wide.txt")
    assert inside == {name: files[name] for name in kept}
    assert skipped == {
        "table.xlsx": "an Excel table (XLSX)",
        "data": "binary",
        "picture.png": "a PNG picture",
        "empty.txt": "empty",
        ".git": "hidden",
        "sub/.hidden.txt": "hidden",
        "__MACOSX": "hidden",
        "link.txt": "a link",
        "hard.txt": "a link",
        "null": "a device",
        "pipe": "a device",
    }


def test_paths_that_lead_out_are_skipped_and_nothing_is_written(put, tmp_path):
    """Absolute paths, `..`, drives and links: named, never opened; the disk stays as it was."""
    names = [
        "/etc/cron.d/x",
        "../../out.txt",
        "a/../../out.txt",
        "C:\\out.txt",
        "..\\out.txt",
        "\\x",
    ]
    files = dict.fromkeys(names, b"out\n") | {"good.txt": b"good\n"}
    for content in (tar_of(files), zip_of(files), gzip.compress(tar_of(files))):
        path = put(content, "hostile")
        before = sorted(tmp_path.rglob("*"))
        items, skipped = find_items([path])
        assert list(read_all(items)) == [f"{path}/good.txt"]
        assert len(skipped) == len(names)
        assert {one.reason for one in skipped} == {
            "an absolute path",
            "a path that leads out of the archive",
        }
        assert [each for each in sorted(tmp_path.rglob("*")) if each.name != "home"] == before


def test_a_link_in_a_zip_archive_is_skipped(put):
    """What `zip -y` stores of a link is the path it leads to, not a text."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.txt", b"a\n")
        info = zipfile.ZipInfo("link.txt")
        info.create_system, info.external_attr = 3, 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    assert found_in(put(out.getvalue(), "x.zip")) == ({"a.txt": b"a\n"}, {"link.txt": "a link"})


def test_names_act_on_no_terminal(put):
    """Control characters and line ends in names are not shown."""
    path = put(tar_of({"a\x1b[31m\nb.txt": TEXT, "c\nd.bin": b"\0" * 99}), "x.tar")
    items, skipped = find_items([path])
    assert items[0].name == f"{path}/a[31m b.txt" and skipped[0].name == f"{path}/c d.bin"


def letters(compressor, size, piece=1 << 24):
    """A stream of so many letters, compressed in pieces that the memory has room for."""
    parts = [compressor.compress(b"a" * piece) for _ in range(size // piece)]
    return b"".join([*parts, compressor.flush()])


def repeated(compress, times):
    """Many streams of 32 MB of a letter one behind the other, quickly made."""
    return compress(b"a" * (1 << 25)) * times


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("bomb.gz", lambda: repeated(gzip.compress, 64)),
        ("bomb.bz2", lambda: repeated(bz2.compress, 64)),
        ("bomb.xz", lambda: repeated(lzma.compress, 64)),
        ("bomb.zst", lambda: letters(zstd.ZstdCompressor(), 1 << 31)),
    ],
)
def test_a_bomb_is_refused_while_it_grows(put, name, make):
    """In a line, at 100 MB of what it would become, in little memory."""
    path = put(make(), name)
    tracemalloc.start()
    with pytest.raises(TuillmError, match="unpacks to more than 1.. MB") as caught:
        for item in find_items([path], as_text=True)[0] or _refused(path):
            with item.open() as stream:
                while stream.read(1 << 20):
                    pass
    assert tracemalloc.get_traced_memory()[1] < 60_000_000
    tracemalloc.stop()
    assert name in caught.value.message and "\n" not in str(caught.value)


def _refused(path):
    raise AssertionError(f"{path} was passed over")


def test_a_tar_bomb_is_refused_when_it_is_listed(put):
    """A compressed tar of one file of 2 GB of the same letter."""
    info = tarfile.TarInfo("a.txt")
    info.size = 1 << 31
    content = gzip.compress(info.tobuf()) + repeated(gzip.compress, 64)
    path = put(content, "bomb.tar.gz")
    with pytest.raises(TuillmError, match=r"bomb\.tar\.gz unpacks to more than"):
        find_items([path])


def overlapping_zip(files, size):
    """A zip archive whose members all are the same bytes: 40 KB that say to be gigabytes."""
    deflate = zlib_raw(b"a" * size)
    crc = zlib.crc32(b"a" * size)
    head = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 8, 0, 0, crc, len(deflate), size, 1, 0)
    body = head + b"a" + deflate
    entries = b"".join(
        struct.pack(
            "<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 8, 0, 0, crc, len(deflate), size, 1, *[0] * 4, 0, 0
        )
        + b"a"
        for _ in range(files)
    )
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, files, files, len(entries), len(body), 0)
    return body + entries + end


def zlib_raw(content):
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    return compressor.compress(content) + compressor.flush()


def test_a_zip_bomb_of_overlapping_members_is_refused(put):
    """What all members are together counts, before one is opened."""
    path = put(overlapping_zip(500, 30_000_000), "bomb.zip")
    with pytest.raises(TuillmError, match=r"bomb\.zip unpacks to more than 15,000 MB"):
        find_items([path])


def test_bombs_in_an_archive_are_passed_over(put):
    """The files beside them are found."""
    bomb = overlapping_zip(500, 30_000_000)
    _, skipped = found_in(put(tar_of({"a.txt": b"a\n", "bomb.zip": bomb}), "x.tar"))
    assert list(skipped) == ["bomb.zip"] and "unpacks to more than" in skipped["bomb.zip"]


def test_too_many_members_are_refused(put, monkeypatch):
    """A count over the archive and those inside; a zip's list is looked at before it is read."""
    for module in (zip_archive, archives):
        monkeypatch.setattr(module, "MEMBERS", 100)
    many = {f"{number}.txt": b"a\n" for number in range(101)}
    for content in (zip_of(many), tar_of(many), gzip.compress(tar_of(many))):
        with pytest.raises(TuillmError, match="holds more than 100 files"):
            find_items([put(content, "many")])
    few = {f"{number}.txt": b"a\n" for number in range(60)}
    with pytest.raises(TuillmError, match="many holds more than 100 files"):
        find_items([put(tar_of({"a.zip": zip_of(few), "b.zip": zip_of(few)}), "many")])


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
@pytest.mark.parametrize("tarred", [False, True])
def test_what_is_cut_off_is_one_line(put, suffix, tarred):
    """Wherever a compressed file ends too early, it is told with its name."""
    noise = random.Random(1).randbytes(60_000).hex().encode()
    content = tar_of({"a.txt": noise, "b.txt": noise}) if tarred else noise
    whole = COMPRESS[suffix](content)
    for length in (len(whole) - 1, len(whole) - 9, len(whole) // 2, 40):
        path = put(whole[:length], f"cut{suffix}")
        with pytest.raises(TuillmError, match=rf"cut{suffix}.* is (cut off|damaged)") as caught:
            read_all(find_items([path])[0])
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
def test_what_is_damaged_is_one_line(put, suffix):
    """A flipped bit anywhere is found by the formats' own checks, or makes no difference."""
    noise = random.Random(2).randbytes(3_000).hex().encode()
    if suffix == ".zst":
        one = zstd.compress(noise, options={zstd.CompressionParameter.checksum_flag: 1})
    else:
        one = COMPRESS[suffix](noise)
    for place in range(12, len(one), len(one) // 23):
        path = put(one[:place] + bytes([one[place] ^ 4]) + one[place + 1 :], f"bad{suffix}")
        try:
            (content,) = read_all(find_items([path])[0]).values()
            assert content == noise
        except TuillmError as error:
            assert f"bad{suffix}" in error.message and "\n" not in str(error)
    path = put(one + b"something else behind it", f"bad{suffix}")
    with pytest.raises(TuillmError, match=rf"bad{suffix} is damaged"):
        read_all(find_items([path])[0])


def test_padding_behind_a_stream_is_no_damage(put):
    """Tapes and some servers fill the last block with NULs."""
    for suffix in (".gz", ".xz"):
        (item,) = find_items([put(COMPRESS[suffix](TEXT) + bytes(4096), f"a.txt{suffix}")])[0]
        assert read_all([item])[item.name] == TEXT


def test_a_tar_archive_that_is_cut_or_damaged_names_the_member(put):
    """Cut in a file, cut in a header, a header overwritten."""
    whole = tar_of({"one.txt": b"1" * 2_000, "two.txt": b"2" * 2_000}, tarfile.USTAR_FORMAT)
    for length, words in ((2_000, "behind one.txt"), (2_700, "behind one.txt"),
                          (4_000, "behind two.txt")):  # fmt: skip
        with pytest.raises(TuillmError, match=f"bad.tar is cut off in or {words}"):
            find_items([put(whole[:length], "bad.tar")])
    broken = bytearray(whole)
    broken[2560:2570] = b"overwritten"[:10]
    with pytest.raises(TuillmError, match="bad.tar is damaged in or behind one.txt"):
        find_items([put(bytes(broken), "bad.tar")])


@pytest.mark.parametrize(
    "size", [b"\xff" * 12, b"\x80" + b"\xff" * 11, b"99999999999\0", b"-1" + bytes(10)]
)
@pytest.mark.parametrize("kind", [b"0", b"L", b"x", b"g", b"S"])
def test_absurd_sizes_in_a_tar_archive(put, size, kind):
    """Negative, immense and impossible sizes end in a line, and take no memory."""
    header = bytearray(tarfile.TarInfo("a.txt").tobuf(tarfile.GNU_FORMAT))
    header[124:136], header[156:157] = size, kind
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    tracemalloc.start()
    with pytest.raises(TuillmError) as caught:
        read_all(find_items([put(bytes(header) + bytes(4096), "odd.tar")])[0])
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()
    assert "odd.tar" in caught.value.message and "\n" not in str(caught.value)


def test_pax_headers_cost_no_more_than_their_bytes(put):
    """Digits, records and headers without an end are read in a moment."""
    header = tarfile.TarInfo("x")
    header.type, header.size = b"x", 1 << 20
    for record in (b"1", b"9" * 99 + b" a=b\n", b"7 a=bc\n", b"5 a=\n", b"0 path=a\n"):
        content = header.tobuf() + (record * (1 << 20))[: 1 << 20]
        path = put(
            (content * 8 if len(record) > 8 else content) + tar_of({"a.txt": TEXT}), "pax.tar"
        )
        began = time.perf_counter()
        inside, _ = found_in(path)
        assert list(inside.values()) == [TEXT] and time.perf_counter() - began < 10


def test_sparse_files_are_skipped(put):
    """A hole of a terabyte takes a few bytes in an archive, and nobody's text has one."""
    info = tarfile.TarInfo("hole.txt")
    sparse = {"major": "1", "minor": "0", "realsize": str(1 << 40), "name": "hole.txt"}
    info.pax_headers = {f"GNU.sparse.{key}": value for key, value in sparse.items()}
    info.size = 512
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info, io.BytesIO(b"1\n0\n5\n" + bytes(506)))
    content = out.getvalue()[: 512 * 4] + tar_of({"a.txt": TEXT})
    found = found_in(put(content, "x.tar"))
    assert found == ({"a.txt": TEXT}, {"hole.txt": "a sparse file"})


def test_gnu_sparse_files_of_the_command(tmp_path):
    """The older form, with its map in headers of its own: the files behind it are found."""
    if not shutil.which("tar"):
        pytest.skip("there is no tar")
    folder = tmp_path / "in"
    folder.mkdir()
    with (folder / "a-hole.txt").open("wb") as file:
        for number in range(40):
            file.seek(number << 20)
            file.write(b"x" * 5000)
    (folder / "b.txt").write_bytes(TEXT)
    path = tmp_path / "sparse.tar"
    subprocess.run(
        ["tar", "-S", "--format=gnu", "--sort=name", "-cf", path, "-C", folder, "."], check=True
    )
    inside, skipped = found_in(str(path))
    if path.stat().st_size > 10_000_000:
        pytest.skip("this disk has no holes")
    assert (inside, skipped) == ({"b.txt": TEXT}, {"a-hole.txt": "a sparse file"})


def test_an_encrypted_archive_is_told(put):
    """By the flag of a member; Python cannot write one, so the flag is set by hand."""
    content = bytearray(zip_of({"a.txt": TEXT}))
    content[6] |= 1
    content[content.index(b"PK\1\2") + 8] |= 1
    with pytest.raises(TuillmError, match=r"secret\.zip/a\.txt is encrypted"):
        find_items([put(bytes(content), "secret.zip")])


def test_damaged_zip_archives_are_one_line(put):
    """Cut anywhere, flipped anywhere: a line with the name, or what was put in."""
    whole = zip_of({"a.txt": TEXT * 300, "b.txt": b"b" * 5_000})
    for length in range(4, len(whole), 7):
        with pytest.raises(TuillmError, match=r"bad\.zip") as caught:
            find_items([put(whole[:length], "bad.zip")])
        assert "\n" not in str(caught.value)
    for place in range(4, len(whole)):
        path = put(whole[:place] + bytes([whole[place] ^ 0x81]) + whole[place + 1 :], "bad.zip")
        try:
            read_all(find_items([path])[0])
        except TuillmError as error:
            assert "bad.zip" in error.message and "\n" not in str(error)


def test_in_a_folder_a_damaged_archive_is_passed_over(put, tmp_path):
    """The others are found, and nothing is taken of what is damaged."""
    folder = tmp_path / "in"
    folder.mkdir()
    whole = gzip.compress(
        tar_of({"a.txt": TEXT, "b.txt": random.Random(1).randbytes(9000).hex().encode()})
    )
    (folder / "bad.tgz").write_bytes(whole[:-20])
    (folder / "good.tgz").write_bytes(whole)
    items, skipped = find_items([str(folder)])
    assert [item.name for item in items] == [
        f"{folder}/good.tgz/{name}" for name in ("a.txt", "b.txt")
    ]
    assert [(one.name, one.reason) for one in skipped] == [(f"{folder}/bad.tgz", "cut off")]


class Counted(compressed._Decompressed):
    """Counts what all streams have decompressed."""

    total = 0

    def readinto(self, buffer):
        done = super().readinto(buffer)
        Counted.total += done
        return done


def test_all_of_a_compressed_tar_is_read_in_one_pass(put, monkeypatch):
    """One pass finds the members, one reads them, however many there are."""
    monkeypatch.setattr(compressed, "_Decompressed", Counted)
    files = {f"{number:05}.txt": b"%d " % number * 300 for number in range(2_000)}
    content = tar_of(files)
    path = put(gzip.compress(content), "many.tar.gz")
    Counted.total = 0
    items, _ = find_items([path])
    assert Counted.total < 1.2 * len(content)
    Counted.total = 0
    for item, text in zip(items, files.values(), strict=True):
        with item.open() as stream:
            assert stream.read() == text
    assert Counted.total < 1.2 * len(content)


def test_archives_in_a_compressed_tar_do_not_begin_it_again(put, monkeypatch):
    """A hundred of them between files cost three passes at most, not a hundred."""
    monkeypatch.setattr(compressed, "_Decompressed", Counted)
    files = {}
    for number in range(100):
        files[f"{number:03}.txt"] = b"text\n" * 400
        files[f"{number:03}.zip"] = zip_of({"in.txt": b"in\n" * 400})
    content = tar_of(files)
    path = put(gzip.compress(content), "many.tar.gz")
    Counted.total = 0
    items, _ = find_items([path])
    assert Counted.total < 3 * len(content)
    Counted.total = 0
    for item in items:
        with item.open() as stream:
            assert stream.read() in (b"text\n" * 400, b"in\n" * 400)
    assert Counted.total < 3 * len(content) and len(items) == 200


@pytest.fixture(params=[".tar", ".tar.gz", ".zip", ".zip.gz", ".tar.xz.zst"])
def several(request, put):
    """Items of an archive and their contents, for each way that they are opened in."""
    files = {f"{number}.txt": b"%d\n" % number * (number * 900 + 2) for number in range(12)}
    content = zip_of(files) if request.param.startswith(".zip") else tar_of(files)
    for end in request.param.split(".")[2:]:
        content = COMPRESS[f".{end}"](content)
    return find_items([put(content, "x" + request.param)])[0], list(files.values())


def test_in_any_order_and_several_at_once(several):
    """Streams that are open at the same time do not disturb each other."""
    items, contents = several
    order = random.Random(3).sample(range(12), 12)
    streams = [items[number].open() for number in order]
    parts = [[] for _ in order]
    for _ in range(12):
        for part, stream in zip(parts, streams, strict=True):
            part.append(stream.read(1_000))
    for part, stream, number in zip(parts, streams, order, strict=True):
        assert b"".join(part) + stream.read() == contents[number]
        stream.close()
    assert list(read_all(reversed(items)).values()) == contents[::-1]


def _hash_in_child(items, results):
    results.put([item.open().read() for item in items])


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_from_several_processes(several):
    """Forked in the midst of reading, or handed on by pickle: each reads for itself."""
    items, contents = several
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    with items[3].open() as half:
        first = half.read(500)
        children = [context.Process(target=_hash_in_child, args=(items, results)) for _ in "12"]
        for child in children:
            child.start()
        assert [results.get(timeout=60) for _ in children] == [contents] * 2
        for child in children:
            child.join(30)
        assert first + half.read() == contents[3]
    copies = pickle.loads(pickle.dumps(items))
    assert list(read_all(copies).values()) == contents


def test_from_several_threads(several):
    """Each thread reads all of them."""
    items, contents = several
    found = []
    threads = [
        threading.Thread(target=lambda: found.append([item.open().read() for item in items]))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [contents] * 4


def test_a_folder_of_many_archives_keeps_few_open(tmp_path):
    """As many archives as there may never be open files."""
    for number in range(60):
        ending, make = (
            (".zip", zip_of),
            (".tar", tar_of),
            (".tgz", lambda files: gzip.compress(tar_of(files))),
        )[number % 3]
        (tmp_path / f"{number:03}{ending}").write_bytes(make({"a.txt": TEXT, "b.txt": b"b\n"}))
    items, _ = find_items([str(tmp_path)])
    before = len(os.listdir("/proc/self/fd"))
    assert sorted(set(read_all(items).values())) == sorted([TEXT, b"b\n"]) and len(items) == 120
    assert len(os.listdir("/proc/self/fd")) <= before + 12
    del items
    assert len(os.listdir("/proc/self/fd")) <= before


def test_what_is_spooled_lies_in_no_folder(put):
    """A large archive in another one is laid aside in a file without a name, within a bound."""
    big = zip_of(
        {"a.txt": random.Random(1).randbytes(1_500_000).hex().encode()}, zipfile.ZIP_STORED
    )
    path = put(tar_of({"big.zip": big}), "x.tar")
    (item,) = find_items([path])[0]
    assert len(read_all([item])[item.name]) == 3_000_000
    assert os.listdir(cache_dir()) == []
    shallow = Spool(lambda: io.BytesIO(bytes(3 << 20)), "it", most=2 << 20)
    with pytest.raises(TuillmError, match="it is larger than"):
        shallow.open()


def test_formats_that_must_seek_get_a_stream_that_can(several):
    """For tables and books inside archives."""
    items, contents = several
    with seekable(items[5], 1 << 30) as stream:
        assert stream.seek(-100, io.SEEK_END) == len(contents[5]) - 100
        assert stream.read() == contents[5][-100:]
        stream.seek(0)
        assert stream.read() == contents[5]


def test_the_search_can_be_ended(put):
    """What the tick raises comes through, also in the middle of an archive."""
    path = put(gzip.compress(tar_of({f"{number}.txt": TEXT for number in range(500)})), "x.tgz")
    calls = []

    def tick(stage, share):
        calls.append(stage)
        if len(calls) > 100:
            raise Interrupted("enough")

    with pytest.raises(Interrupted):
        find_items([path], "", tick)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"BZh, he said.", ""),
        (b"PK", ""),
        (b"\x1f\x8b", ""),
        (b"", ""),
        (bytes(600), ""),
        (b"PK\5\6" + bytes(18), "zip"),
        (bz2.compress(b""), "bzip2"),
        (zstd.compress(b""), "zstd"),
    ],
)
def test_archives_are_told_by_their_content(head, kind):
    """A text that begins like one is none."""
    assert archive_kind(head) == kind


def test_tar_archive_keeps_one_place(put):
    """Going back in a compressed tar begins it again, and loses nothing."""
    path = put(gzip.compress(tar_of(FILES)), "x.tgz")
    items, _ = find_items([path])
    archive = items[0].open.archive
    assert isinstance(archive, tar_archive.TarArchive)
    read_all(items)
    assert len(archive._idle) == 1

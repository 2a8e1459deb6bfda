"""Nasty archives: bombs, cut ones, names that lead out, archives in archives.

Each function writes an input into an empty folder, by a random generator, and returns its path.
"""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable

from text.nasty.byte_kinds import MB, cut, flipped, prose, put

NAMES = (
    "/tmp/tuillm-nasty-out.txt",
    "../tuillm-nasty-out.txt",
    "a/../../tuillm-nasty-out.txt",
    "..\\out.txt",
    "C:\\out.txt",
    "\\\\server\\out.txt",
    "x" * 300 + ".txt",
    "漢" * 150,
    "line\nend.txt",
    "\x1b[31mred\x1b]52;c;QQ==\x07.txt",
    "\u202ekcab.txt",
    " ",
    ".",
    "..",
    "./././a",
    "a//b",
    "a" * 60_000,
    "/".join("d" * 200 for _ in range(200)),
    "-rf",
    "ok.txt",
)
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}


def zipped(files, method=zipfile.ZIP_DEFLATED):
    """A zip archive of names and contents."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, content in files:
            info = zipfile.ZipInfo(name) if isinstance(name, str) else name
            info.compress_type = method
            archive.writestr(info, content)
    return made.getvalue()


def tarred(files, form=tarfile.PAX_FORMAT):
    """A tar archive of names, or members as tarfile has them, and contents."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form) as archive:
        for name, content in files:
            member = tarfile.TarInfo(name) if isinstance(name, str) else name
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return made.getvalue()


def texts(rng, count=3):
    """Names and contents of some good texts."""
    return [(f"part{number}.txt", prose(rng, 4_000).encode()) for number in range(count)]


def some_archive(rng, files):
    """Files in an archive of some kind, and its suffix."""
    form = rng.choice(("zip", "tar", "tar.gz", "tar.bz2", "tar.xz"))
    if form == "zip":
        return zipped(
            files, rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_LZMA))
        ), form
    content = tarred(files)
    return COMPRESS.get(form[4:], bytes)(content), form


def cut_archive(folder, rng):
    content, suffix = some_archive(rng, texts(rng))
    return put(folder, rng, cut(rng, content), f"books.{suffix}")


def flipped_archive(folder, rng):
    content, suffix = some_archive(rng, texts(rng))
    return put(folder, rng, flipped(rng, content, rng.choice((0.0002, 0.01))), f"books.{suffix}")


def cut_compressed(folder, rng):
    form = rng.choice(list(COMPRESS))
    content = COMPRESS[form](prose(rng, 30_000).encode())
    harm = rng.choice(
        (cut, flipped, lambda rng, content: content + rng.choice((b"junk", content, b"\0" * 9)))
    )
    return put(folder, rng, harm(rng, content), f"book.txt.{form}")


def nested(folder, rng):
    """Archives in each other, deeper than anybody packs them, now and then a broken one."""
    content, suffix = b"", "txt"
    files = texts(rng)
    for depth in range(rng.randint(2, 7)):
        content, suffix = some_archive(rng, files)
        content = cut(rng, content) if rng.random() < 0.1 else content
        files = [(f"inner{depth}.{suffix}", content), *texts(rng, rng.randint(0, 1))]
    return put(folder, rng, content, f"books.{suffix}")


def deep_gzip(folder, rng):
    content = prose(rng, 4_000).encode()
    for _ in range(rng.randint(2, 40)):
        content = gzip.compress(content)
    return put(folder, rng, content, "book.txt.gz")


def gzip_bomb(folder, rng):
    """Hundreds of megabytes, in one stream or thousands."""
    one = gzip.compress(b"a" * 10 * MB)
    text = gzip.compress(prose(rng, 50_000).encode() * 20)
    content = rng.choice(
        (one * 40, gzip.compress(one * 300), text + one * 60, gzip.compress(b"\0") * 90_000)
    )
    return put(folder, rng, content, "bomb.gz")


def other_bomb(folder, rng):
    form = rng.choice(("bz2", "xz"))
    return put(folder, rng, COMPRESS[form](b"b" * 150 * MB), f"bomb.{form}")


def just_below_a_bomb(folder, rng):
    """A single run of somewhat less than what archives are asked about."""
    return put(folder, rng, gzip.compress(rng.choice((b"a", b" ")) * 95 * MB, 1), "big.txt.gz")


def zip_bomb(folder, rng):
    many = [(f"{number}.txt", b"0" * 20 * MB) for number in range(12)]
    inner = zipped([("a.txt", b"z" * 20 * MB)])
    files = rng.choice((many, [(f"{number}.zip", inner) for number in range(40)]))
    return put(folder, rng, zipped(files), "bomb.zip")


def overlapping_zip(folder, rng):
    """One content that a thousand members share, as David Fifield's."""
    raw = b"b" * 2 * MB
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(raw) + packer.flush()
    facts = struct.pack("<HHHHHIII", 20, 0, 8, 0, 33, zlib.crc32(raw), len(packed), len(raw))
    local = b"PK\3\4" + facts + struct.pack("<HH", 1, 0) + b"a" + packed
    entry = (
        b"PK\1\2"
        + struct.pack("<H", 20)
        + facts
        + struct.pack("<HHHHHII", 1, 0, 0, 0, 0, 0, 0)
        + b"a"
    )
    count = rng.choice((1, 2, 1000))
    end = struct.pack(
        "<4sHHHHIIH", b"PK\5\6", 0, 0, count, count, len(entry) * count, len(local), 0
    )
    return put(folder, rng, local + entry * count + end, "overlap.zip")


def wrong_zip_facts(folder, rng):
    """Sizes, checksums, flags and methods that are not those of the contents."""
    content = bytearray(zipped(texts(rng)))
    at = content.rfind(b"PK\1\2") + rng.choice((8, 10, 16, 20, 24, 28, 30, 32, 42))
    content[at : at + 2] = rng.choice((b"\1\0", b"\xff\xff", b"\x63\0", b"\0\0"))
    return put(folder, rng, bytes(content), "books.zip")


def zip_of_names(folder, rng):
    short = [name for name in NAMES if len(name) < 60_000]
    files = [(name, prose(rng, 500).encode()) for name in rng.sample(short, 9)]
    link = zipfile.ZipInfo("link.txt")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    device = zipfile.ZipInfo("device")
    device.create_system, device.external_attr = 3, 0o020666 << 16
    return put(folder, rng, zipped([*files, (link, b"/etc/passwd"), (device, b"")]), "names.zip")


def tar_of_names(folder, rng):
    form = rng.choice((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT))
    files = [(name, prose(rng, 500).encode()) for name in rng.sample(NAMES, 9)]
    return put(folder, rng, tarred(files, form), "names.tar")


def tar_of_links(folder, rng):
    members = []
    for kind, target in (
        *(
            (tarfile.SYMTYPE, "/etc/passwd"),
            (tarfile.LNKTYPE, "../../etc/passwd"),
            (tarfile.CHRTYPE, ""),
        ),
        *(
            (tarfile.BLKTYPE, ""),
            (tarfile.FIFOTYPE, ""),
            (tarfile.DIRTYPE, ""),
            (b"V", ""),
            (b"?", ""),
        ),
    ):
        member = tarfile.TarInfo(f"odd{len(members)}")
        member.type, member.linkname, member.devmajor, member.devminor = kind, target, 1, 5
        members.append((member, b""))
    good = texts(rng, rng.randint(0, 1))
    content = (
        COMPRESS["gz"](tarred(members + good)) if rng.random() < 0.5 else tarred(members + good)
    )
    return put(folder, rng, content, "links.tar")


def same_names(folder, rng):
    files = [("book.txt", prose(rng, 2_000).encode()) for _ in range(5)]
    made = io.BytesIO()
    if rng.random() < 0.5:
        return put(folder, rng, tarred(files), "same.tar")
    content = zipped([(f"boo{number}.txt", content) for number, (_, content) in enumerate(files)])
    made.write(
        content.replace(b"boo1", b"book").replace(b"boo2", b"book").replace(b"boo3", b"book")
    )
    return put(folder, rng, made.getvalue(), "same.zip")


def tar_of_lies(folder, rng):
    """Headers with sizes and records that cannot be, their checksums right."""
    content = bytearray(tarred(texts(rng), tarfile.GNU_FORMAT))
    size = rng.choice(
        (b"77777777777\0", b"\x80" + b"\xff" * 11, b"-0000000001\0", b"\xff" * 12, b"00000x00000\0")
    )
    content[124:136] = size
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content[:512])
    return put(folder, rng, bytes(content), "lies.tar")


def pax_of_lies(folder, rng):
    """Records of a pax header that lie about their lengths, and about paths and sizes."""
    record = rng.choice(
        (b"9999999 path=x\n", b"0 path=x\n", b"12 size=-1\n\n", b"99 size=" + b"9" * 88, b"x" * MB)
    )
    member = tarfile.TarInfo("PaxHeader")
    member.type = b"x"
    return put(
        folder, rng, tarred([(member, record), *texts(rng)], tarfile.USTAR_FORMAT), "pax.tar"
    )


def many_members(folder, rng):
    files = [(f"{number}.txt", b"%d word\n" % number) for number in range(6_000)]
    return put(folder, rng, rng.choice((zipped, tarred))(files), "many.archive")


def nothing_inside(folder, rng):
    content = rng.choice(
        (
            zipped([]),
            tarred([]),
            gzip.compress(b""),
            lzma.compress(b""),
            zipped([("a/", b"")]),
            zipped([("a.png", b"\x89PNG" + rng.randbytes(99)), ("b", rng.randbytes(999))]),
            tarred([("empty.txt", b""), (".hidden", b"text")]),
            b"PK\5\6" + b"\0" * 18,
            b"\0" * 10_240,
        )
    )
    return put(folder, rng, content, rng.choice(("nothing.zip", "nothing.tar", "nothing")))


def encrypted_zip(folder, rng):
    content = bytearray(zipped(texts(rng), zipfile.ZIP_STORED))
    at = -1
    while (at := content.find(b"PK\1\2", at + 1)) >= 0:
        content[at + 8] |= 1
    return put(folder, rng, bytes(content), "secret.zip")


def around_a_zip(folder, rng):
    """Something before and behind an archive, as in programs that unpack themselves."""
    content = zipped(texts(rng))
    return put(
        folder, rng, rng.randbytes(rng.choice((0, 7))) + content + rng.randbytes(700), "self.zip"
    )


KINDS = {
    make: many
    for many, makers in (
        (2, (gzip_bomb, other_bomb, many_members)),
        (
            3,
            (
                just_below_a_bomb,
                zip_bomb,
                overlapping_zip,
                deep_gzip,
                same_names,
                encrypted_zip,
                around_a_zip,
            ),
        ),
        (6, (tar_of_names, zip_of_names, tar_of_links, tar_of_lies, pax_of_lies, nothing_inside)),
        (8, (cut_archive, flipped_archive, cut_compressed, nested, wrong_zip_facts)),
    )
    for make in makers
}

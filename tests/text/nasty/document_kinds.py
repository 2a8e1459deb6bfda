"""Nasty pages, books and documents: unclosed, empty, cut, encrypted, nested, bombs of entities.

Each function writes an input into an empty folder, by a random generator, and returns its path.
"""

import io
import zipfile

from text.nasty.archive_kinds import zipped
from text.nasty.byte_kinds import MB, cut, flipped, prose, put, scattered

_CONTAINER = '<container><rootfiles><rootfile full-path="p.opf"/></rootfiles></container>'
_PACKAGE = (
    '<package><manifest><item id="a" href="a.xhtml" media-type="application/xhtml+xml"/>'
    '<item id="b" href="../b.xhtml"/></manifest><spine><itemref idref="a"/><itemref idref="b"/>'
    '<itemref idref="lost"/></spine></package>'
)
_BOMB = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {chr(98 + n)} "{("&" + chr(97 + n) + ";") * 10}">' for n in range(9))
    + "]>"
)
_OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


def broken_page(folder, rng):
    pieces = [
        *(
            "<div>",
            "</p>",
            "<script>",
            "<!--",
            "-->",
            "<a href='x",
            "<table><tr><td>",
            "<![CDATA[",
            "&#x110000;",
        ),
        *(
            "&amp",
            "<style>",
            "</html>",
            "<p hidden>",
            "<",
            "<br/>",
            '<img alt="',
            "<pre>",
            "&#99999999999;",
            "<q>",
        ),
    ]
    return put(
        folder, rng, "<html><body>" + scattered(rng, prose(rng, 9_000), pieces, 0.03), "page.html"
    )


def deep_page(folder, rng):
    tag = rng.choice(("div", "p", "b", "table><tr><td", "ul><li", "nav", "q", "pre", "blockquote"))
    return put(folder, rng, f"<html>{f'<{tag}>' * rng.choice((200, 90_000))}word word", "deep.html")


def page_without_text(folder, rng):
    made = (
        "<html></html>",
        "<html><script>var text = 'word';</script></html>",
        "<!doctype html><title>only a title</title>",
        "<html><body hidden>text</body><nav>text</nav>",
        "<html><body>&nbsp;&shy;</body></html>",
        "<",
        "<html",
        "<html><!-- " + "x" * MB,
        "<html>" + "<a b='" * 90_000,
        "<html>" + "<a b=" * 90_000 + "'",
    )
    return put(folder, rng, rng.choice(made), "page.html")


def page_of_lies(folder, rng):
    charset = rng.choice(
        ("utf-16", "x-nonsense", "utf-7", "cp1251", "hex", "shift_jis", "idna", "unicode_escape")
    )
    content = prose(rng, 4_000).encode(rng.choice(("utf-8", "cp1251", "utf-16")), "replace")
    return put(folder, rng, f"<html><meta charset={charset}><body>".encode() + content, "lies.html")


def pdf(rng, pages=2, text=True):
    from reportlab.pdfgen.canvas import Canvas

    made = io.BytesIO()
    canvas = Canvas(made, pageCompression=rng.randint(0, 1))
    for number in range(pages):
        if text:
            canvas.drawString(72, 720, f"Page {number} of a book about the whale and the sea.")
        canvas.rect(50, 50, 90, 90)
        canvas.showPage()
    canvas.save()
    return made.getvalue()


def odd_pdf(folder, rng):
    from pypdf import PdfWriter

    content = pdf(rng, text=rng.random() < 0.7)
    harm = rng.choice(("cut", "flip", "encrypt", "plain", "lie"))
    if harm == "encrypt":
        writer, made = PdfWriter(io.BytesIO(content)), io.BytesIO()
        writer.encrypt(rng.choice(("secret", "")), algorithm="RC4-128", owner_password="o")
        writer.write(made)
        content = made.getvalue()
    elif harm == "lie":
        content = content.replace(b"/Count 2", b"/Count 9").replace(b"/Length ", b"/Length 9")
    elif harm != "plain":
        content = (cut if harm == "cut" else flipped)(rng, content)
    return put(folder, rng, content, rng.choice(("book.pdf", "book.txt")))


def odd_epub(folder, rng):
    chapter = f"<html><body><p>{prose(rng, 2_000)}</p></body></html>"
    parts = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": _CONTAINER,
        "p.opf": _PACKAGE,
        "a.xhtml": chapter,
        "b.xhtml": chapter,
    }
    name = rng.choice(list(parts))
    harm = rng.choice(("lost", "empty", "bomb", "outside", "half", "bytes", "drm", "names"))
    if harm == "lost":
        del parts[name]
    elif harm == "drm":
        parts["META-INF/encryption.xml"] = '<e><CipherReference URI="a.xhtml"/></e>'
    elif harm == "names":
        parts["p.opf"] = _PACKAGE.replace("a.xhtml", "../../../../etc/passwd")
    else:
        parts[name] = {
            "empty": "",
            "bomb": _BOMB + "<x>&j;</x>",
            "outside": _OUTSIDE + "<x>&a;</x>",
            "half": parts[name][: len(parts[name]) // 2],
            "bytes": rng.randbytes(900),
        }[harm]
    content = zipped(parts.items())
    return put(folder, rng, cut(rng, content) if rng.random() < 0.15 else content, "book.epub")


def docx(body, **more):
    parts = {
        "[Content_Types].xml": "<Types/>",
        "_rels/.rels": (
            '<Relationships><Relationship Type="x/officeDocument" Target="word/document.xml"/>'
            "</Relationships>"
        ),
        "word/document.xml": f'<w:document xmlns:w="w"><w:body>{body}</w:body></w:document>',
    } | more
    return zipped([(name, content) for name, content in parts.items() if content is not None])


def odd_docx(folder, rng):
    words = f"<w:p><w:r><w:t>{prose(rng, 2_000)}</w:t></w:r></w:p>"
    main = {"word/document.xml": None}
    made = (
        docx(words),
        docx(""),
        docx(words, **main),
        docx(words, **{"_rels/.rels": "<x"}),
        docx(words, **{"_rels/.rels": None}),
        docx(words, **{"word/document.xml": _BOMB + "<x>&j;</x>"}),
        docx(words, **{"word/document.xml": _OUTSIDE + "<x>&a;</x>"}),
        docx(words, **{"word/document.xml": rng.randbytes(900)}),
        docx(words, **{"word/document.xml": '<?xml version="1.0" encoding="x-no"?><x/>'}),
        docx("<w:r><w:t>no paragraph</w:t></w:r><w:tc><w:tr>" + words),
        docx("<w:del>" * 9_000 + words),
        cut(rng, docx(words)),
        flipped(rng, docx(words)),
    )
    return put(folder, rng, rng.choice(made), "letter.docx")


def tables_in_tables(folder, rng):
    """A table in a cell of a table in a cell of a table, with a long text in the innermost."""
    depth = rng.choice((5, 30_000))
    words = f"<w:p><w:r><w:t>{prose(rng, 200_000)}</w:t></w:r></w:p>"
    opened, closed = "<w:tbl><w:tr><w:tc>" * depth, "</w:tc></w:tr></w:tbl>" * depth
    return put(folder, rng, docx(f"{opened}{words}{closed}"), "tables.docx")


def office_bomb(folder, rng):
    """A part that grows to hundreds of megabytes."""
    body = "<w:p><w:r><w:t>" + "word " * (rng.choice((2, 80)) * MB) + "</w:t></w:r></w:p>"
    return put(folder, rng, docx(body), "bomb.docx")


def other_office(folder, rng):
    mimetype = zipfile.ZipInfo("mimetype")
    made = (
        zipped(
            [(mimetype, "application/vnd.oasis.opendocument.text"), ("content.xml", "<x>word</x>")]
        ),
        zipped([("[Content_Types].xml", "<x/>"), ("xl/workbook.xml", "<x/>")]),
        zipped([("[Content_Types].xml", "<x/>"), ("ppt/slides/1.xml", "<x/>")]),
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 5_000,
        b"{\\rtf1\\ansi " + prose(rng, 900).encode("ascii", "ignore") + b"}",
        b"<?xml version='1.0'?><FictionBook>" + prose(rng, 900).encode() + b"</FictionBook>",
        b"\0" * 60 + b"BOOKMOBI" + b"\0" * 900,
        b"<svg xmlns='x'>" + b"<path/>" * 900,
        (_BOMB + "<x>&j;</x>").encode(),
    )
    return put(
        folder, rng, rng.choice(made), rng.choice(("old.doc", "a.odt", "b.docx", "c.txt", "d.epub"))
    )


KINDS = {
    make: many
    for many, makers in (
        (2, (office_bomb, tables_in_tables)),
        (6, (deep_page, page_of_lies, other_office)),
        (8, (broken_page, page_without_text)),
        (10, (odd_pdf, odd_epub, odd_docx)),
    )
    for make in makers
}

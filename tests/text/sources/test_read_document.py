"""Documents as plain text: what other programs wrote, and what nobody should have written."""

import random
import sys
import time
import zipfile
import zlib
from io import BytesIO

import pytest
from text.sources.items_made import dribbling, item_at, item_of

from tuillm.errors import TuillmError
from tuillm.text.sources.html_text import html_text
from tuillm.text.sources.item_kinds import kind_of
from tuillm.text.sources.read_document import read_document

MB = 1 << 20


def read(content, kind, **options):
    return read_document(item_of(content, f"a.{kind}"), kind, **options)


# web pages


@pytest.mark.parametrize(
    "markup, text",
    [
        ("<p>One\n  word.<p>Two", "One word.\n\nTwo"),
        ("plain <b>bold</b>, <i>it</i>!", "plain bold, it!"),
        ("<h1>Title</h1>text<h2>More</h2>", "Title\n\ntext\n\nMore"),
        ("<div>a</div><div>b</div>", "a\nb"),
        ("<div><div><p>a</p></div></div><div>b</div>", "a\n\nb"),
        ("a<br>b<br/>c<br></p><p>d", "a\nb\nc\n\nd"),
        ("a<br><br>b", "a\n\nb"),
        ("<ul><li>a<li>b<ul><li>c</ul><li>d</ul>e", "a\nb\nc\nd\n\ne"),
        ("<dl><dt>a<dd>b<dt>c<dd>d</dl>", "a\nb\nc\nd"),
        ("<p>x<pre>\n a\n\n\n  b\n</pre>y", "x\n\n a\n\n\n  b\n\ny"),
        ("<table><tr><th>a<th>b<tr><td>1<td>2</table>", "a\tb\n1\t2"),
        ("<table><tr><td><p>a</p></td><td><p>b</p></td></tr></table>c", "a\tb\n\nc"),
        ("<table><tr><td></td><td>b</td></tr><tr><td>c</td><td></td></tr></table>", "\tb\nc"),
        (
            "<table><tr><td>a<table><tr><td>i<td>j</table></td><td>b</td></tr></table>",
            "a\n\ni\tj\tb",
        ),
        (
            "&lt;p&gt; &amp;amp; &eacute;&#233;&#xe9; &copy &nosuch; AT&T",
            "<p> &amp; ééé © &nosuch; AT&T",
        ),
        ("soft&shy;ly a&nbsp;b", "softly a\xa0b"),
        ("<q>said</q> she, <q>so</q>.", '"said" she, "so".'),
        ("<ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp></ruby>字", "漢字"),
        ("3 < 4 and 5 <6, a<b", "3 < 4 and 5 <6, a"),
        ("a<!-- b --> c<!-->d<!--->e<!-- never closed", "a cde"),
        ("a<?php echo '>' ?>b<!x>c</>d</ >e", "a' ?>bcde"),
        ("<title>no</title><style>p > b {}</style><script>'</p>'; a<b</script>yes", "yes"),
        ("<script>never closed <p>no", ""),
        ("<SCRIPT>no</ScRiPt >yes<textarea><p>no</textarea>", "yes"),
        ("<head><title>no</title><p>the head has ended", "the head has ended"),
        ("a<noscript>no</noscript><template>no</template><svg><text>no</text></svg>b", "ab"),
        ("<nav><ul><li>Home<li>Up</ul></nav><p>text", "text"),
        ("<div><nav>unclosed</div>text", "text"),
        ('<div role="navigation">no</div><div role=main>yes</div>', "yes"),
        ("<p hidden>no<p>yes", "yes"),
        ("<p hidden><b>no<p>yes", "yes"),
        ("<div hidden><div>no</div>no</div>yes", "yes"),
        ('<span style="color: red; DISPLAY : none">no</span>yes', "yes"),
        ('<span aria-hidden="true">#</span><span aria-hidden=false>yes</span>', "yes"),
        ('<body style="display:none">shown by a script', "shown by a script"),
        ('<img alt=">" title="a hidden thing"><a href=x title="hidden">yes</a>', "yes"),
        ("<a title='it\\'s > here'>yes</a>", "here'>yes"),
        ('<a title="unclosed>yes</a>', "yes"),
        ("<p it's>yes</p>", "yes"),
        ("<a href=a/b/>yes</a>", "yes"),
        ("<b><p>bold</b> more</p>rest", "bold more\n\nrest"),
        ("</p></div></b>text</span>", "text"),
        ("<table><tr><td><p>a</div></p>b</table>", "a\n\nb"),
        ("\ufeff \n", "\ufeff"),
        ("", ""),
    ],
)
def test_a_page_is_read_as_it_is_seen(markup, text):
    assert html_text(markup) == text


def test_ten_thousand_unclosed_elements_end_with_what_holds_them():
    """As in old pages, where every line opened a font."""
    markup = "<div hidden>" + "<font>no" * 10_000 + "</div>yes"
    assert html_text(markup) == "yes"


def test_a_chapter_is_xml():
    """Every tag may end itself, and there are sections of plain characters."""
    markup = '<title/><p/>a<script src="x"/><i/>b<![CDATA[ <c> &amp; ]]>d<a id="x" />'
    assert html_text(markup, xml=True) == "ab <c> &amp; d"
    assert html_text("<!DOCTYPE html [<!ENTITY a '<b>'>]><p>x", xml=True) == "x"
    assert html_text("<p>3<span epub:type='pagebreak'>12</span>4", xml=True) == "34"


BAIT = [
    "<!--",
    "<!-- --",
    "<![CDATA[",
    "<",
    "</",
    "<a ",
    "<a b=",
    "<a b='",
    "<a b=\"'",
    "<a b = ",
    "<p>",
    "<b>",
    "<b><p>",
    "<b></i>",
    "<div></b>",
    "<table><tr><td>",
    "<li><b>",
    "<script>",
    "</script",
    "<script></scrip>",
    "<title></",
    "&",
    "&amp",
    "&#1",
    "&#99999999999",
    " ",
    "\n\t ",
    "<pre> ",
    "<td>",
    "<br>",
    "<hr>",
    "<q>",
    "<p hidden",
    "=",
    "<x y='>",
    "<!DOCTYPE [",
]


@pytest.mark.everyday(12)
@pytest.mark.parametrize("bait", BAIT)
def test_hostile_pages_take_a_time_that_grows_with_their_length(bait):
    """A quarter of a MB, three times, takes a few seconds at most."""
    markup = bait * (MB // 4 // len(bait))
    start = time.process_time()
    html_text(markup)
    html_text("<p>" + markup + "text")
    html_text(markup, xml=True)
    assert time.process_time() - start < 15


def test_any_soup_of_tags_is_read():
    """No order of tags and characters is an error."""
    made = random.Random(1)
    pieces = [
        *BAIT,
        ">",
        "'",
        '"',
        "text",
        "/>",
        "</p>",
        "</div>",
        "</table>",
        "</tr>",
        "-->",
        "]]>",
    ]
    for _ in range(300):
        markup = "".join(made.choices(pieces, k=made.randrange(60)))
        for xml in (False, True):
            assert "\n\n\n" not in html_text(markup, xml=xml) or "<pre" in markup


def test_a_number_of_thousands_of_digits_is_no_error():
    assert html_text("<p>&#" + "9" * 10_000 + ";") == "&#" + "9" * 10_000 + ";"


@pytest.mark.parametrize(
    "content, charset",
    [
        ("<p>Straße".encode(), ""),
        ("<p>Straße".encode("utf-16"), ""),
        ('<meta charset="windows-1252"><p>Straße'.encode("cp1252"), ""),
        ('<meta http-equiv=x content="text/html; charset=cp1252">Straße'.encode("cp1252"), ""),
        ("<p>Straße".encode("cp1252"), "iso-8859-1"),
        ('<?xml version="1.0" encoding="windows-1252"?><p>Straße'.encode("cp1252"), ""),
        ('<meta charset="utf-16">Straße'.encode(), ""),
    ],
)
def test_the_charset_is_that_of_the_server_or_of_the_page(content, charset):
    assert read_document(item_of(content, "a.html", charset), "html") == "Straße\n"


def test_a_page_without_text_is_said_to_be_one():
    with pytest.raises(TuillmError, match="a.html is a page without text"):
        read("<html><script>render()</script><div id=root></div>", "html")
    with pytest.raises(ValueError):
        read("x", "text")


def test_a_page_of_gigabytes_is_refused(monkeypatch):
    monkeypatch.setattr("tuillm.text.sources.read_document._LARGEST_PAGE", 3 * MB)
    with pytest.raises(TuillmError, match="a.html is too large: 3 MB"):
        read(b"<p>" + b"x" * 4 * MB, "html")


# EPUB

CONTAINER = """<?xml version="1.0"?><container version="1.0"
 xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>
 <rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles>
</container>"""
PACKAGE = """<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0">
 <metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>The Book</dc:title></metadata>
 <manifest>
  <item id="two" href="text/two.xhtml" media-type="application/xhtml+xml"/>
  <item id="one" href="text/one%20a.xhtml" media-type="application/xhtml+xml"/>
  <item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>
  <item id="toc" href="toc.xhtml" media-type="application/xhtml+xml"/>
  <item id="pic" href="pic.svg" media-type="image/svg+xml"/>{more}
 </manifest>
 <spine><itemref idref="nav"/><itemref idref="toc"/><itemref idref="pic"/><itemref idref="one"/>
  <itemref idref="two"/><itemref idref="one"/>{spine}</spine>
 <guide><reference type="toc" href="toc.xhtml"/></guide>
</package>"""
CHAPTER = """<?xml version="1.0" encoding="utf-8"?><!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml"><head><title>not this</title></head>
<body><h1>{title}</h1><p>It was a dark
 night&#8212;really.</p><p>And then<br/>morning.</p></body></html>"""


def epub(more="", spine="", **parts):
    """The bytes of an EPUB whose parts may be others, or missing (None)."""
    usual = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": CONTAINER,
        "OEBPS/book.opf": PACKAGE.format(more=more, spine=spine),
        "OEBPS/text/two.xhtml": CHAPTER.format(title="Two"),
        "OEBPS/text/one a.xhtml": CHAPTER.format(title="One"),
        "OEBPS/nav.xhtml": CHAPTER.format(title="Contents"),
        "OEBPS/toc.xhtml": CHAPTER.format(title="Contents"),
        "OEBPS/pic.svg": "<svg><text>no</text></svg>",
    }
    return zipped(usual | parts)


def zipped(parts):
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            if content is not None:
                archive.writestr(name, content)
    return out.getvalue()


BODY = "It was a dark night—really.\n\nAnd then\nmorning."


def test_an_epub_is_read_in_the_order_of_its_spine():
    """With the titles of chapters, each once; without its tables of contents."""
    item = item_of(epub(), "a.epub")
    assert kind_of(item) == "epub"
    assert read_document(item, "epub") == f"One\n\n{BODY}\n\nTwo\n\n{BODY}\n"
    assert read_document(dribbling(epub(), "a.epub"), "epub").count("dark night") == 2


def test_a_chapter_that_is_missing_is_told():
    notes = []
    content = epub(**{"OEBPS/text/two.xhtml": None})
    assert read(content, "epub", notes=notes) == f"One\n\n{BODY}\n"
    assert notes == ["a.epub: 1 of its chapters are missing, first OEBPS/text/two.xhtml"]


def test_an_epub_without_a_container_is_read_by_its_package():
    assert read(epub(**{"META-INF/container.xml": None}), "epub").startswith("One\n")


ENCRYPTION = """<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container"
 xmlns:enc="http://www.w3.org/2001/04/xmlenc#"><enc:EncryptedData><enc:CipherData>
 <enc:CipherReference URI="{}"/></enc:CipherData></enc:EncryptedData></encryption>"""


def test_a_protected_epub_is_one_line_and_encrypted_fonts_are_no_protection():
    """Many books without protection have their fonts obfuscated."""
    name = "META-INF/encryption.xml"
    assert read(epub(**{name: ENCRYPTION.format("OEBPS/font.otf")}), "epub").startswith("One\n")
    with pytest.raises(TuillmError, match="a.epub is protected .DRM."):
        read(epub(**{name: ENCRYPTION.format("OEBPS/text/one%20a.xhtml")}), "epub")


LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE x ['
    + '<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {chr(98 + n)} "{("&" + chr(97 + n) + ";") * 10}">' for n in range(12))
    + "]><container><rootfile full-path='&m;'/></container>"
)
OUTSIDE = """<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>
<container><rootfile full-path="&a;"/></container>"""


@pytest.mark.parametrize(
    "parts, words",
    [
        ({"META-INF/container.xml": LAUGHS}, "declares entities"),
        ({"META-INF/container.xml": OUTSIDE}, "declares entities"),
        ({"OEBPS/book.opf": PACKAGE[:300]}, "damaged: its part OEBPS/book.opf"),
        ({"OEBPS/book.opf": None}, "no package document"),
        ({"OEBPS/book.opf": "<package/>"}, "has no text"),
        ({"OEBPS/text/one a.xhtml": "\0\1\2" * 99}, "binary"),
    ],
)
def test_a_hostile_or_damaged_epub_is_one_line(parts, words):
    with pytest.raises(TuillmError, match=words) as error:
        read(epub(**parts), "epub")
    assert "\n" not in str(error.value) and "a.epub" in str(error.value)


def test_an_epub_that_unpacks_to_gigabytes_is_refused(monkeypatch):
    """However little of it the archive admits to."""
    monkeypatch.setattr("tuillm.text.sources.zipped_xml._LARGEST", 4 * MB)
    start = time.process_time()
    with pytest.raises(TuillmError, match="more than 4 MB"):
        read(epub(**{"OEBPS/text/one a.xhtml": b"<p>" + b" " * 50 * MB}), "epub")
    assert time.process_time() - start < 5


@pytest.mark.parametrize("kind", ["epub", "docx"])
@pytest.mark.parametrize("damage", ["cut", "short", "text", "flipped"])
def test_damaged_archives_are_one_line(kind, damage):
    content = bytearray(epub())
    if damage == "flipped":
        content[200:900] = bytes(700)
    else:
        content = {"cut": content[: len(content) // 2], "short": content[:10], "text": b"x"}[damage]
    with pytest.raises(TuillmError, match=f"a.{kind} is no .*damaged") as error:
        read(bytes(content), kind)
    assert "\n" not in str(error.value)


# Word


@pytest.fixture
def docx():
    return pytest.importorskip("docx", reason="python-docx is not installed")


def saved(document):
    out = BytesIO()
    document.save(out)
    return out.getvalue()


def test_a_word_document_is_read_as_python_docx_reads_it(docx):
    """Paragraph for paragraph; an empty line between them, none in lists and tables."""
    document = docx.Document()
    document.add_heading("The Title", 0)
    document.add_paragraph("First, with ").add_run("bold & <signs>").bold = True
    document.add_paragraph("Tab\there\nand a line – “so” 😀")
    document.add_paragraph("one", style="List Bullet")
    table = document.add_table(rows=2, cols=2)
    for n, text in enumerate(["a", "b c", "", "d"]):
        table.cell(n // 2, n % 2).text = text
    table.cell(0, 0).add_paragraph("more")
    document.add_paragraph("")
    document.add_paragraph("Last.")
    document.sections[0].header.paragraphs[0].text = "on every page"
    item = item_of(saved(document), "a.docx")
    assert kind_of(item) == "docx"
    found = read_document(item, "docx")
    assert [line for line in found.split("\n\n") if "\t" not in line or "Tab" in line] == [
        paragraph.text + ("\n" if paragraph.text == "Last." else "")
        for paragraph in document.paragraphs
        if paragraph.text
    ]
    assert "a more\tb c\n\td\n" in found
    assert "every page" not in found


W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
MC = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'


def word(body, name="word/document.xml", **parts):
    """The bytes of a Word document by hand."""
    if not body.startswith("<?xml"):
        body = f"<w:document {W} {MC}><w:body>{body}</w:body></w:document>"
    return zipped({"[Content_Types].xml": "<Types/>", name: body} | parts)


def run(text, properties=""):
    return f"<w:r>{properties}<w:t>{text}</w:t></w:r>"


@pytest.mark.parametrize(
    "body, text",
    [
        (f"<w:p>{run('a')}{run('b')}</w:p>", "ab"),
        (f"<w:p><w:ins>{run('in')}</w:ins></w:p>", "in"),
        (f"<w:p><w:del><w:r><w:delText>x</w:delText></w:r></w:del>{run('a')}</w:p>", "a"),
        (f"<w:p><w:moveFrom>{run('x')}</w:moveFrom>{run('a')}</w:p>", "a"),
        (f"<w:p><w:r><w:instrText>PAGE</w:instrText></w:r>{run('3')}</w:p>", "3"),
        (f"<w:p>{run('x', '<w:rPr><w:vanish/></w:rPr>')}{run('a')}</w:p>", "a"),
        ('<w:p><w:r><w:rPr><w:vanish w:val="0"/></w:rPr><w:t>a</w:t></w:r></w:p>', "a"),
        (f"<w:p><w:pPr><w:tab/></w:pPr>{run('a')}{run('b', '<w:tab/>')}</w:p>", "a\tb"),
        (f"<w:p>{run('a')}{run('b', '<w:noBreakHyphen/>')}{run('c', '<w:br/>')}</w:p>", "a-b\nc"),
        (
            "<w:p><w:r><mc:AlternateContent>"
            f"<mc:Choice><w:txbxContent><w:p>{run('box')}</w:p></w:txbxContent></mc:Choice>"
            f"<mc:Fallback><w:txbxContent><w:p>{run('box')}</w:p></w:txbxContent></mc:Fallback>"
            f"</mc:AlternateContent></w:r>{run('a')}</w:p>",
            "box\n\na",
        ),
        (f"outside<w:t>of all</w:t><w:p>{run('a')}</w:p>", "a"),
    ],
)
def test_what_word_shows_is_read_once(body, text):
    assert read(word(body), "docx") == text + "\n"


def test_the_document_may_have_another_name():
    relation = '<Relationship Type="http://x/officeDocument" Target="/word/d2.xml"/>'
    relations = f"<Relationships>{relation}</Relationships>"
    body = "<w:p><w:r><w:t>a</w:t></w:r></w:p>"
    assert read(word(body, "word/d2.xml", **{"_rels/.rels": relations}), "docx") == "a\n"


@pytest.mark.parametrize(
    "content, words",
    [
        (word(LAUGHS), "declares entities"),
        (word(OUTSIDE), "declares entities"),
        (word("<w:p>"), "damaged: its part word/document.xml"),
        (word("<w:p/>"), "has no text"),
        (zipped({"other": "x"}), "it has no part word/document.xml"),
        (b"\xd0\xcf\x11\xe0" + bytes(600), "encrypted document, or one of an old version"),
    ],
)
def test_a_hostile_or_damaged_word_document_is_one_line(content, words):
    with pytest.raises(TuillmError, match=words) as error:
        read(content, "docx")
    assert "\n" not in str(error.value) and "a.docx" in str(error.value)


def test_a_document_nested_without_end_is_read():
    """A million elements within each other fill no stack."""
    depth = 200_000
    body = "<w:p>" * depth + "<w:r><w:t>a</w:t></w:r>" + "</w:p>" * depth
    assert read(word(body), "docx") == "a\n"


def test_tables_in_tables_without_end_cost_no_more_than_their_length():
    """A text in the innermost of a thousand is not copied for each of them."""
    depth, text = 2_000, "word " * 20_000
    body = "<w:tbl><w:tr><w:tc>" * depth + f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"
    begin = time.process_time()
    found = read(word(body + "</w:tc></w:tr></w:tbl>" * depth), "docx")
    assert found.split() == text.split() and time.process_time() - begin < 2


# PDF


@pytest.fixture(scope="module")
def pypdf():
    return pytest.importorskip("pypdf", reason="the extra `documents` is not installed")


def pdf(*pages):
    """The bytes of a PDF with a line of text on each page, made by hand."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>"]
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects.append(f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>")
    objects.append("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    for n, text in enumerate(pages):
        objects.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 300] "
            f"/Resources << /Font << /F 3 0 R >> >> /Contents {5 + 2 * n} 0 R >>"
        )
        content = f"BT /F 12 Tf 20 200 Td ({text}) Tj ET" if text else ""
        objects.append(f"<< /Length {len(content)} >>\nstream\n{content}\nendstream")
    out, places = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n{each}\nendobj\n".encode("latin-1")
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    return (
        out
        + (
            f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}trailer\n"
            f"<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(out)}\n%%EOF\n"
        ).encode()
    )


def test_a_pdf_is_read_page_by_page(pypdf):
    item = item_of(pdf("It was a dark night.", "", "And then morning."), "a.pdf")
    assert kind_of(item) == "pdf"
    assert read_document(item, "pdf") == "It was a dark night.\nAnd then morning.\n"


def test_a_pdf_of_reportlab_is_read(pypdf, tmp_path):
    """Of a program that writes compressed streams and lays out paragraphs."""
    pytest.importorskip("reportlab", reason="reportlab is not installed")
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import Paragraph, SimpleDocTemplate

    words = "It was a dark and stormy night; the rain fell in torrents. " * 200
    style = getSampleStyleSheet()["Normal"]
    SimpleDocTemplate(str(tmp_path / "a.pdf")).build([Paragraph(words, style)])
    found = read_document(item_at(tmp_path / "a.pdf"), "pdf")
    assert found.split() == words.split()


def test_a_pdf_without_text_needs_ocr(pypdf):
    with pytest.raises(TuillmError, match=r"a.pdf holds pictures of pages, and no text .*OCR"):
        read(pdf("", ""), "pdf")


def encrypted(pypdf, password):
    writer = pypdf.PdfWriter(clone_from=BytesIO(pdf("It was a dark night.")))
    writer.encrypt(password, "owner", algorithm="RC4-128")
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


def test_an_encrypted_pdf_is_one_line_unless_everybody_may_read_it(pypdf):
    """Many have an owner's password only, against printing."""
    assert read(encrypted(pypdf, ""), "pdf") == "It was a dark night.\n"
    with pytest.raises(TuillmError, match="a.pdf is encrypted .save it without a password"):
        read(encrypted(pypdf, "secret"), "pdf")


@pytest.mark.parametrize("damage", ["cut", "head", "text", "noise"])
def test_a_damaged_pdf_is_one_line_or_read(pypdf, damage):
    whole = pdf(*[f"page {n}" for n in range(9)])
    content = {
        "cut": whole[: len(whole) // 2],
        "head": whole[:20],
        "text": b"no PDF at all",
        "noise": b"%PDF-1.7\n" + random.Random(1).randbytes(50_000),
    }[damage]
    try:
        assert "page 0" in read(content, "pdf")
    except TuillmError as error:
        assert "a.pdf" in str(error) and "\n" not in str(error) and len(str(error)) < 250


def test_a_page_that_is_damaged_is_left_out_and_told(pypdf):
    content = pdf("first", "second", "third").replace(b"(second) Tj", b"(second Tj)")
    notes = []
    text = read(content, "pdf", notes=notes)
    assert text.split()[0] == "first" and text.split()[-1] == "third"


def test_a_pdf_that_takes_too_long_is_given_up(pypdf, monkeypatch):
    """Its process is ended, this one goes on."""
    monkeypatch.setattr("tuillm.text.sources.pdf_text._PAGE_SECONDS", 0.2)
    monkeypatch.setattr(
        "tuillm.text.sources.pdf_text.module_command",
        lambda module: [sys.executable, "-c", "import time; time.sleep(600)"],
    )
    start = time.monotonic()
    with pytest.raises(TuillmError, match="a page of a.pdf takes longer"):
        read(pdf("x"), "pdf")
    assert time.monotonic() - start < 30


def test_a_pdf_bomb_is_one_line_or_no_text(pypdf):
    """A stream that unpacks to 200 MB, in a file of 200 KB."""
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(bytes(MB)) for _ in range(200)) + packer.flush()
    whole = pdf("x")
    at = whole.index(b"5 0 obj")
    stream = b"5 0 obj\n<< /Length %d /Filter /FlateDecode >>\nstream\n" % len(packed)
    content = whole[:at] + stream + packed + b"\nendstream\nendobj\ntrailer\n<< /Root 1 0 R >>\n"
    with pytest.raises(TuillmError, match="a.pdf") as error:
        read(content, "pdf")
    assert "\n" not in str(error.value)


def test_a_process_that_ends_without_a_word_is_told(pypdf, monkeypatch):
    monkeypatch.setattr(
        "tuillm.text.sources.pdf_text.module_command",
        lambda module: [sys.executable, "-c", "print('{}'); raise SystemExit('out of order')"],
    )
    with pytest.raises(TuillmError, match="a.pdf could not be read: out of order"):
        read(pdf("x"), "pdf")


def test_pdfs_need_the_extra(monkeypatch):
    monkeypatch.setattr("tuillm.text.sources.open_item.find_spec", lambda name: None)
    with pytest.raises(TuillmError, match=r"pip install 'tuillm\[documents\]'"):
        read(pdf("x"), "pdf")

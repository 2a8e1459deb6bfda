"""The text of an EPUB: its chapters in the order of reading, without its table of contents.

Knows EPUB 2 and 3, container, package and spine; knows nothing of what a chapter holds but that
it is XHTML.
"""

from dataclasses import dataclass, field

from tuillm.errors import TuillmError, printable
from tuillm.text.encodings import decode
from tuillm.text.sources.html_text import html_text, told_charset
from tuillm.text.sources.items import Item
from tuillm.text.sources.zipped_xml import ZippedParts, resolved, zipped_parts

_PAGES = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml", "text/x-oeb1-document")
_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"


@dataclass
class _Package:
    """What an EPUB says of itself: its parts by id, the order of reading, what is navigation."""

    parts: dict[str, str] = field(default_factory=dict)
    spine: list[str] = field(default_factory=list)
    navigation: set[str] = field(default_factory=set)


def epub_text(item: Item, notes: list[str]) -> str:
    """Return the text of an EPUB, an empty line between chapters; remarks go to `notes`.

    Raises TuillmError for one that is damaged, too large, protected, or has no text.
    """
    with zipped_parts(item, "EPUB") as parts:
        package = _package(parts, item.name)
        chapters, missing = [], []
        protected = _protected(parts)
        for part in dict.fromkeys(package.parts.get(idref, "") for idref in package.spine):
            if not part or part in package.navigation:
                continue
            if part in protected:
                raise TuillmError(
                    f"{item.name} is protected (DRM): its text is encrypted",
                    "tuillm reads books without such protection",
                )
            if part not in parts:
                missing.append(part)
                continue
            content = parts.content(part)
            text, _ = decode(content, f"{item.name}/{part}", "auto", told_charset(content))
            if text := html_text(text, xml=True).strip():
                chapters.append(text)
        if missing:
            notes.append(
                f"{item.name}: {len(missing)} of its chapters are missing, first "
                f"{printable(missing[0])}"
            )
        if not chapters:
            raise TuillmError(f"{item.name} has no text", "does it hold pictures of pages?")
        return "\n\n".join(chapters) + "\n"


def _package(parts: ZippedParts, name: str) -> _Package:
    """Read the package document that the container names, else the first there is."""
    found: list[str] = []
    if _CONTAINER in parts:
        parts.parse(
            _CONTAINER,
            lambda tag, values: (
                found.append(values.get("full-path", "")) if tag == "rootfile" else None
            ),
        )
    found += [part for part in parts.names() if part.lower().endswith(".opf")]
    document_path = next((part for part in found if part in parts), "")
    if not document_path:
        raise parts.damaged("it has no package document")
    package = _Package()

    def start(tag: str, values: dict[str, str]) -> None:
        target = resolved(document_path, values.get("href", ""))
        if tag == "item":
            if values.get("media-type", _PAGES[0]) in _PAGES:
                package.parts[values.get("id", "")] = target
            if "nav" in values.get("properties", "").split():
                package.navigation.add(target)
        elif tag == "itemref":
            package.spine.append(values.get("idref", ""))
        elif tag == "reference" and values.get("type", "").lower() == "toc":
            package.navigation.add(target)

    parts.parse(document_path, start)
    return package


def _protected(parts: ZippedParts) -> set[str]:
    """The parts that are encrypted; fonts are in many books that are not protected."""
    found: set[str] = set()
    if _ENCRYPTION in parts:
        parts.parse(
            _ENCRYPTION,
            lambda tag, values: (
                found.add(resolved("", values.get("URI", ""))) if tag == "CipherReference" else None
            ),
        )
    return found

"""The text of a PDF, by pypdf in a process of its own: one that hangs or grows ends alone.

`python -m tuillm.text.sources.pdf_text` reads a PDF on stdin and prints an object for each page.
Knows pages; knows nothing of how text stands on them, which is pypdf's.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any, BinaryIO

from tuillm.errors import TuillmError, one_line, printable, shorten
from tuillm.store.workers.json_lines import last_line, read_objects, warn_on_stderr
from tuillm.store.workers.processes import module_command, module_environment
from tuillm.text.sources.items import Item
from tuillm.text.sources.open_item import MB, needs_extra, on_disk, temporary_file

_LARGEST_FILE = 1024 * MB
_LARGEST_TEXT = 256 * MB
_MOST_PAGES = 50_000
# the longest that one page may take, in seconds; a book's pages take some hundredths each
_PAGE_SECONDS = 60.0
_MEMORY = 4096 * MB
_OTHERWISE = "another reader may do better: pdftotext IN.pdf OUT.txt"
_NO_PASSWORD = "save it without a password: qpdf --decrypt IN.pdf OUT.pdf"
_OCR = "they need OCR: ocrmypdf IN.pdf OUT.pdf"


def pdf_text(item: Item, notes: list[str]) -> str:
    """Return the text of a PDF, its pages one after the other; remarks go to `notes`.

    Raises TuillmError for one that is damaged, encrypted, without text, or takes too long, and
    where pypdf is missing.
    """
    needs_extra(item.name, "a PDF", "pypdf", "documents")
    with on_disk(item, _LARGEST_FILE) as file, temporary_file() as told, temporary_file() as errors:
        if b"%PDF-" not in file.read(1024):
            raise TuillmError(f"{item.name} is no PDF", "what is it? file NAME tells")
        file.seek(0)
        code = _run(item.name, file, told, errors)
        told.seek(0)
        lines = (line.decode("ascii", "replace") for line in told)
        pages, missing, ended = _pages(
            read_objects(lines, partial(warn_on_stderr, item.name)), item.name
        )
        if not ended:
            words = last_line(errors) or f"exit code {code}"
            raise TuillmError(f"{item.name} could not be read: {shorten(words)}", _OTHERWISE)
    text = "\n".join(page for page in pages if page).strip("\n")
    if not text.strip():
        if missing:
            raise TuillmError(f"{item.name} is damaged: none of its pages is readable", _OTHERWISE)
        raise TuillmError(f"{item.name} holds pictures of pages, and no text", _OCR)
    if missing:
        notes.append(f"{item.name}: {len(missing)} of its pages are left out, first {missing[0]}")
    return text + "\n"


def _run(name: str, file: BinaryIO, told: BinaryIO, errors: BinaryIO) -> int:
    """Let a process read the pages, and end it when one takes too long or says too much."""
    process = subprocess.Popen(
        module_command(__name__), env=module_environment(), stdin=file, stdout=told, stderr=errors
    )
    size, since, wait = 0, time.monotonic(), 0.01
    try:
        while process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(wait)
            wait = min(2 * wait, 0.2)
            now = os.fstat(told.fileno()).st_size
            if now > 2 * _LARGEST_TEXT:
                raise TuillmError(f"{name} has more text than any book", _OTHERWISE)
            if now != size:
                size, since = now, time.monotonic()
            elif time.monotonic() - since > _PAGE_SECONDS:
                raise TuillmError(
                    f"a page of {name} takes longer than {_PAGE_SECONDS:.0f} seconds to read",
                    _OTHERWISE,
                )
    finally:
        process.kill()
        process.wait()
    return process.returncode


def _pages(objects: Iterator[dict[str, Any]], name: str) -> tuple[list[str], list[int], bool]:
    """Return the pages' texts, the numbers of those without, and whether that is all of them."""
    pages: list[str] = []
    missing: list[int] = []
    for found in objects:
        if "error" in found:
            raise TuillmError(f"{name} {found['error']}", str(found.get("hint", "")))
        if "end" in found:
            return pages, missing, True
        if isinstance(text := found.get("text"), str):
            pages.append(_clean(text))
        else:
            missing.append(len(pages) + len(missing) + 1)
    return pages, missing, False


def _clean(text: str) -> str:
    """Leave out what is no character, and blanks at the ends of lines and pages."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n")
    return "\n".join(printable(line).rstrip() for line in text.split("\n")).strip("\n")


def main() -> int:
    """Read a PDF on stdin, print what its pages hold; return the exit code."""
    _limit_memory()
    from pypdf import PdfReader
    from pypdf.errors import DependencyError

    try:
        reader = PdfReader(open(0, "rb", closefd=False))
        if reader.is_encrypted and not reader.decrypt(""):
            return _tell(error="is encrypted", hint=_NO_PASSWORD)
        count = len(reader.pages)
    except (DependencyError, NotImplementedError):
        return _tell(error="is encrypted", hint=_NO_PASSWORD)
    except MemoryError:
        return _tell(error="takes too much memory to read", hint=_OTHERWISE)
    except Exception as error:  # whatever a damaged file does to pypdf
        words = shorten(one_line(str(error))) or type(error).__name__
        return _tell(error=f"is damaged: {words}", hint=_OTHERWISE)
    if count > _MOST_PAGES:
        return _tell(error=f"has {count:,} pages; {_MOST_PAGES:,} are the most there can be")
    for number in range(count):
        try:
            _tell(text=reader.pages[number].extract_text())
        except Exception as error:  # whatever a page does to pypdf, the others are read
            _tell(failed=type(error).__name__)
    return _tell(end=count)


def _tell(**what: object) -> int:
    print(json.dumps(what), flush=True)
    return 0


def _limit_memory() -> None:
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))


if __name__ == "__main__":
    sys.exit(main())

"""What a file is by its name, in a word, and whether any run can read it.

A guess for a list of many files; what is in one is found when a run reads it. Knows suffixes.
"""

from pathlib import PurePath

NO_TEXT = "no text"
_KINDS = {
    "table": "jsonl ndjson json csv tsv tab parquet",
    "archive": "zip tar tgz gz bz2 tbz tbz2 xz txz zst",
    "book": "epub pdf docx",
    "page": "html htm xhtml",
    "text": "txt text md rst tex org log srt",
    "picture": "png jpg jpeg gif webp bmp tif tiff ico heic avif svg psd",
    "sound": "mp3 wav flac ogg opus m4a aac mid",
    "film": "mp4 mkv avi mov webm mpg mpeg wmv",
    "font": "ttf otf woff woff2",
    "model": "safetensors gguf pt pth bin onnx ckpt npy npz pkl h5",
    NO_TEXT: "exe dll so dylib o a lib class jar pyc whl deb rpm iso img dmg sqlite sqlite3 db "
    "7z rar doc xls xlsx ppt pptx odt ods odp rtf mobi azw azw3 djvu",
}
_BY_SUFFIX = {suffix: kind for kind, suffixes in _KINDS.items() for suffix in suffixes.split()}
_UNREADABLE = ("picture", "sound", "film", "font", "model", NO_TEXT)


def kind_by_name(name: str) -> str:
    """Return what a file of this name is, '' where its suffix tells nothing.

    >>> kind_by_name("Kafka.EPUB")
    'book'
    """
    return _BY_SUFFIX.get(PurePath(name).suffix.lower().removeprefix("."), "")


def is_readable(kind: str) -> bool:
    """Whether a run may find text in a file of such a kind."""
    return kind not in _UNREADABLE

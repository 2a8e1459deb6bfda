"""Makes one `model.safetensors` of weights that came in several files.

Every other part of the program reads one file. The bytes of the tensors are copied file by file,
so it takes no memory worth telling, and the room on the disk a second time. Knows headers and
bytes; the files have been checked.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from tuillm.formats.safetensors_header import StoredTensor, read_header
from tuillm.formats.safetensors_index import joined_tensors, read_index
from tuillm.store.files import disk_error
from tuillm.store.http_download import write_through
from tuillm.store.retry import Tick

_PIECE = 4 << 20


def join_shards(index: Path, target: Path, tick: Tick) -> None:
    """Write the tensors of all files that an index names, which lie beside it, to `target`.

    `tick` is called with 0 now and then; what it raises ends the work. Raises TuillmError where the
    index does not fit its files, and when the disk refuses.
    """
    named = read_index(index)
    files = [index.parent / name for name in sorted(set(named.values()))]
    headers = {path.name: read_header(path) for path in files}
    joined_tensors(named, headers, index.name)
    try:
        with target.open("xb", buffering=0) as out:
            write_through(out, _header(headers))
            for path in files:
                with path.open("rb") as content:
                    content.seek(8 + int.from_bytes(content.read(8), "little"))
                    while piece := content.read(_PIECE):
                        write_through(out, piece)
                        tick(0)
    except OSError as error:
        raise disk_error(error, target) from None


def _header(headers: Mapping[str, Mapping[str, StoredTensor]]) -> bytes:
    """The beginning of one file that holds the tensors of all, file after file."""
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for stored in headers.values():
        begin = min((each.start for each in stored.values()), default=0)
        for name, each in sorted(stored.items(), key=lambda item: item[1].start):
            entries[name] = {
                "dtype": each.dtype,
                "shape": each.shape,
                "data_offsets": [end + each.start - begin, end + each.end - begin],
            }
        end += sum(each.end - each.start for each in stored.values())
    written = json.dumps(entries, separators=(",", ":")).encode()
    written += b" " * (-len(written) % 8)  # tensors begin at a multiple of 8, as others write them
    return len(written).to_bytes(8, "little") + written

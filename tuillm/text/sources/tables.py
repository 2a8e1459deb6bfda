"""Tables as records: JSONL, JSON, CSV, TSV and Parquet, read while they come.

Memory does not grow with the file. Knows which reader reads what; knows neither what a field means
nor which of them is the text.
"""

from collections.abc import Iterator

from tuillm.errors import TuillmError
from tuillm.text.sources.csv_records import csv_records
from tuillm.text.sources.item_kinds import TABLES, kind_of
from tuillm.text.sources.items import Item, Record
from tuillm.text.sources.json_records import json_records, jsonl_records
from tuillm.text.sources.open_item import MB, needs_extra, seekable, text_pieces
from tuillm.text.sources.parquet_records import parquet_records
from tuillm.text.sources.records import Faults, Records

__all__ = ["kind_of", "read_records"]

# a Parquet table that has to be copied to a disk first, as it lies in an archive
_LARGEST_COPY = 64 * 1024 * MB


def read_records(
    item: Item, kind: str = "", *, strict: bool = False, encoding: str = "auto"
) -> Records:
    """Return the records of a table of any of the kinds in `item_kinds.TABLES`.

    `kind` is told where it is known already. Broken lines are left out and counted; with `strict`
    the first one raises. `encoding` is that of texts, by default found as for any text. Raises
    TuillmError for what is no table or needs a library that is missing; iterating raises it for
    one that cannot be read, is damaged, or has no header.
    """
    kind = kind or kind_of(item)
    if kind not in TABLES:
        raise TuillmError(
            f"{item.name} is no table, as far as its name and its first bytes tell",
            "tables are .jsonl, .csv, .tsv, .parquet, and .json with a list of objects",
        )
    if kind == "parquet":
        needs_extra(item.name, "a Parquet table", "pyarrow", "datasets")
    unit = "line" if kind == "jsonl" else "row"
    return Records(
        item.name, lambda faults: _read(item, kind, encoding, faults), unit=unit, strict=strict
    )


def _read(item: Item, kind: str, encoding: str, faults: Faults) -> Iterator[Record]:
    if kind == "parquet":
        with seekable(item, _LARGEST_COPY) as file:
            yield from parquet_records(file, item.name, faults)
    elif kind == "json":
        # the document may be read twice, its remarks are told once
        again = iter([[], faults.notes])
        yield from json_records(lambda: text_pieces(item, next(again), encoding), item.name, faults)
    elif kind == "jsonl":
        yield from jsonl_records(text_pieces(item, faults.notes, encoding), faults)
    else:
        yield from csv_records(
            text_pieces(item, faults.notes, encoding), item.name, kind == "tsv", faults
        )

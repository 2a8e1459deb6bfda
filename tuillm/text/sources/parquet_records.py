"""Records out of Parquet, by pyarrow: a few rows at a time, whatever the file's size.

Knows Parquet's types; knows no file. pyarrow is imported when a table is read.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from tuillm.errors import TuillmError, one_line, shorten
from tuillm.text.sources.items import Record
from tuillm.text.sources.records import Faults

if TYPE_CHECKING:
    import pyarrow

_ROWS = 128
_BUFFER = 1 << 20


def parquet_records(file: BinaryIO, name: str, faults: Faults) -> Iterator[Record]:
    """Yield the rows of a Parquet file that can be sought in; nested values as dicts and lists.

    Raises TuillmError for a file that is damaged, or encrypted.
    """
    import pyarrow
    from pyarrow.parquet import ParquetFile

    number = 0
    try:
        # no row group is ever read as a whole
        table = ParquetFile(file, pre_buffer=False, buffer_size=_BUFFER)
        for batch in table.iter_batches(batch_size=_ROWS, use_threads=False):
            for values in _values(_plain(batch)):
                number += 1
                if isinstance(values, str):
                    faults.add(number, values)
                else:
                    yield Record(number, values)
    except (pyarrow.ArrowException, OSError, OverflowError) as error:
        raise TuillmError(
            f"{name} is damaged or no Parquet: {shorten(one_line(str(error)))}", "is it whole?"
        ) from None


def _plain(batch: "pyarrow.RecordBatch") -> "pyarrow.RecordBatch":
    """Make text of points in time, which Python knows less exactly than Parquet."""
    import pyarrow
    from pyarrow import types

    for at, field in enumerate(batch.schema):
        if types.is_timestamp(field.type) or types.is_time(field.type):
            column = batch.column(at).cast(pyarrow.string())
            batch = batch.set_column(at, field.name, column)
    return batch


def _values(batch: "pyarrow.RecordBatch") -> Iterator[dict[str, Any] | str]:
    """Yield the rows of a batch; of one that Python cannot hold, what is wrong with it."""
    try:
        yield from batch.to_pylist()
        return
    except (ValueError, OverflowError) as error:
        if batch.num_rows == 1:
            yield f"holds what is no text and no number: {error}"
            return
    for at in range(batch.num_rows):
        yield from _values(batch.slice(at, 1))

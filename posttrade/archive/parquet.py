"""Files of the warm and the cold tier: Parquet, compressed with zstd, one for each day and instrument.

Any reader of Parquet reads them; columns are those of `rows.py`. The same records give the same bytes with the same
version of pyarrow.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lockstep.posttrade.archive.rows import REST, TIMES, NoRecord, Record, checked, record_of, row_of, subjects_of
from lockstep.posttrade.audit.pseudonyms import SUBJECT_FIELDS
from lockstep.posttrade.audit.records import encode

_LEVEL: Final = 9
_ROWS: Final = 100_000
"""Of a row group: what a reader has in memory at once."""
_TIME: Final = pa.timestamp("us", tz="UTC")


class NoParquet(NoRecord):
    """These bytes are no file of the archive."""


def file_name(day: str, instrument: int, first_seq: int) -> str:
    """Where a part lies, as Hive's partitions are named: tools take date and instrument from it."""
    return f"date={day}/instrument={instrument}/part-{first_seq:020d}.parquet"


def written(records: Sequence[Record]) -> bytes:
    """A file with these records."""
    rows = [row_of(record) for record in records]
    kinds: dict[str, set[type]] = {}
    for row in rows:
        for name, value in row.items():
            kinds.setdefault(name, set()).add(type(value))
    for name in [name for name, found in kinds.items() if len(found) > 1]:
        _set_aside(rows, records, name)
        del kinds[name]
        kinds[REST] = {str}
    fields = [pa.field(name, _type_of(name, found)) for name, found in sorted(kinds.items())]
    table = pa.Table.from_pylist(rows, schema=pa.schema(fields))
    sink = pa.BufferOutputStream()
    delta = [name for name in ("seq", *TIMES) if name in kinds]
    pq.write_table(
        table, sink, compression="zstd", compression_level=_LEVEL, row_group_size=_ROWS, store_schema=False,
        use_dictionary=[name for name in kinds if name not in delta],
        column_encoding=dict.fromkeys(delta, "DELTA_BINARY_PACKED"),
    )  # fmt: skip
    return bytes(sink.getvalue())


def _set_aside(rows: list[Record], records: Sequence[Record], name: str) -> None:
    """A key that has numbers and text becomes no column."""
    for row, record in zip(rows, records, strict=True):
        if name in row:
            del row[name]
            rest = {one: value for one, value in record.items() if one not in row and one not in ("id", *TIMES)}
            row[REST] = encode(rest).decode("ascii")


def _type_of(name: str, found: set[type]) -> Any:
    if name in TIMES:
        return _TIME
    return pa.int64() if found == {int} else pa.string()


def lines_in(raw: bytes) -> list[bytes]:
    """All records of a file, as they were sealed, in order.

    Raises:
        NoParquet: it is none.
    """
    return [encode(_record(row)) for row in _rows(raw, None)]


def records_in(raw: bytes, subjects: Iterable[str] | None) -> list[Record]:
    """Records of a file, in order: all, or those that concern one of these.

    Raises:
        NoParquet: it is none.
    """
    wanted = None if subjects is None else frozenset(subjects)
    found = [_record(row) for row in _rows(raw, wanted)]
    return found if wanted is None else [record for record in found if subjects_of(record) & wanted]


def _record(row: dict[str, Any]) -> Record:
    try:
        return checked(record_of(row))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise NoParquet(f"it has a row that is no record: {error}") from error


def _rows(raw: bytes, wanted: frozenset[str] | None) -> list[dict[str, Any]]:
    try:
        file = pq.ParquetFile(pa.BufferReader(raw))
        table = file.read()
        names = [name for name in SUBJECT_FIELDS if name in table.column_names]
        if wanted is not None and names and all(pa.types.is_string(table.schema.field(name).type) for name in names):
            values = pa.array(sorted(wanted))
            held = [pc.fill_null(pc.is_in(table[name], value_set=values), False) for name in names]
            mask = held[0]
            for one in held[1:]:
                mask = pc.or_(mask, one)
            table = table.filter(mask)
        columns = [
            pc.cast(table[name], pa.int64()).to_pylist() if name in TIMES else table[name].to_pylist()
            for name in table.column_names
        ]
    except (pa.ArrowException, OSError, KeyError) as error:
        raise NoParquet(f"it is no file of the archive: {error}") from error
    return [dict(zip(table.column_names, row, strict=True)) for row in zip(*columns, strict=True)]

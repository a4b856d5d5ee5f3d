"""Digests of a ledger's tables: equal where two of them have the same rows, whatever database they are in."""

from typing import Final

import numpy as np
from blake3 import blake3

from lockstep.posttrade.ledger import schema
from lockstep.posttrade.ledger.store import KEYS, Store

_PAGE: Final = 20_000


def table_digests(store: Store) -> dict[str, str]:
    """By table: BLAKE3 of its rows in the order of their keys, each as its integers (little endian) and texts."""
    return {table.name: _digest(store, table.name) for table in schema.DIGESTED}


def _digest(store: Store, table: str) -> str:
    hasher = blake3()
    names = [column.name for column in schema.METADATA.tables[table].columns]
    keys = KEYS[table]
    quoted = ", ".join(f'"{name}"' for name in names)
    order = ", ".join(f'"{name}"' for name in keys)
    marks = ", ".join("?" * len(keys))
    after: tuple[int, ...] | None = None
    while True:
        where = f"WHERE ({order}) > ({marks})" if after is not None else ""
        sql = f'SELECT {quoted} FROM "{table}" {where} ORDER BY {order} LIMIT {_PAGE}'  # noqa: S608 - names of ours
        rows = store.rows(sql, after or ())
        if not rows:
            return str(hasher.hexdigest())
        for row in rows if any(isinstance(value, str) for value in rows[0]) else ():
            hasher.update(repr(row).encode())
        if not any(isinstance(value, str) for value in rows[0]):
            hasher.update(np.array(rows, dtype="<i8").tobytes())
        after = tuple(rows[-1][names.index(key)] for key in keys)

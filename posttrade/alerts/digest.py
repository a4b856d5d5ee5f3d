"""Digests of the tables that follow from the stream and the requests: two that are equal have equal tables."""

import hashlib

from lockstep.posttrade.alerts import schema
from lockstep.posttrade.alerts.store import Store


def table_digests(store: Store) -> dict[str, str]:
    """BLAKE2b of each table's rows by key, hexadecimal."""
    found = {}
    for table in (*schema.DERIVED, schema.REQUESTS):
        digest = hashlib.blake2b(digest_size=16)
        for row in store.table(table):
            digest.update(repr(row).encode())
        found[table.name] = digest.hexdigest()
    return found

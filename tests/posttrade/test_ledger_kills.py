"""The ledger is killed with SIGKILL at every step of its storing, in SQLite and in PostgreSQL, and so is PostgreSQL."""

from pathlib import Path

import pytest

from lockstep.posttrade.ledger.digest import table_digests
from lockstep.posttrade.ledger.sink import LedgerSink
from lockstep.posttrade.ledger.store import LedgerAway, LedgerTaken
from lockstep.posttrade.ledger.store_postgres import PostgresStore
from lockstep.posttrade.ledger.store_sqlite import SqliteStore
from tests.posttrade.flows import history
from tests.posttrade.kill_steps import Step, kill_at_every_step

STEPS = [
    "begin", "position", "orders", "order_events", "entries", "lot_closings", "orders changed", "order terms",
    "balances", "lots", "definitions", "commit", "committed",
]  # fmt: skip
SEED, BURSTS, SIZE = 11, 240, 20


def open_sqlite(place: str, step: Step) -> LedgerSink:
    return LedgerSink(SqliteStore(Path(place), step))


def open_postgres(place: str, step: Step) -> LedgerSink:
    return LedgerSink(PostgresStore(place, "killed", step))


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """Digests behind each chunk of a ledger that nobody killed, by its seq."""
    sink = LedgerSink(SqliteStore(tmp_path_factory.mktemp("never") / "killed.db"))
    digests = {0: table_digests(sink.store)}
    for chunk in history(SEED, BURSTS).chunks(SIZE):
        sink.apply(chunk)
        digests[chunk.through_seq] = table_digests(sink.store)
    sink.close()
    return digests


def test_sqlite_has_whole_chunks_wherever_the_ledger_is_killed(tmp_path, expected):
    path = tmp_path / "ledger.db"

    def look() -> None:
        store = SqliteStore(path)
        assert table_digests(store) == expected[store.position().seq]
        store.close()

    died = kill_at_every_step(
        "tests.posttrade.test_ledger_kills:open_sqlite", str(path), seed=SEED, bursts=BURSTS, size=SIZE, look=look,
        steps=len(STEPS),
    )  # fmt: skip
    assert set(died) == set(STEPS)
    store = SqliteStore(path)
    assert table_digests(store) == expected[max(expected)]
    store.close()


@pytest.mark.slow
def test_postgres_has_whole_chunks_wherever_the_ledger_is_killed(postgres, expected):
    url = postgres.url

    def look() -> None:
        store = PostgresStore(url, "killed", write=False)
        assert table_digests(store) == expected[store.position().seq]
        store.close()

    died = kill_at_every_step(
        "tests.posttrade.test_ledger_kills:open_postgres", url, seed=SEED, bursts=BURSTS, size=SIZE, look=look,
        steps=len(STEPS),
    )  # fmt: skip
    assert set(died) == set(STEPS)
    store = PostgresStore(url, "killed", write=False)
    assert table_digests(store) == expected[max(expected)]
    store.close()


@pytest.mark.slow
def test_postgres_killed_in_the_middle_of_each_step_loses_and_doubles_nothing(postgres, expected):
    chunks = list(history(SEED, BURSTS).chunks(SIZE))
    armed: list[str] = []

    def step(what: str) -> None:
        if armed and armed[0] == what:
            armed.pop()
            postgres.kill()

    sink = LedgerSink(PostgresStore(postgres.url, "crashed", step))
    for place, chunk in enumerate(chunks):
        if place < len(STEPS) - 1:
            armed.append(STEPS[place])
        before = sink.position()
        try:
            sink.apply(chunk)
        except LedgerAway:
            sink.close()
            postgres.start()
            sink = LedgerSink(PostgresStore(postgres.url, "crashed", step))
            # A commit may have come through whose answer was lost.
            assert sink.position() in (before, chunk.end())
            if sink.position() == before:
                sink.apply(chunk)
        assert not armed
        if place < len(STEPS):
            assert table_digests(sink.store) == expected[sink.position().seq]
    assert table_digests(sink.store) == expected[max(expected)]
    sink.close()


def test_a_second_writer_is_refused(postgres, tmp_path):
    first = PostgresStore(postgres.url, "twice")
    with pytest.raises(LedgerTaken, match="another process writes"):
        PostgresStore(postgres.url, "twice", patience_s=0.5)
    first.close()
    chunks = list(history(SEED, 10).chunks(5))
    one, other = (LedgerSink(SqliteStore(tmp_path / "twice.db")) for _ in range(2))
    one.apply(chunks[0])
    with pytest.raises(LedgerTaken, match="another process writes"):
        other.apply(chunks[0])
    assert table_digests(one.store) == table_digests(other.store)
    one.close()
    other.close()

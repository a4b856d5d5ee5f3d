"""A real PostgreSQL that is not there yet, is killed, hangs, or still believes in a session that is gone."""

import asyncio
import socket
import threading
import time
from contextlib import closing, suppress
from functools import partial

import pytest
from sqlalchemy import text

from lockstep.posttrade import shell as shells
from lockstep.posttrade.follower import SinkAway
from lockstep.posttrade.ledger.digest import table_digests
from lockstep.posttrade.ledger.place import PostgresPlace
from lockstep.posttrade.ledger.process import NAME, REBUILD, open_sink
from lockstep.posttrade.ledger.queries import TooSlow, view_of
from lockstep.posttrade.ledger.sink import LedgerSink
from lockstep.posttrade.ledger.store import LedgerAway, LedgerTaken
from lockstep.posttrade.ledger.store_postgres import PostgresStore
from lockstep.posttrade.ledger.store_sqlite import SqliteStore
from lockstep.posttrade.shell import FollowerShell, when_there
from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.process_log import open_log
from lockstep.runtime.stop_request import StopRequest
from tests.posttrade.flows import history
from tests.posttrade.served import ServedEngine, served, topology_of
from tests.seeds import one_in

MADE = history(12, 200)
LAST = MADE.batches[-1].last_seq
PATIENCE_S = 90.0
SHORT = "?connect_timeout=2"
"""Of a URL: no test waits longer for a server that hangs."""


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    sink = LedgerSink(SqliteStore(tmp_path_factory.mktemp("never") / "away.db"))
    for chunk in MADE.chunks(20):
        sink.apply(chunk)
    digests = table_digests(sink.store)
    sink.close()
    return digests


def test_both_sides_of_a_connection_look_after_the_other(postgres):
    with closing(PostgresStore(postgres.url, "kept")) as store:
        shown = dict(store.rows("SELECT name, setting FROM pg_settings"))
        assert (shown["tcp_keepalives_idle"], shown["tcp_keepalives_interval"]) == ("5", "2")
        assert shown["idle_in_transaction_session_timeout"] == "60000"
        with socket.socket(fileno=socket.dup(store._db.fileno())) as own:
            assert own.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 5
            assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 15_000
    given = "&keepalives_idle=77"
    with (
        closing(PostgresStore(postgres.url + SHORT + given, "kept")) as store,
        socket.socket(fileno=socket.dup(store._db.fileno())) as own,
    ):
        assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 77, "the URL has the last word"


def test_who_comes_back_ends_its_own_old_session_and_nobody_elses(postgres):
    old = PostgresStore(postgres.url, "own", owner="one")
    # In the middle of a transaction, with a row locked, and nobody who would end it.
    old._begin()
    old.rows("UPDATE position SET timestamp_ns = 1 RETURNING id")
    with pytest.raises(LedgerTaken, match=r"another process writes into schema own .*backend \d+ from 127.0.0.1"):
        PostgresStore(postgres.url, "own", owner="another", patience_s=0.6)
    begin_s = time.monotonic()
    with closing(PostgresStore(postgres.url, "own", owner="one")) as new:
        assert time.monotonic() - begin_s < 10
        assert new.position().timestamp_ns == 0
        with pytest.raises(LedgerAway):
            old.rows("SELECT 1")
    old.close()


def test_the_session_of_a_process_that_died_is_waited_for(postgres):
    old = PostgresStore(postgres.url, "died")
    timer = threading.Timer(1.0, old.close)
    timer.start()
    with closing(PostgresStore(postgres.url, "died")) as new:
        assert new.position().seq == 0
    timer.join()


@pytest.mark.parametrize("frozen_at", one_in(3, ["position", "entries", "orders changed", "commit"]))
def test_a_server_that_hangs_is_left_and_taken_up_again_without_loss(postgres, expected, frozen_at):
    name = f"frozen_{frozen_at.replace(' ', '_')}"
    armed = [frozen_at]

    def step(what: str) -> None:
        if sink.position().seq and armed and armed[0] == what:
            armed.pop()
            postgres.freeze()

    def opened() -> LedgerSink:
        return LedgerSink(PostgresStore(postgres.url + SHORT, name, step, owner="one", answer_s=1.5))

    sink = opened()
    for chunk in MADE.chunks(20):
        before = sink.position()
        try:
            sink.apply(chunk)
        except LedgerAway:
            sink.close()
            with pytest.raises(LedgerAway):
                opened()
            postgres.thaw()
            sink = opened()
            assert sink.position() in (before, chunk.end())
            if sink.position() == before:
                sink.apply(chunk)
    assert not armed
    assert table_digests(sink.store) == expected
    sink.close()


def test_a_reader_of_a_server_that_hangs_gets_its_thread_back(postgres, tmp_path):
    place = PostgresPlace(postgres.url + SHORT, tmp_path)
    LedgerSink(place.open(1)).close()
    reader = place.reader(1)
    with view_of(reader, 20.0) as view:
        assert view.position.seq == 0
    postgres.freeze()
    try:
        begin_s = time.monotonic()
        with pytest.raises((TooSlow, Exception)), view_of(reader, 1.0):
            pytest.fail("a server that hangs has answered")
        assert time.monotonic() - begin_s < 20
    finally:
        postgres.thaw()
    with view_of(reader, 20.0) as view:
        view.connection.execute(text("SELECT 1"))
    reader.dispose()


async def follow(topology, place, stop: StopRequest, seen: list[int], made: list[FollowerShell]) -> None:
    """As the process does it, until everything is stored."""

    def opened():
        return place.current(), open_sink(place, place.current())

    found = await when_there(open_log(NAME), stop, opened)
    assert found is not None
    generation, sink = found
    shell = FollowerShell(NAME, topology, partial(open_sink, place, generation), rebuild=REBUILD, sink=sink)
    made.append(shell)
    shell.start()
    try:
        while shell.machine.position.seq < LAST:
            assert shell.failure is None, shell.failure
            seen.append(shell.machine.position.seq)
            await asyncio.sleep(0.01)
    finally:
        await shell.stop()


def test_a_follower_waits_for_a_database_that_comes_later_is_killed_and_hangs(postgres, tmp_path, expected):
    engine = ServedEngine(1, MADE, 30)
    place = PostgresPlace(postgres.url + SHORT, tmp_path)
    place.discard(1)
    topology = topology_of(tmp_path, engine)
    stop = StopRequest()
    seen: list[int] = []
    made: list[FollowerShell] = []
    postgres.kill()
    follower = threading.Thread(target=lambda: asyncio.run(follow(topology, place, stop, seen, made)))

    def until(condition, what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert follower.is_alive() or condition(), "the follower has ended"
            assert time.monotonic() < deadline, f"{what} did not come"
            time.sleep(0.02)

    with served(engine):
        follower.start()
        time.sleep(1.0)
        assert follower.is_alive(), "a database that is away at the start ends no process"
        postgres.start()
        until(lambda: seen and seen[-1] == engine.committed_seq, "what the engine has")
        postgres.kill()
        engine.batches = 60
        until(lambda: made[0].figures.away > 0, "a try without a server")
        postgres.start()
        until(lambda: seen[-1] == engine.committed_seq, "what the engine has")
        engine.batches = len(MADE.batches)
        follower.join(PATIENCE_S)
        assert not follower.is_alive()
    with closing(place.open(1, write=False)) as store:
        assert table_digests(store) == expected


def test_waiting_has_an_end_with_a_clear_message(monkeypatch):
    monkeypatch.setattr(shells, "AWAY_S", 0.3)

    def away() -> None:
        raise SinkAway("PostgreSQL does not answer: refused")

    with pytest.raises(EnvironmentFault, match="refused; it was waited for 0 s: bring it back"):
        asyncio.run(when_there(open_log(NAME), StopRequest(), away))
    stop = StopRequest()
    stop.request("asked")
    with suppress(EnvironmentFault):
        assert asyncio.run(when_there(open_log(NAME), stop, away)) is None

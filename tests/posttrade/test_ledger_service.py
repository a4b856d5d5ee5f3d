"""What the ledger's server holds for its clients is bounded, in number and in time; lists say that they go on."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import grpc
import numpy as np
import pytest
from click.testing import CliRunner

from lockstep.errors import Unavailable
from lockstep.ledger import LedgerClient
from lockstep.ops.cli.main import cli
from lockstep.ops.local.ports import HOST, free_ports
from lockstep.posttrade.ledger import service
from lockstep.posttrade.ledger.place import SqlitePlace
from lockstep.posttrade.ledger.process import serve
from lockstep.posttrade.ledger.queries import DAY_NS, MOST_ROWS
from lockstep.runtime.stop_request import StopRequest
from lockstep.stream.records import ADMIN, CommandKind
from lockstep.v1 import ledger_pb2, ledger_pb2_grpc
from tests.all_features import record
from tests.posttrade.flows import History
from tests.posttrade.served import ServedEngine, served, topology_of

PATIENCE_S = 60.0
SMALL_WINDOW = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 1 << 16)]
"""A client that takes little in advance: a connection's window may otherwise grow to megabytes."""
DAYS = MOST_ROWS + 250


def long_history() -> History:
    """A deposit on each of many days, and very many on the last one."""
    made = History(2, "native")
    for _ in range(DAYS):
        made._now_ns += DAY_NS
        made.stamp(record(CommandKind.ADJUST_CASH, ADMIN, account=1, amount_micros=3))
    for _ in range(40):
        made.stamp(np.concatenate([record(CommandKind.ADJUST_CASH, ADMIN, account=2, amount_micros=5)] * 400))
    return made


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[tuple[str, SqlitePlace]]:
    """Address of a ledger that has all of `long_history`, and where it lies."""
    made = long_history()
    engine = ServedEngine(1, made, len(made.batches))
    (port,) = free_ports(1)
    place = SqlitePlace(tmp_path_factory.mktemp("service"))
    stop = StopRequest()
    failures: list[Any] = []
    topology = topology_of(place.directory, engine, grpc_port=port)
    with served(engine):
        thread = threading.Thread(target=lambda: failures.append(asyncio.run(serve(topology, place, stop))))
        thread.start()
        address = f"{HOST}:{port}"
        try:
            with LedgerClient(address) as ledger:
                deadline = time.monotonic() + PATIENCE_S
                while True:
                    try:
                        ledger.portfolio(1, min_seq=made.batches[-1].last_seq)
                        break
                    except Unavailable:
                        assert time.monotonic() < deadline, "the ledger does not come"
                        time.sleep(0.1)
            yield address, place
        finally:
            stop.request("test ends")
            thread.join(PATIENCE_S)
    assert failures == [None]


def test_days_go_on_behind_the_first_thousand(running):
    address, place = running
    with LedgerClient(address) as ledger:
        days = list(ledger.days(1))
        assert len(days) == DAYS
        assert all(one.day_ns < other.day_ns for one, other in pairwise(days))
        assert sum(day.cash_micros for day in days) == ledger.portfolio(1).cash_micros
        first, last = days[100].day_ns, days[-100].day_ns
        assert [day.day_ns for day in ledger.days(1, from_ns=first, to_ns=last)] == [d.day_ns for d in days[100:-100]]
    with grpc.insecure_channel(address) as channel:
        stub = ledger_pb2_grpc.LedgerStub(channel)
        reply = stub.ListDays(ledger_pb2.ListDaysRequest(account=1))
        assert len(reply.days) == MOST_ROWS
        assert reply.next_cursor
        reply = stub.ListDays(ledger_pb2.ListDaysRequest(account=1, cursor=reply.next_cursor, limit=7))
        assert [day.day_ns for day in reply.days] == [day.day_ns for day in days[MOST_ROWS : MOST_ROWS + 7]]
    asked = ["ledger", "days", "1", "--data-dir", str(place.directory)]
    done = CliRunner().invoke(cli, [*asked, "--json", "-"], standalone_mode=False)
    page = json.loads(done.output)
    assert (len(page["days"]), bool(page["next_cursor"])) == (MOST_ROWS, True)
    done = CliRunner().invoke(cli, [*asked, "--cursor", page["next_cursor"], "--json", "-"], standalone_mode=False)
    assert [len(json.loads(done.output)["days"]), json.loads(done.output)["next_cursor"]] == [DAYS - MOST_ROWS, ""]
    done = CliRunner().invoke(cli, [*asked, "--limit", "3"], standalone_mode=False)
    assert "more: --cursor " in done.output


def test_lots_say_that_there_are_more(running):
    with LedgerClient(running[0]) as ledger:
        found = ledger.lots(1, 7)
        assert (found.more_lots, found.more_closings) == (False, False)


def end_of(call) -> grpc.RpcError | None:
    """What a statement ended with; None: it was read to its end."""
    try:
        list(call)
    except grpc.RpcError as error:
        return error
    return None


@pytest.mark.slow
def test_statements_that_nobody_takes_are_few_and_end(running, monkeypatch):
    monkeypatch.setattr(service, "TAKEN_S", 8.0)
    address, _ = running
    request = ledger_pb2.GetStatementRequest(account=2)
    channels = [grpc.insecure_channel(address, options=SMALL_WINDOW) for _ in range(service.MOST_STATEMENTS + 1)]
    try:
        stubs = [ledger_pb2_grpc.LedgerStub(channel) for channel in channels]
        calls = [stub.GetStatement(request) for stub in stubs[: service.MOST_STATEMENTS]]
        assert [next(call).head.movements for call in calls] == [16_000] * len(calls)
        late = stubs[-1]
        with pytest.raises(grpc.RpcError) as refused:
            list(late.GetStatement(request))
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "statements of others" in refused.value.details()
        # Nobody has read any further: the places are free again all the same.
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                parts = list(late.GetStatement(request))
                break
            except grpc.RpcError as error:
                assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED  # noqa: PT017 - until it is another one
                assert time.monotonic() < deadline, "the places of statements that nobody takes stay taken"
                time.sleep(0.1)
        assert sum(len(part.movements) for part in parts) == 16_000
        # Those that began later may be read to their end, if that is done before theirs.
        ended = [error for error in map(end_of, calls) if error is not None]
        assert ended
        assert all("was not taken within 8 s" in error.details() for error in ended)
    finally:
        for channel in channels:
            channel.close()

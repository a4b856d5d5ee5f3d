"""Streams that break while reports flow, at a real gateway, as the wire shows them: each row once, ids rising."""

import itertools
import threading
import time

import grpc
import pytest

from lockstep.v1 import common_pb2, orders_pb2

ALICE, BOB, ACME = 1, 2, 7
S1, S2 = (1 << 32) | 5, (2 << 32) | 6
ROUNDS = 40
SESSION = "/lockstep.v1.OrderEntry/Session"


class Flow:
    """BOB trades with himself and with ALICE's orders, some thousand times a second, until it is stopped."""

    def __init__(self, gateway):
        self._stop = threading.Event()
        self._credit = threading.Semaphore(20)
        self._call = gateway.channel.stream_stream(
            SESSION, request_serializer=orders_pb2.SessionRequest.SerializeToString
        )(self._requests())
        self._threads = [threading.Thread(target=self._read)]
        self._threads[0].start()

    def _requests(self):
        yield orders_pb2.SessionRequest(hello=orders_pb2.Hello(session_id=S2, next_no=1, columnar=True))
        for first in itertools.count(1, 4):
            self._credit.acquire(timeout=0.5)
            if self._stop.is_set():
                return
            batch = orders_pb2.CommandBatch(
                first_no=first, count=4, side=[common_pb2.SIDE_SELL], order_type=[common_pb2.ORDER_TYPE_LIMIT],
                tif=[common_pb2.TIME_IN_FORCE_IOC], account=[BOB], instrument=[ACME], price_ticks=[100],
                quantity_lots=[1],
            )  # fmt: skip
            yield orders_pb2.SessionRequest(batch=batch)

    def _read(self):
        try:
            for raw in self._call:
                said = orders_pb2.SessionResponse.FromString(raw)
                if said.WhichOneof("message") == "report_batch":
                    self._credit.release()
        except grpc.RpcError:
            pass

    def stop(self):
        self._stop.set()
        self._call.cancel()
        self._threads[0].join()


def read_some(gateway, seen, next_no, count, *, columnar):
    """One stream, from Hello to a break after at least `count` rows: its rows, with what it knew at its Welcome."""
    hello = orders_pb2.Hello(session_id=S1, next_no=next_no, columnar=columnar)
    hello.last_seen.seq, hello.last_seen.index = seen
    stop = threading.Event()

    def requests():
        yield orders_pb2.SessionRequest(hello=hello).SerializeToString()
        stop.wait(20)

    call = gateway.channel.stream_stream(SESSION)(requests())
    rows, stamped = [], (0, 0)
    for raw in call:
        said = orders_pb2.SessionResponse.FromString(raw)
        part = getattr(said, said.WhichOneof("message"))
        assert (part.stamp.epoch, part.stamp.seq) >= stamped
        stamped = (part.stamp.epoch, part.stamp.seq)
        if said.WhichOneof("message") == "report_batch":
            ids = zip(part.seq, part.index or [0] * part.count, part.leg or [0] * part.count, strict=True)
            rows += list(ids)
        else:
            rows += [(row.event_id.seq, row.event_id.index, row.leg) for row in getattr(part, "reports", ())]
        if len(rows) >= count:
            break
    stop.set()
    call.cancel()
    return rows


@pytest.mark.parametrize(
    "columnar", [pytest.param(True, id="columns"), pytest.param(False, id="rows", marks=pytest.mark.slow)]
)
def test_stream_that_is_resumed_again_and_again_under_load_tells_each_event_once(gateway, cluster, order, columnar):
    first = gateway.session(S1)
    first.expect("welcome")
    # One order that everybody trades with: its owner gets a report of each fill, and never gives another command.
    first.send(command=order(1, quantity_lots=1_000_000))
    accepted = first.rows(1)[0].event_id
    first.close()
    flow = Flow(gateway)
    delivered = [(accepted.seq, accepted.index, 0)]
    try:
        for turn in range(ROUNDS):
            rows = read_some(gateway, delivered[-1][:2], 2, 1 + turn % 7 * 40, columnar=columnar)
            delivered += rows
            if turn % 5 == 4:
                time.sleep(0.02)
    finally:
        flow.stop()
    late = [(before, after) for before, after in itertools.pairwise(delivered) if after <= before]
    assert not late, f"{len(late)} of {len(delivered)} rows do not follow the one before: {late[:3]}"
    with cluster.lock:
        events = cluster.history()
    mine = (events["maker_session_id"] == S1) | (events["session_id"] == S1)
    all_ids = list(zip(events["seq"][mine].tolist(), events["index"][mine].tolist(), strict=True))
    start = all_ids.index(delivered[0][:2])
    assert [row[:2] for row in delivered] == all_ids[start : start + len(delivered)]
    assert len(delivered) > ROUNDS * 20

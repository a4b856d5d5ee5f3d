"""Evidence is read from where a journal begins, which may be behind a snapshot."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from lockstep.trials import evidence
from lockstep.v1 import replication_pb2, replication_pb2_grpc


class CutJournal(replication_pb2_grpc.ReplicationServicer):
    """An engine whose journal begins late."""

    def __init__(self, first_seq: int) -> None:
        self.first_seq = first_seq
        self.asked = 0

    def FetchJournal(self, request: Any, context: Any) -> Iterator[replication_pb2.FetchJournalReply]:  # noqa: N802
        """Refuses what it does not hold."""
        self.asked += 1
        if request.from_seq < self.first_seq:
            context.abort(grpc.StatusCode.OUT_OF_RANGE, "behind a snapshot")
        yield replication_pb2.FetchJournalReply()


@pytest.mark.parametrize(("first_seq", "most_asked"), [(1, 1), (2, 25), (777, 25), (100_000, 25), (100_001, 25)])
def test_the_beginning_of_a_journal_is_found_by_asking(first_seq: int, most_asked: int) -> None:
    engine = CutJournal(first_seq)
    server = grpc.server(ThreadPoolExecutor(1))
    replication_pb2_grpc.add_ReplicationServicer_to_server(engine, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = replication_pb2_grpc.ReplicationStub(channel)
            assert evidence._first_kept(stub, 100_000) == first_seq
    finally:
        server.stop(0)
    assert engine.asked <= most_asked

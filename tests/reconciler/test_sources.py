"""A running replica that does not know yet what is committed is waited for; what it lacks is no difference."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import grpc
import numpy as np
import pytest

from lockstep.reconciler.sources import LiveEngine, SourceAway
from lockstep.runtime.topology import Member, ProcessKind
from lockstep.stream.records import EVENT
from lockstep.v1 import replication_pb2, replication_pb2_grpc


class SlowToLearn(replication_pb2_grpc.ReplicationServicer):
    """Serves one event a seq, of those that it knows to be committed: one more at each call."""

    def __init__(self, known: int, *, learns: bool) -> None:
        self.known = known
        self._learns = learns

    def FetchEvents(  # noqa: N802 - gRPC's name
        self, request: replication_pb2.FetchEventsRequest, context: Any
    ) -> Iterator[replication_pb2.FetchEventsReply]:
        """As an engine does: no further than what is committed."""
        del context
        through = min(request.to_seq, self.known)
        self.known += self._learns
        events = np.zeros(max(0, through - request.after.seq), EVENT)
        events["seq"] = np.arange(request.after.seq + 1, through + 1)
        yield replication_pb2.FetchEventsReply(events=events.tobytes(), through_seq=through, committed_seq=through)


@pytest.fixture
def engine_of() -> Iterator[Callable[[SlowToLearn], LiveEngine]]:
    servers = []

    def start(service: SlowToLearn) -> LiveEngine:
        server = grpc.server(ThreadPoolExecutor(2))
        replication_pb2_grpc.add_ReplicationServicer_to_server(service, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        return LiveEngine(Member(ProcessKind.ENGINE, 1, "127.0.0.1", port, 0))

    yield start
    for server in servers:
        server.stop(None)


def test_events_that_a_replica_learns_late_to_be_committed_are_waited_for(engine_of) -> None:
    with closing(engine_of(SlowToLearn(7, learns=True))) as engine:
        assert engine.events(5, 10)["seq"].tolist() == [5, 6, 7, 8, 9, 10]


def test_a_replica_that_does_not_learn_it_is_away_and_not_different(engine_of) -> None:
    with closing(engine_of(SlowToLearn(7, learns=False))) as engine:
        with pytest.raises(SourceAway, match="up to seq 7 to be committed, and 10"):
            engine.events(5, 10)
        with pytest.raises(SourceAway, match="up to seq 7 to be committed, and 10"):
            list(engine.session_events(1, 10) or ())
        assert engine.events(5, 7)["seq"].tolist() == [5, 6, 7]

"""What a simulated engine answers to others: the real service's methods, over the simulated network."""

from collections.abc import Callable
from concurrent.futures import Future

from lockstep.replica.effects import FenceAnswer
from lockstep.replica.fetches import Fetches
from lockstep.replica.service import FenceCall, HistoryDiscarded, QueryCall, TooManyQueries, fence_reply
from lockstep.replica.turnstile import never
from lockstep.runtime.refusal import Refusal
from lockstep.trials.simulation.answers import a_page, all_of, answer_with
from lockstep.trials.simulation.host import Host
from lockstep.trials.simulation.network import Done
from lockstep.v1 import replication_pb2

JournalAnswer = Callable[[list[replication_pb2.FetchJournalReply] | None, str, str], None]


class ServingHost(Host):
    """See the module. An engine: its calls go into its inbox, its history is read at once."""

    fetches: Fetches
    """Of its present life."""
    slowest: Callable[[], int] = staticmethod(lambda: 0)
    """Up to which seq every gateway and every client has received everything."""

    def serve_fence(self, request: replication_pb2.FenceRequest, answer: Done) -> None:
        """`Replication.Fence`."""

        def done(said: "Future[FenceAnswer]") -> None:
            answered = said.result()
            if answered.refusal:
                answer(None, f"FAILED_PRECONDITION: {answered.refusal}")
                return
            answer(fence_reply(self.id, answered), "")

        call = FenceCall(request)
        call.done.add_done_callback(done)
        self.post(call)

    def serve_fetch_journal(
        self, request: replication_pb2.FetchJournalRequest, uuid: str, answer: JournalAnswer
    ) -> None:
        """`Replication.FetchJournal`, all replies at once."""
        try:
            replies = all_of(self.fetches.journal(request, uuid, never))
        except Refusal as refusal:
            answer(None, "", str(refusal))
            return
        # Where a snapshot takes a log's place, its events go; a client that is behind could not get them any more.
        if replies[0].snapshot_seq > self.slowest():
            replies[0].snapshot_seq = 0
        answer(replies, self.fetches.cluster_uuid, "")

    def serve_fetch_events(self, request: replication_pb2.FetchEventsRequest, answer: Done) -> None:
        """`Replication.FetchEvents`: a page, or the word that others come first."""
        answer_with(answer, lambda: a_page(self.fetches, request, self.world.network))

    def serve_snapshot(self, answer: Done) -> None:
        """`Replication.FetchSnapshot` of a stored file, all replies at once."""
        request = replication_pb2.FetchSnapshotRequest()
        answer_with(answer, lambda: b"".join(one.chunk for one in all_of(self.fetches.snapshot(request, never))))

    def serve_query(self, request: replication_pb2.QueryRequest, answer: Done) -> None:
        """`Replication.Query`."""

        def done(said: "Future[replication_pb2.QueryReply]") -> None:
            match said.exception():
                case None:
                    answer(said.result(), "")
                case HistoryDiscarded():
                    answer(None, "UNAVAILABLE: discarded")
                case TooManyQueries():
                    answer(None, "RESOURCE_EXHAUSTED: too many wait")

        call = QueryCall(request)
        call.done.add_done_callback(done)
        self.post(call)

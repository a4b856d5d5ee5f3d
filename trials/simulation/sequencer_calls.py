"""A simulated sequencer's calls to engines; what comes of them goes into its inbox."""

from typing import Final

from lockstep.sequencer import events as ev
from lockstep.sequencer.driver import fence_answered
from lockstep.stream.batch import LayoutError, decode_batch
from lockstep.trials.simulation.engine_service import ServingHost
from lockstep.trials.simulation.host import Host
from lockstep.trials.simulation.kernel import MS
from lockstep.trials.simulation.network import Done
from lockstep.v1 import replication_pb2

_FENCE_TIMEOUT_NS: Final = 500 * MS
_FETCH_TIMEOUT_NS: Final = 10_000 * MS


class SequencerCalls:
    """Of one sequencer."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def fence(self, engine: int, request: replication_pb2.FenceRequest, order: ev.FenceOrder) -> None:
        """See `Ports`."""

        def done(reply: replication_pb2.FenceReply | None, failure: str) -> None:
            failed = ev.FenceFailed(order.engine, order.epoch, failure)
            self._host.post(failed if reply is None else fence_answered(order, reply))

        def ask(target: Host, answer: Done) -> None:
            assert isinstance(target, ServingHost)
            target.serve_fence(request, answer)

        target = self._host.world.host("engine", engine)
        self._host.world.network.call(self._host, target, ask, done, timeout_ns=_FENCE_TIMEOUT_NS, patient=True)

    def fetch_journal(self, engine: int, request: replication_pb2.FetchJournalRequest, order: ev.FetchOrder) -> None:
        """See `Ports`."""

        def done(replies: list[replication_pb2.FetchJournalReply] | None, failure: str) -> None:
            if replies is None:
                self._host.post(ev.JournalFetchFailed(order.engine, order.epoch, failure))
                return
            try:
                batches = tuple(decode_batch(raw) for reply in replies for raw in reply.batches)
            except LayoutError as error:
                self._host.post(ev.JournalFetchFailed(order.engine, order.epoch, str(error)))
                return
            self._host.post(ev.JournalFetched(order.engine, order.epoch, batches))

        def ask(target: Host, answer: Done) -> None:
            assert isinstance(target, ServingHost)
            target.serve_fetch_journal(request, "", lambda replies, _uuid, failure: answer(replies, failure))

        self._host.world.network.call(
            self._host, self._host.world.host("engine", engine), ask, done, timeout_ns=_FETCH_TIMEOUT_NS
        )

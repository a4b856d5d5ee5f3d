"""What an engine says while it starts: how far the replay of its journal is, to whoever asks for its status.

An engine serves once its state is there. Where that takes longer than a moment, a small server answers at its address
until then, so that operators and supervisors see that it works, and on what. Calls to the engine itself are refused
with UNAVAILABLE, as if it were not there: the caller comes again. "No such method" would read as "never".
"""

import contextlib
import os
import threading
import time
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Final, NoReturn, Self

import grpc

from lockstep.runtime.access.guard import AccessGuard
from lockstep.runtime.process import OPERATIONS, EnvironmentFault, ProcessLog, start_grpc_server
from lockstep.runtime.refusal import Refusal
from lockstep.runtime.topology import Member
from lockstep.v1 import cluster_pb2, replication_pb2_grpc

_QUIET_S: Final = 0.5
"""Most starts are over by then, and pay for nothing."""
_LOG_EVERY_S: Final = 2.0
_UNARY: Final = ("Fence", "Query")
_STREAMS: Final = ("FetchJournal", "FetchEvents", "FetchSnapshot")


class Starting:
    """A context: from the opening of the journal to the end of the replay."""

    def __init__(self, member: Member, logger: ProcessLog, access: AccessGuard, credentials: Any = None) -> None:
        self._member = member
        self._logger = logger
        self._access = access
        self._credentials = credentials
        self._seq = 0
        self._to_seq = 0
        self._guard = threading.Lock()
        self._server: Any = None
        self._over = False
        self._timer = threading.Timer(_QUIET_S, self._serve)
        self._timer.daemon = True
        self._log_due_s = time.monotonic() + _LOG_EVERY_S

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        with self._guard:
            self._over = True
            if self._server is not None:
                # The address is free when this is done.
                self._server.stop(0)

    def on_replayed(self, seq: int, to_seq: int) -> None:
        """The journal is executed up to a seq, of how many."""
        self._seq, self._to_seq = seq, to_seq
        now_s = time.monotonic()
        if now_s >= self._log_due_s:
            self._log_due_s = now_s + _LOG_EVERY_S
            self._logger.info("replaying", seq=seq, of=to_seq)

    def status(self) -> cluster_pb2.GetStatusReply:
        """For whoever asks, from any thread."""
        seq, to_seq = self._seq, self._to_seq
        why = "starting: it opens its journal and reads its newest snapshot"
        if to_seq:
            why = f"starting: it has replayed seq {seq} of {to_seq} ({100 * seq // to_seq} %)"
        return cluster_pb2.GetStatusReply(
            kind=cluster_pb2.PROCESS_KIND_ENGINE,
            member=self._member.id,
            role=cluster_pb2.ROLE_LEARNER,
            seq=seq,
            pid=os.getpid(),
            why=why,
            journal=cluster_pb2.JournalState(replayed_seq=seq, replay_to_seq=to_seq),
        )

    def _serve(self) -> None:
        with self._guard:
            if self._over:
                return
            # An address that is taken is reported when the engine itself wants it.
            with contextlib.suppress(EnvironmentFault):
                self._server = start_grpc_server(
                    self._member.grpc_address,
                    self._register,
                    (),
                    self.status,
                    access=self._access,
                    credentials=self._credentials,
                    operations=dict.fromkeys(OPERATIONS, self._refuse),
                    ready=False,
                )

    def _register(self, server: grpc.aio.Server) -> None:
        servicer = replication_pb2_grpc.ReplicationServicer()
        for method in _UNARY:
            setattr(servicer, method, self._refuse)
        for method in _STREAMS:
            setattr(servicer, method, self._refuse_stream)
        replication_pb2_grpc.add_ReplicationServicer_to_server(servicer, server)

    async def _refuse(self, request: Any, context: Any) -> NoReturn:
        del request, context
        raise Refusal(grpc.StatusCode.UNAVAILABLE, f"{self._member.name} is {self.status().why}; ask again")

    async def _refuse_stream(self, request: Any, context: Any) -> AsyncIterator[NoReturn]:
        yield await self._refuse(request, context)

"""Plays inquiries over the simulated network, as `runtime/engines.py` does over gRPC."""

from collections.abc import Callable
from typing import Any, Final

import grpc

from lockstep.runtime.engines import fault_of
from lockstep.runtime.inquiry import BEGAN, DUE, Answered, Call, Failed, Fault, Happening, Inquiry, Todo
from lockstep.trials.simulation.engine_service import ServingHost
from lockstep.trials.simulation.host import Host
from lockstep.trials.simulation.network import Done
from lockstep.v1 import replication_pb2

_STATUSES: Final = {status.name: status for status in grpc.StatusCode}


class Questioner:
    """Asks for one host. What comes after the end of the life that asked is not heard."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def ask(self, inquiry: Inquiry, heard: Callable[[Todo], bool]) -> None:
        """See `Ports.ask`. Searches are so few here that nobody waits for a turn."""
        _Question(self._host, inquiry, heard).step(BEGAN)


class _Question:
    def __init__(self, host: Host, inquiry: Inquiry, heard: Callable[[Todo], bool]) -> None:
        self._host = host
        self._life = host.life
        self._inquiry = inquiry
        self._heard = heard
        self._over = False
        self._steps = 0

    def step(self, event: Happening) -> None:
        """Take one event, and do what is to be done."""
        host = self._host
        if self._over or not host.alive or host.life != self._life:
            return
        if not host.responsive:
            # It stands still: what came waits for it.
            host.kernel.after(host.tick_ns(), self.step, event)
            return
        self._steps += 1
        todo = self._inquiry.step(event, host.kernel.now_ns)
        self._over = todo.over
        if (todo.pages or todo.over) and not self._heard(todo):
            self._over = True
        if self._over:
            return
        for call in todo.calls:
            self._call(call)
        if todo.deadline_ns:
            host.kernel.after(max(0, todo.deadline_ns - host.kernel.now_ns), self._due, self._steps)

    def _due(self, steps: int) -> None:
        if steps == self._steps:
            self.step(DUE)

    def _call(self, call: Call) -> None:
        engine = self._host.world.hosts[f"engine-{call.engine}"]

        def ask(target: Host, answer: Done) -> None:
            assert isinstance(target, ServingHost)
            if isinstance(call.request, replication_pb2.QueryRequest):
                target.serve_query(call.request, answer)
            else:
                target.serve_fetch_events(call.request, answer)

        def answered(reply: Any, failure: str) -> None:
            self.step(_failed(call, failure) if reply is None else Answered(call.engine, reply))

        self._host.world.network.call(self._host, engine, ask, answered, timeout_ns=call.timeout_ns)


def _failed(call: Call, failure: str) -> Failed:
    status = _STATUSES.get(failure.split(":")[0].strip())
    fault = Fault.UNAVAILABLE if status is None else fault_of(call, status)
    return Failed(call.engine, fault, f"engine {call.engine}: {failure}")

"""A simulated trading system: the real session machine, and a small flow of orders that cross each other.

It can die and come back from the checkpoint that it keeps, like a client that writes one for each report that it takes.
"""

from collections import deque
from typing import Final

from lockstep.columns import ReportColumns, decode_report_batch
from lockstep.session_events import (
    Checkpoint,
    Connect,
    Effects,
    NextNumberTold,
    Opened,
    RefusalArrived,
    Reported,
    SessionEvent,
    SessionLimits,
    StreamEnded,
    Ticked,
    Welcomed,
)
from lockstep.session_machine import SessionMachine
from lockstep.session_parcels import Piece
from lockstep.session_shell import _hello as hello_message
from lockstep.trials.simulation.gateway_clients import END
from lockstep.trials.simulation.host import Host
from lockstep.trials.simulation.kernel import MS
from lockstep.trials.simulation.network import Pipe
from lockstep.trials.simulation.world import Violation, World
from lockstep.v1 import orders_pb2
from lockstep.wire.v1 import columns_pb2

_NEVER: Final = 2**63 - 1
_GRACES_MS: Final = (50, 300, 1200)
Row = tuple[int, int, int]


class ClientHost(Host):
    """See the module. `seen` and `answers` outlive its lives: they are what its owner wrote down."""

    machine: SessionMachine

    def __init__(self, world: World, id: int, addresses: tuple[int, ...]) -> None:
        super().__init__(world, "client", id)
        self.session_id = id << 32 | 7
        self._addresses = addresses
        # No dice: the other seeds, those that once found a bug among them, keep their runs.
        self.grace_ms = _GRACES_MS[id % 3] if world.kernel.seed % 7 > 3 else 0
        """Its cancel on disconnect, in three of seven seeds; 0: off."""
        # Where one message may be under way, commands wait for answers all the time.
        under_way = 1 if world.kernel.seed % 13 == 12 else SessionLimits().most_under_way
        self._limits = SessionLimits(
            max_unanswered=world.kernel.between(16, 200),
            batch_rows=64,
            most_under_way=under_way,
            cancel_on_disconnect_ms=self.grace_ms,
        )
        self.flow: deque[Piece] = deque()
        """Commands that it is going to give, in order."""
        self.flow_due_ns: deque[int] = deque()
        """When each may be given, at the earliest."""
        self.seen: list[Row] = []
        """Every report row in the order in which it was handed out: (seq, index, leg)."""
        self.answers: dict[int, int] = {}
        """Seq of the answer by session number."""
        self.given_on: dict[int, int] = {}
        """The latest connection when a piece was given, by its first session number."""
        self._checkpoint = Checkpoint(self.session_id)
        self._pipe: Pipe | None = None
        self._timer_ns = _NEVER

    @property
    def gateway(self) -> Host | None:
        """Where its stream is, or is being opened."""
        return None if self._pipe is None else self._pipe.gateway

    def connection_of(self, number: int) -> int:
        """The connection at the time when a command was given; it was never sent on an earlier one."""
        return self.given_on[max(first_no for first_no in self.given_on if first_no <= number)]

    @property
    def done(self) -> bool:
        """Everything was given and answered."""
        return self.alive and not self.flow and self.machine.unanswered == 0

    def status_epoch(self) -> int:
        """What it has seen."""
        return self.machine.epoch

    def on_start(self) -> None:
        """Go on from the checkpoint, by way of its JSON form."""
        self._pipe = None
        self._timer_ns = _NEVER
        checkpoint = Checkpoint.from_json(self._checkpoint.to_json()) if self.life > 1 else self._checkpoint
        self.machine = SessionMachine(checkpoint, self._limits)
        self._step(Opened())

    def tick_ns(self) -> int:
        """Besides its timer."""
        return 50 * MS

    def on_turn(self) -> None:
        """Take in what came, give what is due."""
        inbox, self.inbox = self.inbox, []
        for kind, pipe, *rest in inbox:
            current = self._pipe
            if current is None or pipe is not current:
                continue
            if kind == "stream":
                self._on_message(current, rest[0])
            else:
                self._step(StreamEnded(current.conn, rest[0], self.kernel.between(0, 999_999)))
        self._give()
        if self.kernel.now_ns >= self.machine.deadline_ns:
            self._step(Ticked())
        self._keep()

    def _give(self) -> None:
        now_ns = self.kernel.now_ns
        gave = False
        while self.flow and self.flow_due_ns[0] <= now_ns:
            first_no = self.machine.submit(self.flow[0], now_ns)
            if first_no is None:
                break
            self.given_on[first_no] = self.machine.connection
            self.flow.popleft()
            self.flow_due_ns.popleft()
            gave = True
        if gave:
            self._step(Ticked())

    def _keep(self) -> None:
        """Write the checkpoint down, and set the timer."""
        if self.machine.failure is not None:
            raise Violation(f"{self.name}'s session failed: {self.machine.failure.text}")
        self._checkpoint = self.machine.checkpoint()
        deadline_ns = self.machine.deadline_ns
        if self.flow:
            deadline_ns = min(deadline_ns, max(self.flow_due_ns[0], self.kernel.now_ns + 2 * MS))
        if deadline_ns < _NEVER and deadline_ns != self._timer_ns:
            self._timer_ns = deadline_ns
            self.kernel.after(max(0, deadline_ns - self.kernel.now_ns), self._on_timer, self.life, deadline_ns)

    def _on_timer(self, life: int, deadline_ns: int) -> None:
        if life == self.life and deadline_ns == self._timer_ns:
            self._timer_ns = _NEVER
            self.wake()

    def _step(self, event: SessionEvent) -> None:
        self._perform(self.machine.step(event, self.kernel.now_ns))

    def _perform(self, effects: Effects) -> None:
        if effects.disconnect and self._pipe is not None:
            self._pipe.end("cancelled by the client")
            self._pipe = None
        if effects.connect is not None:
            self._connect(effects.connect)
        for parcel in effects.send:
            if self._pipe is not None:
                self._pipe.send(parcel.encode(), up=True)
        if effects.reports is not None:
            self._take(effects.reports)

    def _connect(self, connect: Connect) -> None:
        if self._pipe is not None:
            self._pipe.end("replaced")
        gateway = self.world.host("gateway", self._addresses[connect.address % len(self._addresses)])
        self._pipe = self.world.network.connect(self, gateway, connect.conn)
        self._pipe.send(hello_message(connect, self.machine.number_connection(self.wall_ns() // MS)), up=True)

    def _on_message(self, pipe: Pipe, message: bytes) -> None:
        if message == END:
            pipe.end("the gateway ended the stream")
            return
        response = columns_pb2.SessionResponse.FromString(message)
        match response.WhichOneof("message"):
            case "report_batch":
                self._step(Reported(pipe.conn, decode_report_batch(response.report_batch, message)))
            case "welcome":
                welcome = orders_pb2.Welcome.FromString(response.welcome)
                follows = welcome.next_number_follows
                self._step(Welcomed(pipe.conn, welcome.stamp.epoch, welcome.credit, welcome.max_batch, follows))
            case "next_number":
                told = orders_pb2.NextNumber.FromString(response.next_number)
                self._step(NextNumberTold(pipe.conn, told.next_no, told.executed_no))
            case "refusal":
                said = orders_pb2.Refusal.FromString(response.refusal)
                self._step(
                    RefusalArrived(pipe.conn, said.from_no, said.code, said.text, said.retryable, said.retry_after_ms)
                )

    def _take(self, batch: ReportColumns) -> None:
        """The owner writes every row down, and what each of his commands came to."""
        rows = zip(batch.seq.tolist(), batch.index.tolist(), batch.leg.tolist(), batch.session_no.tolist(), strict=True)
        for seq, index, leg, number in rows:
            row = (seq, index, leg)
            if self.seen and row <= self.seen[-1]:
                raise Violation(f"{self.name} was told {row} after {self.seen[-1]}")
            self.seen.append(row)
            if leg == 0 and number:
                self.answers.setdefault(number, seq)

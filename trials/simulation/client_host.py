"""A simulated trading system: the real session machine and driver; simulated ports; a small flow of orders.

It can die and come back from the checkpoint that its owner keeps: mostly one for each report that he takes.
"""

from random import Random

from lockstep.columns import ReportColumns
from lockstep.session_driver import SessionDriver
from lockstep.session_events import Checkpoint, Failure, Parcel
from lockstep.session_machine import NEVER, SessionMachine
from lockstep.session_ports import Ports
from lockstep.stream.codes import Code
from lockstep.trials.simulation.client_limits import session_limits
from lockstep.trials.simulation.client_losses import is_taken_up
from lockstep.trials.simulation.client_owner import Owner
from lockstep.trials.simulation.gateway_clients import END
from lockstep.trials.simulation.host import Host
from lockstep.trials.simulation.kernel import MS
from lockstep.trials.simulation.network import Pipe
from lockstep.trials.simulation.timers import Alarm
from lockstep.trials.simulation.world import Violation, World


class ClientHost(Host, Ports):
    """See the module."""

    driver: SessionDriver

    session_number = 7
    failure: Failure | None = None

    def __init__(self, world: World, id: int, addresses: tuple[int, ...]) -> None:
        super().__init__(world, "client", id)
        self.session_id = id << 32 | self.session_number
        self.addresses = addresses
        self._limits = session_limits(world.kernel, id)
        self.grace_ms = self._limits.cancel_on_disconnect_ms
        self._taken_up = is_taken_up(world.kernel.seed)
        # A client that knows less can't learn from anybody what is under way at another gateway than its own.
        careless = self._taken_up and len(addresses) == 1
        dice = Random(world.kernel.seed ^ id ^ 0xC4EC)  # noqa: S311 - repeatable on purpose
        self.owner = Owner(self.name, self.session_id, dice if careless else None)
        self._pipe: Pipe | None = None
        self._due_ns = NEVER

    @property
    def machine(self) -> SessionMachine:
        """Of this life."""
        return self.driver.machine

    @property
    def gateway(self) -> Host | None:
        """Where its stream is, or is being opened."""
        return None if self._pipe is None else self._pipe.gateway

    @property
    def done(self) -> bool:
        """Everything was given and answered."""
        return self.alive and self.owner.has_given_all and self.machine.unanswered == 0

    def status_epoch(self) -> int:
        """What it has seen."""
        return self.machine.epoch

    def on_start(self) -> None:
        """Go on from the checkpoint, by way of its JSON form."""
        self._pipe = None
        self._alarm, self._due_ns = Alarm(self), NEVER
        kept = self.owner.checkpoint
        if self.life > 1:
            kept = Checkpoint.from_json(kept.to_json())
            self.owner.on_taken_up(asks=self._taken_up)
        machine = SessionMachine(kept, self._limits, taken_up=self._taken_up and self.life > 1)
        self.driver = SessionDriver(machine, self)
        self.driver.open()

    def tick_ns(self) -> int:
        """Besides its timer."""
        return 50 * MS

    def on_turn(self) -> None:
        """Handle what came, give what is due, write the checkpoint down."""
        inbox, self.inbox = self.inbox, []
        for kind, pipe, *rest in inbox:
            if kind == "ended":
                self.driver.on_ended(pipe.conn, rest[0], fatal_code=rest[1])
            elif rest[0] == END:
                reason, code = pipe.trailer
                pipe.end(reason, fatal_code=code)
            else:
                self.driver.on_message(pipe.conn, rest[0])
        if self.failure is not None:
            self.crash()
            return
        self.owner.give(self.driver, self.kernel.now_ns)
        if self.kernel.now_ns >= self._due_ns:
            self.driver.on_time()
        self.owner.keep(self.driver.checkpoint())
        # What stands in it waits for no company any more.
        self.driver.arm()
        self._alarm.set(min(self._due_ns, self.owner.due_ns(self.kernel.now_ns + 2 * MS)))

    # ---- the driver's ports --------------------------------------------------------------------------------------

    def now_ns(self) -> int:
        """See `Ports`."""
        return self.kernel.now_ns

    def jitter_ppm(self) -> int:
        """See `Ports`."""
        return self.kernel.between(0, 999_999)

    def wake_at(self, due_ns: int) -> None:
        """See `Ports`."""
        self._due_ns = due_ns

    def arm_soon(self) -> None:
        """See `Ports`."""
        self.driver.arm()

    def connect(self, conn: int, address: int, hello: bytes) -> None:
        """See `Ports`."""
        gateway = self.world.host("gateway", self.addresses[address % len(self.addresses)])
        self._pipe = self.world.network.connect(self, gateway, conn)
        self._pipe.send(hello, up=True)

    def disconnect(self, conn: int) -> None:
        """See `Ports`."""
        if self._pipe is not None and self._pipe.conn == conn:
            self._pipe.end("cancelled by the client")
            self._pipe = None

    def send(self, parcels: tuple[Parcel, ...]) -> None:
        """See `Ports`."""
        assert self._pipe is not None, "sent before a connection"
        for parcel in parcels:
            self._pipe.send(parcel.encode(), up=True)

    def deliver(self, batch: ReportColumns) -> None:
        """See `Ports`."""
        self.owner.on_delivered(batch)

    def on_failed(self, failure: Failure) -> None:
        """See `Ports`. Whether reports had to be gone, the judge has seen on its stream."""
        if failure.code != Code.REPORTS_GONE:
            raise Violation(f"{self.name}'s session failed: {failure.text}")
        self.failure = failure

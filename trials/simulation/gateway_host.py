"""A simulated gateway process: the real machine, driver and session streams; simulated ports, clients and disk."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from lockstep.gateway.disconnects import Watch
from lockstep.gateway.driver import GatewayDriver
from lockstep.gateway.machine import GatewayMachine, Settings
from lockstep.gateway.ports import Ports
from lockstep.runtime.downlink import LeftBehind
from lockstep.runtime.inquiry import Inquiry, Todo
from lockstep.stream.delivery_mark import DeliveryMark
from lockstep.stream.messages import Receipt, Release, Submit
from lockstep.stream.records import Commands
from lockstep.trials.simulation.disk import DeliveryNote, Intake
from lockstep.trials.simulation.gateway_clients import GatewayClients
from lockstep.trials.simulation.gateway_hearing import hear_sequencers
from lockstep.trials.simulation.host import Host
from lockstep.trials.simulation.kernel import MS, SECOND, START_NS
from lockstep.trials.simulation.questions import Questioner
from lockstep.trials.simulation.timers import HostTimer
from lockstep.trials.simulation.world import Violation, World

_LATE_NS: Final = MS


class GatewayHost(Host, Ports):
    """Supplies the driver's `Ports`, and carries clients' messages. See the module."""

    driver: GatewayDriver

    def __init__(self, world: World, id: int) -> None:
        super().__init__(world, "gateway", id)
        self.intake = Intake()
        self.delivery_note = DeliveryNote()
        self._questioner = Questioner(self)

    @property
    def machine(self) -> GatewayMachine:
        """Of this life."""
        return self.driver.machine

    def status_epoch(self) -> int:
        """What its heartbeats say: which life of it this is."""
        return self.intake.incarnation

    def delivered(self) -> DeliveryMark:
        """What its heartbeats say, too: how far it has delivered, in this life and those before."""
        return self.driver.delivered.said

    # ---- life ----------------------------------------------------------------------------------------------------

    def on_start(self) -> None:
        """What the intake log holds is sent again."""
        limits, timing = self.world.topology.limits, self.world.topology.timing
        now_s = (self.wall_ns() - START_NS) // SECOND
        self.intake.incarnation = max(self.intake.incarnation + 1, now_s)
        machine = GatewayMachine(
            Settings(
                gateway=self.id,
                incarnation=self.intake.incarnation,
                session_credit=limits.session_credit,
                max_commands=limits.window_commands,
                resend_ns=timing.resend_ms * MS,
                rewind_ns=timing.rewind_ms * MS,
            )
        )
        machine.restore(self.intake.unanswered(), self.intake.watched())
        engines = [engine.id for engine in self.world.of_kind("engine")]
        self.driver = GatewayDriver(machine, self, self.delivery_note, engines=engines, max_batch=limits.client_batch)
        self._clients = GatewayClients(self.driver)
        self.driver.start()

    # ---- turns ---------------------------------------------------------------------------------------------------

    def tick_ns(self) -> int:
        """Coarser than the real 10 ms, which only repeats."""
        return 20 * MS

    def on_turn(self) -> None:
        """One turn of the loop: frames, client messages, then what they brought leaves together."""
        inbox, self.inbox = self.inbox, []
        frames = [item for item in inbox if isinstance(item, Receipt | Release)]
        hear_sequencers(self, self.driver)
        if frames:
            self.driver.on_frames(frames)
        for item in inbox:
            if not isinstance(item, Receipt | Release):
                self._clients.on_item(item)
        self.driver.on_tick()
        self._clients.write()
        if self.driver.left_behind:
            self.crash()
            self.start()

    # ---- ports ---------------------------------------------------------------------------------------------------

    def now_ns(self) -> int:
        """See `Ports`."""
        return self.kernel.now_ns

    def at(self, due_ns: int, action: Callable[[], None]) -> HostTimer:
        """See `Ports`."""
        timer = HostTimer(self, action)
        # In a busy loop one gets its turn late; frames and messages come in meanwhile.
        late_ns = self.kernel.between(0, _LATE_NS)
        self.kernel.after(max(0, due_ns - self.kernel.now_ns) + late_ns, timer.ring)
        return timer

    def send(self, sequencer: int, frame: Submit) -> bool:
        """See `Ports`."""
        target = self.world.hosts.get(f"sequencer-{sequencer}")
        if target is not None:
            self.world.network.send(self, [target], frame)
        return target is not None

    def store(self, entries: Sequence[tuple[int, Commands]], forget_through: int, watched: Sequence[Watch]) -> bool:
        """See `Ports`."""
        self.intake.write(entries, forget_through, watched)
        return True

    def ask(self, inquiry: Inquiry, heard: Callable[[Todo], bool], client: str | None = None) -> None:
        """See `Ports`."""
        del client

        def hear(todo: Todo) -> bool:
            goes_on = heard(todo)
            self._clients.write()
            return goes_on

        self._questioner.ask(inquiry, hear)

    def on_left_behind(self, why: LeftBehind, *, accepted: bool) -> None:
        """See `Ports`."""
        if not why.diverged:
            self.note("was left behind by every journal")
            return
        if self.world.judge.loss_of(why.delivered_epoch, why.after_seq) is None:
            raise Violation(f"{self.name} hears that what it delivered up to seq {why.after_seq} was discarded")
        text = f"what it delivered up to seq {why.after_seq} is no history any more"
        self.note(f"starts anew: {text}" if accepted else f"waits: {text}, and nobody has accepted that")

    def note(self, text: str, **values: Any) -> None:
        """See `Ports`."""
        self.kernel.note(" ".join((self.name, text, *(f"{name}={value}" for name, value in values.items()))))

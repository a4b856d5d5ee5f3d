"""A simulated gateway process: the real machine, driver and session streams; simulated ports, clients and disk."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from lockstep.gateway.client_stream import ClientStream
from lockstep.gateway.disconnects import Watch
from lockstep.gateway.downlink import LeftBehind
from lockstep.gateway.driver import GatewayDriver
from lockstep.gateway.machine import GatewayMachine, Settings
from lockstep.gateway.ports import Ports
from lockstep.gateway.sessions import Refused
from lockstep.gateway.wire import decode_request
from lockstep.runtime.inquiry import Inquiry, Todo
from lockstep.runtime.topology import Client
from lockstep.stream.codes import Code
from lockstep.stream.frames import Frame
from lockstep.stream.records import Commands
from lockstep.stream.told import Told
from lockstep.trials.simulation.disk import Intake, ToldNote
from lockstep.trials.simulation.host import Host, hears
from lockstep.trials.simulation.kernel import MS, SECOND, START_NS
from lockstep.trials.simulation.network import Pipe
from lockstep.trials.simulation.questions import Questioner
from lockstep.trials.simulation.sequencer_host import SequencerHost
from lockstep.trials.simulation.world import Violation, World

_CLIENT: Final = Client("client", "token", admin=True)
_LATE_NS: Final = MS
END: Final = b""
"""The gateway's last message on a stream that it ends in order."""


class GatewayHost(Host, Ports):
    """Supplies the driver's `Ports`, and carries clients' messages. See the module."""

    driver: GatewayDriver

    def __init__(self, world: World, id: int) -> None:
        super().__init__(world, "gateway", id)
        self.intake = Intake()
        self.note_of_told = ToldNote()
        self._questioner = Questioner(self)
        self._pipes: dict[Pipe, ClientStream] = {}
        self._unread: dict[Pipe, list[bytes]] = {}  # of streams whose session's past is not known yet

    @property
    def machine(self) -> GatewayMachine:
        """Of this life."""
        return self.driver.machine

    def status_epoch(self) -> int:
        """What its heartbeats say: which life of it this is."""
        return self.intake.incarnation

    def told(self) -> Told:
        """What its heartbeats say, too: how far clients were told, in this life and those before."""
        return self.driver.delivered.said

    # ---- life ----------------------------------------------------------------------------------------------------

    def on_start(self) -> None:
        """What the intake log holds is sent again."""
        limits, timing = self.world.topology.limits, self.world.topology.timing
        now_s = (self.wall_ns() - START_NS) // SECOND
        self.intake.incarnation = max(self.intake.incarnation + 1, now_s)
        self._pipes.clear()
        self._unread.clear()
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
        self.driver = GatewayDriver(machine, self, self.note_of_told, engines=engines, max_batch=limits.client_batch)
        self.driver.start()

    # ---- turns ---------------------------------------------------------------------------------------------------

    def tick_ns(self) -> int:
        """Coarser than the real 10 ms, which only repeats."""
        return 20 * MS

    def on_turn(self) -> None:
        """One turn of the loop: frames, client messages, then what they brought leaves together."""
        inbox, self.inbox = self.inbox, []
        frames = [item for item in inbox if isinstance(item, Frame)]
        for sequencer in self.world.of_kind("sequencer"):
            if hears(self, sequencer):
                assert isinstance(sequencer, SequencerHost)
                self.machine.on_said(sequencer.id, sequencer.status_epoch(), sequencer.leads)
        if frames:
            self.driver.on_frames(frames)
        for item in inbox:
            if isinstance(item, tuple):
                if item[0] == "stream":
                    self._on_message(item[1], item[2])
                else:
                    self._on_ended(item[1])
        self.driver.on_tick()
        self._write_streams()
        if self.driver.left_behind:
            self.crash()
            self.start()

    # ---- ports ---------------------------------------------------------------------------------------------------

    def now_ns(self) -> int:
        """See `Ports`."""
        return self.kernel.now_ns

    def at(self, due_ns: int, action: Callable[[], None]) -> "_Timer":
        """See `Ports`."""
        timer = _Timer(self, action)
        # In a busy loop one gets its turn late; frames and messages are taken in meanwhile.
        late_ns = self.kernel.between(0, _LATE_NS)
        self.kernel.after(max(0, due_ns - self.kernel.now_ns) + late_ns, timer.ring)
        return timer

    def send(self, sequencer: int, frame: Frame) -> bool:
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
            self._write_streams()
            return goes_on

        self._questioner.ask(inquiry, hear)

    def on_left_behind(self, why: LeftBehind, *, accepted: bool) -> None:
        """See `Ports`."""
        del accepted
        if why.parted:
            raise Violation(f"{self.name} is told that what it delivered up to seq {why.after_seq} was given up")
        self.note("was left behind by every journal")

    def note(self, text: str, **values: Any) -> None:
        """See `Ports`."""
        self.kernel.note(" ".join((self.name, text, *(f"{name}={value}" for name, value in values.items()))))

    # ---- clients -------------------------------------------------------------------------------------------------

    def _on_message(self, pipe: Pipe, raw: bytes) -> None:
        stream = self._pipes.get(pipe)
        if stream is None:
            self._open(pipe, raw)
        elif stream.past_known.is_set():
            self.driver.streams.on_message(stream, raw, _CLIENT, None)
        else:
            self._unread.setdefault(pipe, []).append(raw)

    def _open(self, pipe: Pipe, raw: bytes) -> None:
        hello = decode_request(raw).hello
        if hello is None or self.machine.downlink is None:
            pipe.end("UNAVAILABLE: not in step with the cluster yet")
            return
        opened = self.driver.streams.open(_CLIENT.name, hello)
        if isinstance(opened, Refused):
            pipe.end(f"refused: {opened.code.name}")
        else:
            self._pipes[pipe] = opened

    def _on_ended(self, pipe: Pipe) -> None:
        self._unread.pop(pipe, None)
        stream = self._pipes.pop(pipe, None)
        if stream is not None:
            self.driver.streams.close(stream)

    def _write_streams(self) -> None:
        """What waits goes out, and what waited to be read is read."""
        for pipe, stream in list(self._pipes.items()):
            if pipe in self._unread and stream.past_known.is_set():
                for raw in self._unread.pop(pipe):
                    self.driver.streams.on_message(stream, raw, _CLIENT, None)
            while stream.wakeup.is_set() and not stream.closed:
                stream.wakeup.clear()
                for message in stream.take(self.machine.epoch, self.machine.delivered_seq):
                    pipe.send(message, up=False)
                self.driver.streams.on_drained(stream)
                if stream.end is not None:
                    if stream.end.code is Code.REPORTS_GONE:
                        raise Violation(f"{self.name} refuses session {stream.session_id:#x}: {stream.end.text}")
                    pipe.send(END, up=False)
                    break


class _Timer:
    """Rings in the life in which it was set, when the process has time."""

    def __init__(self, host: GatewayHost, action: Callable[[], None]) -> None:
        self._host = host
        self._life = host.life
        self._action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """See `Timer`."""
        self._action = None

    def ring(self) -> None:
        """It is time."""
        host = self._host
        if self._action is None or not host.alive or host.life != self._life:
            return
        if not host.responsive:
            host.kernel.after(host.tick_ns(), self.ring)
            return
        action, self._action = self._action, None
        action()
        host.wake()

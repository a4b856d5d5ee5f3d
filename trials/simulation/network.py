"""The simulated network: Aeron links, gRPC calls, client streams, and what can go wrong with each.

* A link keeps the order of its frames; it loses those that meet a full queue (`lossy`), a dead driver, a cut or a dead
  receiver. It never damages or doubles one.
* A call is asked once and answered once; the request or the answer can be lost with the connection, in which case the
  caller learns that it failed, or learns nothing until its deadline.
* A stream (TCP below) loses nothing while it lives: a cut holds its messages back, and breaks it if it lasts.

Cuts have a direction, so that partitions can be asymmetric.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from lockstep.stream.arrival import fault_of
from lockstep.stream.messages import LAYOUTS, Ack, Message, Receipt, Release, Stream, Submit, decode_any, encode
from lockstep.trials.simulation.host import Host
from lockstep.trials.simulation.kernel import MS, US, Kernel
from lockstep.trials.simulation.world import Violation

_KEEPALIVE_NS: Final = 1_200 * MS
_HELD_RETRY_NS: Final = 20 * MS

_CARRIES: Final[dict[tuple[str, str], type[Message]]] = {
    ("gateway", "sequencer"): Submit,
    ("sequencer", "gateway"): Receipt,
    ("sequencer", "engine"): Stream,
    ("engine", "engine"): Ack,
    ("engine", "sequencer"): Ack,
    ("engine", "gateway"): Release,
}

Done = Callable[[Any, str], None]


def _number_of(frame: Message) -> int:
    """The seq or link number that it is about."""
    match frame:
        case Submit():
            return frame.first_link_no
        case Receipt():
            return frame.next_link_no
        case Stream():
            return frame.batch.first_seq
        case Ack():
            return frame.acked_seq
        case Release():
            return frame.first_seq


class Call:
    """One gRPC call. `done(reply, failure)` is called once, in the caller's life that made it."""

    __slots__ = ("_done", "_life", "finished", "source")

    def __init__(self, source: Host, done: Done) -> None:
        self.source = source
        self._life = source.life
        self._done = done
        self.finished = False

    def finish(self, reply: Any, failure: str) -> None:
        """The first ending counts."""
        if not self.finished:
            self.finished = True
            if self.source.alive and self.source.life == self._life:
                self._done(reply, failure)


class Pipe:
    """A client's stream to a gateway."""

    def __init__(self, network: "Network", client: Host, gateway: Host, conn: int) -> None:
        self.network = network
        self.client, self.gateway, self.conn = client, gateway, conn
        self.open = True
        self.trailer = ("the gateway ended the stream", 0)
        """What comes with the end that the gateway makes in order: why, and the code of one that is for good."""
        self._lives = (client.life, gateway.life)
        self._queues: dict[bool, deque[Any]] = {True: deque(), False: deque()}
        self._last_ns = {True: 0, False: 0}
        self._held_since_ns: int | None = None

    @property
    def live(self) -> bool:
        """Both ends are still those that opened it."""
        return self.open and self._lives == (self.client.life, self.gateway.life)

    def send(self, message: Any, *, up: bool) -> None:
        """Send to the gateway (`up`) or to the client."""
        if not self.open:
            return
        kernel = self.network.kernel
        self.network.on_stream_message(self, message, up)
        due_ns = max(self._last_ns[up], kernel.now_ns + self.network.delay_ns())
        self._last_ns[up] = due_ns
        self._queues[up].append(message)
        kernel.after(due_ns - kernel.now_ns, self._deliver, up)

    def _deliver(self, up: bool) -> None:
        if not self.live or not self._queues[up]:
            return
        network = self.network
        source, target = (self.client, self.gateway) if up else (self.gateway, self.client)
        if not network.reaches(source, target):
            since = self._held_since_ns if self._held_since_ns is not None else network.kernel.now_ns
            self._held_since_ns = since
            if network.kernel.now_ns - since > _KEEPALIVE_NS:
                self.end("keepalive")
            else:
                network.kernel.after(_HELD_RETRY_NS, self._deliver, up)
            return
        self._held_since_ns = None
        message = self._queues[up].popleft()
        network.kernel.witness(target.name, 6, len(message))
        target.post(("stream", self, message))

    def end(self, reason: str, *, fatal_code: int = 0) -> None:
        """It is over: each end that is still there learns it."""
        if not self.open:
            return
        self.open = False
        kernel = self.network.kernel
        for host, life in zip((self.client, self.gateway), self._lives, strict=True):
            if host.alive and host.life == life:
                kernel.after(self.network.delay_ns(), self._tell, host, life, reason, fatal_code)

    def _tell(self, host: Host, life: int, reason: str, fatal_code: int) -> None:
        if host.alive and host.life == life:
            host.post(("ended", self, reason, fatal_code))


class Network:
    """See the module."""

    def __init__(self, kernel: Kernel, *, encode: bool) -> None:
        self.kernel = kernel
        self.encode = encode
        self.calm = False
        """After the healing: nothing is lost or late any more."""
        self.lossy: dict[tuple[str, str], int] = {}
        """Frames lost per thousand, by link."""
        self.slow: dict[tuple[str, str], int] = {}
        """Delay added to every frame, ns, by link."""
        self.driver_down = False
        self.mute: dict[str, bool] = {}
        """Hosts (by process name) whose media driver is lost: their links carry nothing."""
        self.on_cut_change: Callable[[], None] = lambda: None
        self.on_stream_message: Callable[[Pipe, bytes, bool], None] = lambda _pipe, _message, _up: None
        """Sees what is written to a client's stream; the last says whether it goes to the gateway."""
        self._generation = 0  # of the media driver
        self._cuts: dict[tuple[str, str], int] = {}
        self._last_ns: dict[tuple[str, int, str], int] = {}
        self._calls: dict[str, list[Call]] = {}
        self._pipes: list[Pipe] = []
        self.frames_lost = 0

    # ---- the wires -----------------------------------------------------------------------------------------------

    def reaches(self, source: Host, target: Host) -> bool:
        """Whether a packet would get there."""
        return not self._cuts or not self._cuts.get((source.name, target.name))

    def name_reaches(self, source: str, target: str) -> bool:
        """Like `reaches`, for ends that are no process (etcd)."""
        return not self._cuts.get((source, target))

    def cut(self, pairs: list[tuple[str, str]]) -> None:
        """Cut these directed ways; cuts of one way add up."""
        for pair in pairs:
            self._cuts[pair] = self._cuts.get(pair, 0) + 1
        self.on_cut_change()

    def mend(self, pairs: list[tuple[str, str]]) -> None:
        """Take back a `cut`."""
        for pair in pairs:
            left = self._cuts[pair] - 1
            if left:
                self._cuts[pair] = left
            else:
                del self._cuts[pair]
        self.on_cut_change()

    def delay_ns(self) -> int:
        """How long a packet takes: mostly fast, sometimes not."""
        kernel = self.kernel
        if not self.calm and kernel.chance(1, 40):
            return kernel.between(1 * MS, 30 * MS)
        return kernel.between(20 * US, 300 * US)

    # ---- links ---------------------------------------------------------------------------------------------------

    def lose_driver(self) -> None:
        """The media driver dies: what is under way is lost, and nothing is taken until it is back."""
        self.driver_down = True
        self._generation += 1

    def has_driver(self, host: Host) -> bool:
        """Whether the media driver of this process' machine lives."""
        return not self.driver_down and not self.mute.get(host.name, False)

    def send(self, source: Host, targets: list[Host], frame: Message) -> None:
        """Send a frame on a link to each of `targets`."""
        raw = encode(frame) if self.encode else None
        kernel = self.kernel
        for target in targets:
            if not target.alive or not self.has_driver(source) or not self.has_driver(target):
                self.frames_lost += 1
                continue
            if self.lossy:
                per_mille = self.lossy.get((source.name, target.name), 0)
                if per_mille and kernel.chance(per_mille, 1000):
                    self.frames_lost += 1
                    continue
            key = (source.name, source.life, target.name)
            late_ns = self.slow.get((source.name, target.name), 0) if self.slow else 0
            due_ns = max(self._last_ns.get(key, 0), kernel.now_ns + self.delay_ns() + late_ns)
            self._last_ns[key] = due_ns
            kernel.after(
                due_ns - kernel.now_ns, self._arrive, source, target, target.life, self._generation,
                frame if raw is None else raw,
            )  # fmt: skip

    def _arrive(self, source: Host, target: Host, life: int, generation: int, message: Message | bytes) -> None:
        gone = not target.alive or target.life != life or generation != self._generation
        if gone or (self.mute and not (self.has_driver(source) and self.has_driver(target))):
            self.frames_lost += 1
            return
        if self._cuts and self._cuts.get((source.name, target.name)):
            self.frames_lost += 1
            return
        frame = decode_any(message) if isinstance(message, bytes) else message
        fault = fault_of(frame, _CARRIES[source.kind, target.kind], source.id)
        if fault:
            raise Violation(f"{source.name} has sent what {target.name} drops: {fault}")
        self.kernel.witness(target.name, LAYOUTS[type(frame)].kind, _number_of(frame))
        target.post(frame)

    def forge(self, target: Host, frame: Message, *, link_of: Host) -> str:
        """A frame arrives on a link that its sender did not send; why the receiver's shell drops it, if it does."""
        fault = fault_of(frame, _CARRIES[link_of.kind, target.kind], link_of.id)
        if not fault and target.alive:
            target.post(frame)
        return fault

    # ---- calls ---------------------------------------------------------------------------------------------------

    def call(
        self,
        source: Host,
        target: Host,
        request: Callable[[Host, Done], None],
        done: Done,
        *,
        timeout_ns: int,
        patient: bool = False,
    ) -> None:
        """Have `request(target, answer)` done at the target. `patient`: wait for it to be there (wait_for_ready)."""
        call = Call(source, done)
        self.kernel.after(timeout_ns, call.finish, None, "DEADLINE_EXCEEDED")
        self._attempt(call, target, request, self.kernel.now_ns + timeout_ns, patient)

    def _attempt(
        self, call: Call, target: Host, request: Callable[[Host, Done], None], until_ns: int, patient: bool
    ) -> None:
        if call.finished:
            return
        kernel = self.kernel
        if not target.alive or not self.reaches(call.source, target) or not self.reaches(target, call.source):
            if patient or target.alive:
                kernel.after(15 * MS, self._attempt, call, target, request, until_ns, patient)
            else:
                kernel.after(self.delay_ns(), call.finish, None, "UNAVAILABLE: connection refused")
            return
        if not self.calm and kernel.chance(1, 60):
            # The connection breaks, before or after the request got through.
            kernel.after(self.delay_ns(), call.finish, None, "UNAVAILABLE: connection reset")
            if kernel.chance(1, 2):
                return
        kernel.after(self.delay_ns(), self._serve, call, target, target.life, request)

    def _serve(self, call: Call, target: Host, life: int, request: Callable[[Host, Done], None]) -> None:
        if not target.alive or target.life != life or not self.reaches(call.source, target):
            self.kernel.after(self.delay_ns(), call.finish, None, "UNAVAILABLE: connection reset")
            return
        pending = self._calls.setdefault(target.name, [])
        if len(pending) > 64:
            pending[:] = [one for one in pending if not one.finished]
        pending.append(call)

        def answer(reply: Any, failure: str) -> None:
            if target.alive and target.life == life and self.reaches(target, call.source):
                self.kernel.after(self.delay_ns(), call.finish, reply, failure)

        request(target, answer)

    # ---- streams -------------------------------------------------------------------------------------------------

    def connect(self, client: Host, gateway: Host, conn: int) -> Pipe:
        """Open a stream; a dead gateway refuses it, a cut keeps it silent."""
        pipe = Pipe(self, client, gateway, conn)
        if not gateway.alive:
            pipe.end("UNAVAILABLE: connection refused")
        else:
            self._pipes = [one for one in self._pipes if one.open]
            self._pipes.append(pipe)
        return pipe

    def break_streams(self, host: Host) -> None:
        """Reset every stream of a host."""
        for pipe in self._pipes:
            if host in (pipe.client, pipe.gateway):
                pipe.end("connection reset")

    def on_change(self, host: Host) -> None:
        """A process died: its connections end."""
        if host.alive:
            return
        for call in self._calls.pop(host.name, ()):
            self.kernel.after(self.delay_ns(), call.finish, None, "UNAVAILABLE: connection reset")
        self.break_streams(host)

"""Two sides of a FIX session, and a line between them that loses, garbles, is cut, and delivers late."""

from collections import Counter, deque
from dataclasses import dataclass, field, replace
from typing import Final

from lockstep.edge.fix import tags
from lockstep.edge.fix.dictionary import Dictionary
from lockstep.edge.fix.formats import natural
from lockstep.edge.fix.session import Session
from lockstep.edge.fix.times import NS
from lockstep.edge.fix.values import (
    Accepted,
    Called,
    Came,
    Dropped,
    Effects,
    Event,
    Fetched,
    Numbers,
    Profile,
    Regenerated,
    Send,
    Ticked,
)
from lockstep.edge.fix.wire import Field, Framer, Message

START_NS: Final = 1_780_000_000 * NS
PIECE: Final = 3
"""Numbers that are made again at once: less than is asked for, so that an answer takes several turns."""


def news(ref: int) -> tuple[Field, ...]:
    """The message that a reference stands for."""
    return ((148, b"%d" % ref), (33, b"1"), (58, b"line"))


@dataclass
class Host:
    """One side: what it keeps for ever, and its session on the connection of the moment."""

    profile: Profile
    numbers: Numbers = field(default_factory=Numbers)
    refs: dict[tuple[int, int], int] = field(default_factory=dict)
    """(life, MsgSeqNum) to what a message is made from again."""
    sent: int = 0
    delivered: list[int] = field(default_factory=list)
    session: Session | None = None
    out: deque[bytes] = field(default_factory=deque)
    """Messages under way to the other side."""
    fetch: list[Event] = field(default_factory=list)
    unmarked: Counter[tuple[int, int]] = field(default_factory=Counter)
    """How often each application message went out without being marked as repeated."""
    marked: int = 0

    def do(self, event: Event, now_ns: int, *, dies: bool = False) -> None:
        """One event. `dies`: the process ends once it has kept what it must, before it sends anything."""
        assert self.session is not None
        effects = self.session.step(event, now_ns)
        if effects.numbers is not None:
            self.numbers = Numbers.unpacked(effects.numbers.packed())
        for number, ref in effects.numbered:
            self.refs[self.numbers.life, number] = ref
        for message in effects.deliver:
            self.delivered.append(int(message.value(148) or b""))
        if dies:
            self.session = None
            return
        self._sent(effects)
        if effects.claim is not None:
            self.do(Accepted(self.numbers), now_ns)
        if effects.fetch is not None:
            life, begin = effects.fetch.life, effects.fetch.begin
            end = min(effects.fetch.end, begin + PIECE - 1)
            found = [(number, self.refs.get((life, number))) for number in range(begin, end + 1)]
            messages = (Regenerated(number, b"B", news(ref), START_NS) for number, ref in found if ref is not None)
            self.fetch.append(Fetched(life, begin, end, tuple(messages)))

    def _sent(self, effects: Effects) -> None:
        framer = Framer()
        for part in effects.send.replace(b"\x018=FIX", b"\x01\x008=FIX").split(b"\x00"):
            for frame in framer.feed(part):
                assert isinstance(frame, Message)
                self.out.append(part)
                self._note(frame)

    def _note(self, message: Message) -> None:
        if message.kind in tags.ADMINISTRATIVE:
            return
        if message.value(tags.POSS_DUP_FLAG) == b"Y":
            self.marked += 1
        else:
            self.unmarked[self.numbers.life, natural(message.value(tags.MSG_SEQ_NUM)) or 0] += 1

    def send(self, now_ns: int, *, dies: bool = False) -> None:
        """The application has a message for the other side, whether there is a connection or not."""
        self.sent += 1
        if self.session is None or not self.session.is_known:
            self.refs[self.numbers.life, self.numbers.next_out] = self.sent
            self.numbers = self.numbers.after_one_more()
        else:
            self.do(Send(b"B", news(self.sent), self.sent), now_ns, dies=dies)


class Line:
    """Both sides. `now_ns` goes on with all that happens."""

    def __init__(self, dictionary: Dictionary, *, negotiates: bool) -> None:
        profile = Profile(dictionary, b"VENUE", window_ns=10**9 * NS, hold=8)
        self.acceptor = Host(profile)
        self.initiator = Host(replace(profile, comp_id=b"CLIENT", peer=b"VENUE", initiates=True, negotiates=negotiates))
        self.now_ns = START_NS
        self._late: list[tuple[Session, bytes]] = []
        """Sessions of connections that are over, and what was still under way to them."""

    def host(self, side: int) -> Host:
        """0: the acceptor, 1: the initiator."""
        return (self.acceptor, self.initiator)[side]

    @property
    def is_up(self) -> bool:
        """Whether there is a connection that neither side has ended."""
        sessions = (self.acceptor.session, self.initiator.session)
        return all(session is not None and not session.is_over for session in sessions)

    def connect(self) -> None:
        """A new connection, if there is none; the initiator logs on."""
        if self.is_up:
            return
        self.cut()
        for host in (self.acceptor, self.initiator):
            host.session = Session(host.profile, self.now_ns)
        self.initiator.do(Called(self.initiator.numbers), self.now_ns)

    def cut(self) -> None:
        """The connection is gone, and what was under way is lost, or comes to the ended sessions later."""
        for host, other in ((self.acceptor, self.initiator), (self.initiator, self.acceptor)):
            if host.session is not None:
                host.do(Dropped(), self.now_ns)
                self._late.append((host.session, b"".join(other.out)))
        for host in (self.acceptor, self.initiator):
            host.session = None
            host.out.clear()
            host.fetch.clear()

    def come_late(self) -> None:
        """What was under way to ended sessions comes: nothing follows from it."""
        for session, data in self._late:
            effects = session.step(Came(data), self.now_ns)
            assert not effects.send
            assert not effects.deliver
        self._late.clear()

    def flow(self, side: int, count: int, *, garble: bool = False) -> None:
        """Up to `count` messages of one side arrive; the first one garbled."""
        host, other = self.host(side), self.host(1 - side)
        for at in range(count):
            if not host.out or other.session is None or other.session.is_over:
                return
            part = host.out.popleft()
            if garble and not at:
                part = part[:-5] + b"xxx\x01"
            # In two pieces, as a network may cut it.
            for piece in (part[: len(part) // 2], part[len(part) // 2 :]):
                if other.session is not None and not other.session.is_over:
                    other.do(Came(piece), self.now_ns)

    def regenerate(self, side: int) -> None:
        """Messages to be resent are there."""
        host = self.host(side)
        if host.fetch and host.session is not None:
            host.do(host.fetch.pop(0), self.now_ns)

    def tick(self, seconds: int) -> None:
        """Time passes."""
        self.now_ns += seconds * NS
        for host in (self.acceptor, self.initiator):
            if host.session is not None:
                host.do(Ticked(), self.now_ns)

    @property
    def is_quiet(self) -> bool:
        """Whether both sides have all that was sent."""
        return all(
            len(other.delivered) == host.sent
            for host, other in ((self.acceptor, self.initiator), (self.initiator, self.acceptor))
        )

    def heal(self) -> int:
        """Let it work until all has come. Returns how many rounds it took; at most 200."""
        for turn in range(200):
            if self.is_quiet:
                return turn
            self.connect()
            for side in (0, 1):
                self.flow(side, 100)
                self.regenerate(side)
            if not any(host.out or host.fetch for host in (self.acceptor, self.initiator)):
                self.tick(10)
        return 200

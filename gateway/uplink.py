"""The way to the sequencer: link numbers, reigns, and sending again. Pure.

Every command that was admitted stands here until it is answered and, if it was sent, until the sequencer has said that
it got it. Entries keep the order in which the gateway admitted them, so every session's commands stay in order however
often they are sent again.

* A *reign* is one term of office of one sequencer. With each new one, link numbers begin again at 1, and everything
  unanswered is sent again before anything new.
* A *receipt* says the next link number that the sequencer expects, and how many commands it lets come beyond it.
  If it rewinds, a frame was lost on the way: everything from there on is sent again.
* Without a leader entries are held back. Their number is bounded (`room`), so a client is refused (retryably) instead.

The sequencer drops what it has, engines execute a session number once: sending too often is harmless.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from lockstep.gateway.sessions import UNOWNED, Session, SessionTable
from lockstep.gateway.states import OFFICES, Heard, Office, after
from lockstep.stream.arrival import MAX_UNEXPLAINED_EPOCHS, has_administration
from lockstep.stream.codes import Code
from lockstep.stream.messages import Receipt, Submit
from lockstep.stream.records import Commands
from lockstep.stream.values import frozen

NO_LEADER: Final = 0
_MS: Final = 1_000_000
# A heartbeat that names a new epoch comes a few ms after it began.
_DISOWN_NS: Final = 250 * _MS
_REIGNS_KEPT: Final = 256
_LOOK_NS: Final = 100 * _MS
_LATE_NS: Final = 2_000 * _MS
_LONGEST_BACKOFF: Final = 3
"""Doublings of the wait before everything goes again, while nothing is confirmed."""


@dataclass(slots=True, eq=False)
class Entry:
    """Commands that travel in one SUBMIT frame."""

    key: int
    """Position in the intake log: 1, 2, 3 ..."""
    records: Commands = field(repr=False)
    runs: tuple[tuple[Session, int], ...]
    """For each session in it: the highest number."""
    link_no: int = 0
    """Link number of the first command in the present reign; 0: not sent in it."""

    @property
    def answered(self) -> bool:
        """Every command in it has been executed or refused."""
        return all(number <= session.answered for session, number in self.runs)


@frozen
class Leader:
    """The sequencer in office."""

    sequencer: int
    reign: int
    """Epoch in which it took office."""
    epoch: int


class Uplink:
    """Entries in order: `_sent` in this reign, then `_waiting`.

    Invariants: link numbers of `_sent` are contiguous and end below `_next_link`; `_acked_link <= _next_link`;
    `_commands` counts those of all entries, `_waiting_commands` those of `_waiting`.
    """

    def __init__(
        self,
        gateway: int,
        incarnation: int,
        *,
        max_commands: int,
        resend_ns: int = 250 * _MS,
        rewind_ns: int = 20 * _MS,
        silence_ns: int = 1000 * _MS,
        first_key: int = 1,
    ) -> None:
        """`silence_ns`: without a receipt for so long nothing new is admitted. `first_key`: of the intake log."""
        self.gateway = gateway
        self.incarnation = incarnation
        self.leader: Leader | None = None
        self.entries_resent = 0
        """Since the start; an entry counts each time."""
        self.stale_receipts = 0
        self._max_commands = max_commands
        self._resend_ns = resend_ns
        self._rewind_ns = rewind_ns
        self._silence_ns = silence_ns
        self._next_key = first_key
        self._reign = 0
        self._sent: deque[Entry] = deque()
        self._waiting: deque[Entry] = deque()
        self._commands = 0
        self._waiting_commands = 0
        self._next_link = 1
        self._peak_link = 1  # the highest next one of this reign
        self._acked_link = 1
        self._credit = 0
        self._heard_ns = 0
        self._progress_ns = 0
        self._rewound_to = 0
        self._rewound_ns = 0
        self._said: dict[int, int] = {}  # by sequencer: the epoch that it says itself
        self._leads: dict[int, bool] = {}  # and whether it leads
        self._leader_since_ns = 0
        self._left: dict[int, int] = {}  # by reign that ended here: behind the highest link number given in it
        self._strange = 0  # the link number that the last receipt said, where that was never given
        self._strange_ns = 0  # since when it says so
        self._look_due_ns = 0
        self._oldest: Entry | None = None  # first that was sent and is not answered
        self._oldest_ns = 0
        self._committed = 0  # as the leader's last receipt says
        self._committed_then = 0  # when the oldest was sent
        self._without_effect = 0  # times that it was sent again because it seemed to be passed over
        self._fruitless = 0  # times in a row that everything went again and nothing was confirmed

    @property
    def state(self) -> Office:
        """Whether a sequencer is known that takes commands; it may be silent, though: see `closed`."""
        return Office.VACANT if self.leader is None else Office.HELD

    @property
    def unanswered_commands(self) -> int:
        """Commands that stand here."""
        return self._commands

    @property
    def frames_under_way(self) -> int:
        """Frames that are not answered yet, those included that wait for credit."""
        return len(self._waiting) + sum(not entry.answered for entry in self._sent)

    def under_way(self, session_id: int) -> list[Commands]:
        """A session's commands that stand here, in order."""
        found = (entry.records[entry.records["session_id"] == session_id] for entry in (*self._sent, *self._waiting))
        return [records for records in found if len(records)]

    def closed(self, now_ns: int) -> Code | None:
        """Why nothing new is admitted; None if it is."""
        if self.leader is None or now_ns - self._heard_ns > self._silence_ns:
            return Code.UNAVAILABLE
        return None

    def room(self) -> int:
        """Commands that may be admitted now: the sequencer's credit, and the bound on what stands here."""
        credit = self._credit - (self._next_link - self._acked_link) - self._waiting_commands
        return max(0, min(credit, self._max_commands - self._commands))

    def enqueue(self, records: Commands, runs: tuple[tuple[Session, int], ...]) -> Entry:
        """Admit commands, behind all others. At most one frame's worth."""
        entry = Entry(self._next_key, records, runs)
        self._next_key += 1
        self._waiting.append(entry)
        self._waiting_commands += len(records)
        self._commands += len(records)
        return entry

    def restore(self, stored: Iterable[tuple[int, Commands]], sessions: SessionTable) -> None:
        """What the intake log of the former life still holds, oldest first. Call it before anything is admitted."""
        for key, records in stored:
            highest: dict[int, int] = {}
            for session_id, number in zip(records["session_id"].tolist(), records["session_no"].tolist(), strict=True):
                highest[session_id] = max(number, highest.get(session_id, 0))
            # Stand-ins: nobody has said Hello for these sessions in this life. They follow the events by themselves.
            runs = []
            for session_id, number in highest.items():
                session = sessions.get(session_id)
                if session is None:
                    first = int(records["session_no"][records["session_id"] == session_id].min())
                    made = sessions.ensure(session_id, UNOWNED, first)
                    session = made if isinstance(made, Session) else Session(session_id, UNOWNED, first, first - 1)
                session.expected = max(session.expected, number + 1)
                session.in_flight_to = max(session.in_flight_to, number)
                sessions.count(session)
                runs.append((session, number))
            self._waiting.append(Entry(key, records, tuple(runs)))
            self._waiting_commands += len(records)
            self._commands += len(records)
            self._next_key = key + 1

    def on_receipt(self, receipt: Receipt, now_ns: int) -> bool:
        """A RECEIPT came; whether it began a new reign. Call `plan_sends` afterwards."""
        reign = receipt.reign
        if reign < self._reign and self._was_nobodys(receipt, now_ns):
            self._leave()
        # Only one sequencer ever leads in a reign; on its link nothing overtakes.
        rival = reign == self._reign and self.leader is not None and self.leader.sequencer != receipt.sender
        if reign < self._reign or rival or not self._explained(receipt):
            self.stale_receipts += 1
            return False
        if not receipt.opens:
            if self.leader is not None and self.leader.sequencer == receipt.sender:
                self._move(Heard.CLOSED, None)
            return False
        new = reign > self._reign
        if new:
            self._begin_reign(reign)
            self._progress_ns = now_ns
        if new or self.leader is None or self.leader.epoch != receipt.epoch:
            self._leader_since_ns = now_ns
        leader = Leader(receipt.sender, reign, receipt.epoch)
        if new or self.leader is None:
            self._move(Heard.NEW_REIGN if new else Heard.OPEN_AGAIN, leader)
        self.leader = leader
        if new or now_ns - self._heard_ns > self._resend_ns:
            # It can be heard again, so it hears again.
            self._fruitless = 0
        self._heard_ns = now_ns
        self._credit = receipt.credit
        self._committed = receipt.committed_seq
        if receipt.incarnation != self.incarnation:
            # The sequencer has not heard of this life yet: its numbers are those of the one before.
            return new
        lowest = self._sent[0].link_no if self._sent else self._next_link
        strange = not lowest <= receipt.next_link_no <= self._peak_link
        self._on_number(receipt.next_link_no if strange else 0, now_ns)
        if self._acked_link < receipt.next_link_no <= self._next_link:
            self._acked_link = receipt.next_link_no
            self._progress_ns = now_ns
            self._fruitless = 0
        if receipt.rewinds:
            fresh = receipt.next_link_no != self._rewound_to or now_ns - self._rewound_ns >= self._rewind_ns
            # Below what counts as confirmed, too: one odd receipt may have said so.
            if fresh and self._sent and receipt.next_link_no >= self._sent[0].link_no:
                self._acked_link = min(self._acked_link, receipt.next_link_no)
                self._rewind(receipt.next_link_no, now_ns)
        return new

    def on_said(self, sequencer: int, epoch: int, leads: bool) -> None:
        """A sequencer says on its own liveness link in which epoch it knows the cluster to be, and whether it leads."""
        self._said[sequencer] = epoch
        self._leads[sequencer] = leads

    @property
    def highest_said(self) -> int:
        """Highest epoch that a sequencer says that it is in; 0: none was heard."""
        return max(self._said.values(), default=0)

    def _explained(self, receipt: Receipt) -> bool:
        """Whether a receipt's epoch may be believed: hardly above what is known, or its sequencer stands by it."""
        said = self._said.get(receipt.sender, 0)
        known = max(self._reign, 0 if self.leader is None else self.leader.epoch)
        return receipt.epoch <= max(said, known or said or receipt.epoch) + MAX_UNEXPLAINED_EPOCHS

    def _was_nobodys(self, receipt: Receipt, now_ns: int) -> bool:
        """Whether the reign that counts here is none: nothing is heard of it, and a sequencer that says itself that it
        leads, in an epoch that is not lower, names its own reign."""
        known = 0 if self.leader is None else self.leader.epoch
        stands = self._leads.get(receipt.sender, False) and receipt.epoch == self._said.get(receipt.sender, 0) >= known
        return stands and receipt.opens and now_ns - self._heard_ns > _DISOWN_NS

    def _disown(self, now_ns: int) -> None:
        """Forget a leader whose sequencer itself says, long after, that it does not lead, or is in no such epoch."""
        leader = self.leader
        if leader is None or now_ns - self._leader_since_ns < _DISOWN_NS:
            return
        if self._leads.get(leader.sequencer, True) and not 0 < self._said.get(leader.sequencer, 0) < leader.epoch:
            return
        self._leave()

    def _leave(self) -> None:
        """Nobody's reign is known any more."""
        self._note_reign()
        self._reign = 0
        if self.leader is not None:
            self._move(Heard.DISOWNED, None)

    def _note_reign(self) -> None:
        self._note_given()
        while len(self._left) > _REIGNS_KEPT:
            del self._left[min(self._left)]

    def _move(self, heard: Heard, leader: Leader | None) -> None:
        state = after(OFFICES, self.state, heard)
        self.leader = leader
        assert self.state is state, f"{heard.value} has made the office {self.state.value}"

    def _note_given(self) -> None:
        self._left[self._reign] = max(self._peak_link, self._left.get(self._reign, 1))

    def _begin_reign(self, reign: int) -> None:
        self._note_reign()
        self._reign = reign
        self._strange = 0
        entries = [*self._sent, *self._waiting]
        self._sent.clear()
        self._waiting = deque(entry for entry in entries if not entry.answered)
        self.entries_resent += sum(entry.link_no != 0 for entry in self._waiting)
        self._commands = self._waiting_commands = sum(len(entry.records) for entry in self._waiting)
        for entry in self._waiting:
            entry.link_no = 0
        # A reign that an odd receipt had ended here goes on behind what was sent in it: a number that is too high is
        # asked for again, one that is too low would be taken for a repeat, and what follows it would overtake.
        self._next_link = self._acked_link = self._peak_link = self._left.get(reign, 1)
        self._rewound_to = 0

    def _on_number(self, strange: int, now_ns: int) -> None:
        """A receipt of this life says a number that was never given; 0: one that was. It counts when it is said for a
        while and nothing else is, a lower one ten times as long: what follows a repeat could overtake it."""
        stands_ns = self._rewind_ns if strange > self._peak_link else 10 * self._rewind_ns
        if strange != self._strange:
            self._strange, self._strange_ns = strange, now_ns
        elif strange and now_ns - self._strange_ns >= stands_ns:
            self._renumber(strange)

    def _renumber(self, link_no: int) -> None:
        """The sequencer knows this life by numbers that it never gave, because of a receipt that was nobody's: what is
        not answered goes again from the number that it expects."""
        while self._sent:
            entry = self._sent.pop()
            self._waiting.appendleft(entry)
            self._waiting_commands += len(entry.records)
            self.entries_resent += 1
        self._note_given()
        self._next_link = self._acked_link = self._peak_link = link_no

    def _look_for_passed_over(self, now_ns: int) -> None:
        """A link keeps order, so what is unanswered before something answered was never taken, whatever a receipt said.

        Where nothing follows, only time decides: two seconds in which the cluster commits; the wait doubles.
        """
        if now_ns < self._look_due_ns:
            return
        self._look_due_ns = now_ns + _LOOK_NS
        waits = [entry for entry in self._sent if not entry.answered]
        if not waits or waits[0] is not self._oldest:
            self._oldest, self._oldest_ns = waits[0] if waits else None, now_ns
            self._without_effect, self._committed_then = 0, self._committed
        if not waits or self.leader is None:
            return
        passed = any(entry.answered for entry in self._sent if entry.link_no > waits[0].link_no)
        late = self._committed > self._committed_then and now_ns - self._oldest_ns >= _LATE_NS << self._without_effect
        late = late and self._acked_link == self._next_link
        if (passed and now_ns - self._oldest_ns >= _DISOWN_NS) or late:
            self._oldest_ns, self._committed_then = now_ns, self._committed
            self._without_effect = min(self._without_effect + 1, _LONGEST_BACKOFF)
            self._renumber(self._next_link)

    def _rewind(self, link_no: int, now_ns: int) -> None:
        """Everything from `link_no` on goes again under the numbers it had."""
        self._rewound_to, self._rewound_ns = link_no, now_ns
        self._progress_ns = now_ns
        while self._sent and self._sent[-1].link_no >= link_no:
            entry = self._sent.pop()
            self._next_link = entry.link_no
            self._waiting.appendleft(entry)
            self._waiting_commands += len(entry.records)
            self.entries_resent += 1

    def on_send_failed(self, now_ns: int) -> None:
        """The link dropped a frame: do not wait for the sequencer to miss it."""
        # But a link that drops everything must not be filled again and again.
        if not self._fruitless:
            self._progress_ns = min(self._progress_ns, now_ns - self._resend_ns + 5 * _MS)

    def on_tick(self, now_ns: int) -> None:
        """Send again what the sequencer has not confirmed for too long. Call `plan_sends` afterwards."""
        self._disown(now_ns)
        self._look_for_passed_over(now_ns)
        if self.leader is None or self._acked_link == self._next_link:
            self._progress_ns = now_ns
        elif now_ns - self._progress_ns >= self._resend_ns << self._fruitless:
            self._fruitless = min(self._fruitless + 1, _LONGEST_BACKOFF)
            self._rewind(self._acked_link, now_ns)

    def plan_sends(self) -> tuple[Submit, ...]:
        """SUBMIT frames to send now to `leader.sequencer`, in order; they count as sent."""
        if self.leader is None or not self._waiting:
            return ()
        frames = []
        while self._waiting:
            entry = self._waiting[0]
            in_flight = self._next_link - self._acked_link
            # A frame larger than all credit still goes when nothing is under way, or it would never go.
            if in_flight + len(entry.records) > self._credit and (in_flight or self._credit <= 0):
                break
            self._waiting.popleft()
            self._waiting_commands -= len(entry.records)
            entry.link_no = self._next_link
            self._next_link += len(entry.records)
            self._peak_link = max(self._peak_link, self._next_link)
            self._sent.append(entry)
            frames.append(self._submit(entry))
        return tuple(frames)

    def _submit(self, entry: Entry) -> Submit:
        assert self.leader is not None, "a SUBMIT without a leader"
        return Submit(
            sender=self.gateway,
            view_epoch=self.leader.epoch,
            reign=self.leader.reign,
            first_link_no=entry.link_no,
            incarnation=self.incarnation,
            # Who may ask for administration was looked at before the entry was made (`GatewayMachine.submit`).
            administrative=has_administration(entry.records),
            records=entry.records,
        )

    def forget_answered(self) -> int:
        """Drop answered entries from the front; the intake log may forget up to the returned key (0: nothing new)."""
        key = 0
        while self._sent:
            entry = self._sent[0]
            # One that the sequencer has not confirmed may still be asked for again, by its link number.
            if entry.link_no + len(entry.records) > self._acked_link or not entry.answered:
                return key
            self._sent.popleft()
            self._commands -= len(entry.records)
            key = entry.key
        return key

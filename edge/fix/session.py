"""One side of a FIX session on one connection, from its first byte to its end. Pure.

`step(event, now_ns) -> Effects`; `now_ns` is UTC, and never goes back. The states are a table (`values.py`). What
outlives the connection is a small value, `Numbers`. Application messages are not kept: a resend asks for them to be
made again, and fills the gaps that administrative messages leave.

A message is looked at in this order: BeginString; whether it has a number; CompIDs and SendingTime; whether it is its
turn; then, in its turn, by the dictionary; then what it says.
"""

from dataclasses import replace

from lockstep.edge.fix import tags
from lockstep.edge.fix.checks import fault_of_original, fault_of_sender, is_repeated, text_field, text_of
from lockstep.edge.fix.dictionary import Fault
from lockstep.edge.fix.formats import natural
from lockstep.edge.fix.logon import (
    claim_of,
    fault_of_greeting,
    fault_of_numbers,
    fault_of_terms,
    in_period,
    logon_fields,
    resets,
    restarted,
)
from lockstep.edge.fix.pulse import GAP_REQUESTS, Due
from lockstep.edge.fix.resend import GapFill, Resend
from lockstep.edge.fix.side import TALKING, Side
from lockstep.edge.fix.tags import RejectReason
from lockstep.edge.fix.times import NS
from lockstep.edge.fix.values import (
    CHECKING_NS,
    GREETING_NS,
    LOGOUT_NS,
    MAX_NUMBER,
    NOTHING,
    TEST_ID,
    Accepted,
    Befell,
    Called,
    Came,
    Dropped,
    Effects,
    Event,
    Fetched,
    Leave,
    Numbers,
    Refused,
    Send,
    State,
    Ticked,
)
from lockstep.edge.fix.wire import Frame, Garbled, Message, TooLong


class Session(Side):
    """See the module.

    Invariants: nothing is sent or delivered once it is over; `numbers.next_in` is one above the last message that was
    taken in sequence; numbers are given to messages in the order in which they are sent.
    """

    def step(self, event: Event, now_ns: int) -> Effects:
        """Take one event. What comes when it is over does nothing, except that messages still take numbers."""
        self._now_ns = now_ns
        before = self.numbers
        match event:
            case Send():
                self._on_send(event)
            case _ if self.state is State.OVER:
                return NOTHING
            case Came():
                self._on_bytes(event.data)
            case Fetched():
                self._on_fetched(event)
            case Ticked():
                self._on_time()
            case Called():
                self._on_called(event.numbers)
            case Accepted():
                self._on_accepted(event.numbers)
            case Refused():
                self._on_refused(event)
            case Leave():
                self._leave(event.text)
            case Dropped():
                self._end(Befell.ENDED, "the connection ended")
        if self.state in TALKING:
            self._out.fetch = self._resend.fetch()
        if self._out.data:
            self._pulse.said(now_ns)
        return self._out.taken(self.numbers if self.numbers != before or self._out.opened else None)

    # ---- frames ------------------------------------------------------------------------------------------------------

    def _on_bytes(self, data: bytes) -> None:
        frames = self._framer.feed(data)
        for frame in frames:
            self._on_frame(frame)
        self._pulse.holds(self._now_ns, anything=self._framer.held > 0, new=bool(frames))

    def _on_frame(self, frame: Frame) -> None:
        match self.state:
            case State.GREETING:
                self._on_greeting(frame)
            case State.CHECKING:
                self._ahead.append(frame)
                if len(self._ahead) > self._profile.hold:
                    self._end(Befell.TOO_LONG, "too many messages before the Logon was answered")
            case State.LOGGING_ON:
                self._on_answer(frame)
            case State.OPEN | State.LEAVING:
                self._on_talk(frame)
            case State.OVER:
                pass

    def _on_talk(self, frame: Frame) -> None:
        match frame:
            case Garbled():
                self.garbled += 1
                self._out.why.append(f"a garbled message was ignored: {frame.why}")
            case TooLong():
                self._logout(frame.why)
                self._end(Befell.ENDED, frame.why)
            case Message():
                self._pulse.heard(self._now_ns)
                self._on_message(frame)

    def _on_greeting(self, frame: Frame) -> None:
        if self._profile.initiates:
            self._end(Befell.NO_LOGON, "something came before its Logon was sent")
        elif not isinstance(frame, Message):
            self._end(Befell.NO_LOGON, frame.why)
        else:
            fault = fault_of_greeting(frame, self._profile, self._now_ns)
            if fault:
                self._end(Befell.NO_LOGON, fault)
                return
            self._move(Befell.LOGON)
            self._logon = frame
            self._out.claim = claim_of(frame)

    # ---- logon -------------------------------------------------------------------------------------------------------

    def _on_called(self, numbers: Numbers) -> None:
        """Send the first Logon."""
        profile = self._profile
        if self.state is not State.GREETING or not profile.initiates:
            return
        self._move(Befell.CALLED)
        self._begin_with(restarted(numbers, self._now_ns) if profile.reset_on_logon else numbers)
        expected = self.numbers.next_in if profile.negotiates else 0
        fields = logon_fields(
            profile,
            profile.heartbeat_s,
            reset=profile.reset_on_logon,
            expected=expected,
            credentials=profile.credentials,
        )
        self._say(tags.LOGON, fields)

    def _on_answer(self, frame: Frame) -> None:
        """What comes back for a first Logon."""
        if not isinstance(frame, Message):
            self._end(Befell.NO_LOGON, frame.why)
        elif frame.kind == tags.LOGOUT:
            own = frame.begin == self._profile.dictionary.begin and (
                fault_of_sender(frame, self._profile, self._peer, self._now_ns) is None
            )
            if own and natural(frame.value(tags.MSG_SEQ_NUM)) == self.numbers.next_in:
                self._advance()
            self._end(Befell.REFUSED, text_of(frame) or "it was logged out")
        else:
            fault = fault_of_greeting(frame, self._profile, self._now_ns)
            if not fault and resets(frame) and not self._profile.reset_on_logon:
                fault = "the answer resets numbers, which was not asked for"
            if fault:
                self._end(Befell.NO_LOGON, fault)
                return
            self._move(Befell.ACCEPTED)
            self._open(frame)

    def _on_accepted(self, numbers: Numbers) -> None:
        logon = self._logon
        if self.state is not State.CHECKING or logon is None:
            return
        self._move(Befell.ACCEPTED)
        self._peer = logon.value(tags.SENDER_COMP_ID) or b""
        self._begin_with(numbers)
        self._open(logon, reset=self._profile.reset_on_logon or resets(logon))
        ahead, self._ahead = self._ahead, []
        for frame in ahead:
            self._on_frame(frame)

    def _on_refused(self, refused: Refused) -> None:
        if self.state is not State.CHECKING or self._logon is None:
            return
        if refused.numbers is not None:
            self._peer = self._logon.value(tags.SENDER_COMP_ID) or b""
            self._begin_with(refused.numbers)
            self._say(tags.LOGOUT, text_field(refused.text))
        self._end(Befell.REFUSED, refused.text)

    def _open(self, logon: Message, *, reset: bool = False) -> None:
        """Negotiate numbers with a Logon whose sender is who it says. The state is OPEN.

        One that is refused resets nothing: all is looked at before.
        """
        numbers = restarted(self.numbers, self._now_ns) if reset else self.numbers
        fault = fault_of_terms(logon, self._profile) or fault_of_numbers(logon, numbers)
        if fault:
            self._logout(fault)
            return
        if reset:
            self._begin_with(numbers)
        self._out.opened = True
        self._pulse.heard(self._now_ns)
        self._pulse.every_ns = (natural(logon.value(tags.HEART_BT_INT)) or 0) * NS
        seq = natural(logon.value(tags.MSG_SEQ_NUM)) or 0
        expected = natural(logon.value(tags.NEXT_EXPECTED_MSG_SEQ_NUM))
        self.numbers = replace(numbers, wanted=0)
        in_order = seq == numbers.next_in
        if in_order:
            self._advance()
        else:
            self._waiting.passed(seq)
        if not self._profile.initiates:
            answer = self.numbers.next_in if expected is not None else 0
            every_s = self._pulse.every_ns // NS
            self._say(tags.LOGON, logon_fields(self._profile, every_s, reset=resets(logon), expected=answer))
        if expected is not None:
            if expected < numbers.next_out:
                # To the last number, its own Logon included: the other side may or may not have counted it.
                self._resend.ask(expected, self.numbers.next_out - 1)
            if not in_order:
                # It comes without being asked for.
                self.numbers = replace(self.numbers, wanted=seq)
                self._pulse.requested(self._now_ns, first=True)
        self._go_on()

    def _on_logon_again(self, message: Message, seq: int) -> None:
        """A Logon in a session that is open may only reset its numbers."""
        fault = self._profile.dictionary.fault(message)
        if fault is not None:
            self._reject(message, fault, seq)
        elif not resets(message) or self._profile.initiates:
            self._logout("a Logon came while logged on; only one with ResetSeqNumFlag (141) may, to an acceptor")
        elif self.state is State.OPEN:
            self._open(message, reset=True)

    def _begin_with(self, numbers: Numbers) -> None:
        """These are the session's numbers, unless a period began since: then they start at one again."""
        self.is_known = True
        self.numbers = in_period(numbers, self._profile, self._now_ns)
        self._waiting.clear()
        self._resend = Resend(self.numbers.life)

    # ---- messages ----------------------------------------------------------------------------------------------------

    def _on_message(self, message: Message) -> None:
        if self._at_fault and message.kind != tags.LOGOUT:
            return
        seq = natural(message.value(tags.MSG_SEQ_NUM))
        if message.begin != self._profile.dictionary.begin:
            self._logout("Incorrect BeginString")
        elif seq is None:
            self._logout("MsgSeqNum (34) is missing, or no number")
        elif message.kind == tags.LOGOUT and self.state is State.LEAVING:
            self._on_logout(message, seq)
        elif (fault := fault_of_sender(message, self._profile, self._peer, self._now_ns)) is not None:
            self._reject(message, fault, seq)
            self._logout("")
        elif message.kind == tags.LOGOUT:
            self._on_logout(message, seq)
        elif message.kind == tags.LOGON and not is_repeated(message):
            self._on_logon_again(message, seq)
        elif message.kind == tags.SEQUENCE_RESET and message.value(tags.GAP_FILL_FLAG) != b"Y":
            self._on_reset(message, seq)
        else:
            self._in_sequence(message, seq)
        self._go_on()

    def _in_sequence(self, message: Message, seq: int) -> None:
        if seq == self.numbers.next_in:
            self._take(message, seq)
        elif message.kind == tags.RESEND_REQUEST and self._profile.dictionary.fault(message) is None:
            # Answered whatever its number: both sides may miss something, and would wait for each other.
            if seq > self.numbers.next_in:
                self._waiting.passed(seq)
            self._on_resend_request(message, seq)
        elif seq < self.numbers.next_in:
            self._on_repeated(message, seq)
        else:
            self._waiting.hold(seq, message)

    def _on_repeated(self, message: Message, seq: int) -> None:
        if not is_repeated(message):
            self._logout(f"MsgSeqNum too low, expecting {self.numbers.next_in} but received {seq}")
        elif message.kind != tags.SEQUENCE_RESET:
            fault = fault_of_original(message)
            if fault is not None:
                self._reject(message, fault, seq)
                if fault.reason is RejectReason.SENDING_TIME:
                    self._logout("")

    def _take(self, message: Message, seq: int) -> None:
        """The next message."""
        fault = self._profile.dictionary.fault(message)
        if fault is None and is_repeated(message) and message.kind != tags.SEQUENCE_RESET:
            fault = fault_of_original(message)
        if fault is not None:
            self._reject(message, fault, seq)
            if fault.reason is RejectReason.SENDING_TIME:
                self._logout("")
            return
        if message.kind == tags.SEQUENCE_RESET:
            self._on_gap_fill(message, seq)
            return
        self._advance()
        match message.kind:
            case tags.TEST_REQUEST:
                self._say(tags.HEARTBEAT, ((tags.TEST_REQ_ID, message.value(tags.TEST_REQ_ID) or b""),))
            case tags.RESEND_REQUEST:
                self._on_resend_request(message, seq)
            case tags.REJECT:
                self.rejects += 1
                self._out.why.append(
                    f"message {natural(message.value(tags.REF_SEQ_NUM))} was rejected: {text_of(message)}"
                )
            case tags.HEARTBEAT | tags.LOGON:
                # A Logon that is in sequence was sent before: it opens nothing again.
                pass
            case _:
                self._out.deliver.append(message)

    def _on_gap_fill(self, message: Message, seq: int) -> None:
        new = natural(message.value(tags.NEW_SEQ_NO)) or 0
        if new <= seq:
            self._reject(message, Fault(RejectReason.WRONG_VALUE), seq)
        elif new > MAX_NUMBER:
            self._reject(message, Fault(RejectReason.WRONG_VALUE, tags.NEW_SEQ_NO), seq)
        else:
            self._advance(new)

    def _on_reset(self, message: Message, seq: int) -> None:
        """A SequenceReset that is no gap fill: its own number does not matter."""
        fault = self._profile.dictionary.fault(message)
        new = natural(message.value(tags.NEW_SEQ_NO)) or 0
        if fault is None and new < self.numbers.next_in:
            fault = Fault(RejectReason.WRONG_VALUE)
        if fault is None and new > MAX_NUMBER:
            fault = Fault(RejectReason.WRONG_VALUE, tags.NEW_SEQ_NO)
        if fault is not None:
            self._say_reject(message, fault, seq)
        elif new > self.numbers.next_in:
            self._advance(new)

    def _on_resend_request(self, message: Message, seq: int) -> None:
        begin = natural(message.value(tags.BEGIN_SEQ_NO)) or 0
        end = natural(message.value(tags.END_SEQ_NO)) or 0
        last = self.numbers.next_out - 1
        if not 1 <= begin <= last:
            self._say_reject(message, Fault(RejectReason.WRONG_VALUE, tags.BEGIN_SEQ_NO), seq)
        elif end and end < begin:
            self._say_reject(message, Fault(RejectReason.WRONG_VALUE, tags.END_SEQ_NO), seq)
        else:
            self._resend.ask(begin, min(end or last, last))

    def _on_logout(self, message: Message, seq: int) -> None:
        """Whatever its number: what is missing is asked for after the next Logon."""
        fault = self._profile.dictionary.fault(message)
        if fault is not None and self.state is State.OPEN:
            self._reject(message, fault, seq)
            return
        if seq == self.numbers.next_in:
            self._advance()
        if self.state is State.OPEN:
            self._say(tags.LOGOUT, ())
        self._end(Befell.LEFT, text_of(message) or "logged out")

    def _go_on(self) -> None:
        """Take what waited for the last message, and ask for what is missing."""
        while self.state in TALKING and not self._at_fault:
            if not self._waiting.has(self.numbers.next_in):
                break
            message = self._waiting.taken(self.numbers.next_in)
            if message is None:
                self._advance()
            else:
                self._take(message, self.numbers.next_in)
        if self._waiting and not self._has_gap and self.state in TALKING and not self._at_fault:
            self.numbers = replace(self.numbers, wanted=self._waiting.highest)
            self._request(first=True)

    # ---- time --------------------------------------------------------------------------------------------------------

    def _on_time(self) -> None:
        now_ns = self._now_ns
        since_ns = now_ns - self._since_ns
        match self.state:
            case State.GREETING | State.LOGGING_ON if since_ns >= GREETING_NS:
                self._end(Befell.TOO_LONG, "no Logon came in time")
            case State.CHECKING if since_ns >= CHECKING_NS:
                self._end(Befell.TOO_LONG, "the Logon could not be looked at in time")
            case State.LEAVING if since_ns >= LOGOUT_NS:
                self._end(Befell.TOO_LONG, "the Logout was not answered")
            case State.OPEN:
                self._on_time_open(now_ns)
            case _:
                pass

    def _on_time_open(self, now_ns: int) -> None:
        period = self._profile.schedule.period(now_ns)
        if period is None or self.numbers.since_ns < period.begins_ns:
            self._leave("the session's time is over")
            return
        match self._pulse.due(now_ns, gap=self._has_gap):
            case Due.HEARTBEAT:
                self._say(tags.HEARTBEAT, ())
            case Due.TEST:
                self._say(tags.TEST_REQUEST, ((tags.TEST_REQ_ID, TEST_ID),))
            case Due.REQUEST:
                self._request(first=False)
            case Due.UNANSWERED:
                self._logout(f"message {self.numbers.next_in} was requested {GAP_REQUESTS} times and did not come")
            case Due.UNFINISHED:
                why = "a message has begun and does not end: is its BodyLength (9) right?"
                self._logout(why)
                self._end(Befell.ENDED, why)
            case Due.SILENCE:
                self._end(Befell.SILENCE, "nothing came, not even after a TestRequest")
            case Due.NOTHING:
                pass

    # ---- to the other side -------------------------------------------------------------------------------------------

    def _on_send(self, send: Send) -> None:
        if not self.is_known:
            raise ValueError("a message needs the session's numbers, which are not known yet")
        self._out.numbered.append((self.numbers.next_out, send.ref))
        if self.state is State.OPEN:
            self._say(send.kind, send.fields)
        else:
            # The other side will find it missing.
            self.numbers = self.numbers.after_one_more()

    def _on_fetched(self, fetched: Fetched) -> None:
        for part in self._resend.take(fetched):
            if isinstance(part, GapFill):
                body = ((tags.NEW_SEQ_NO, b"%d" % part.next_number), (tags.GAP_FILL_FLAG, b"Y"))
                self._out.say(tags.SEQUENCE_RESET, body, self._peer, part.number, self._now_ns, self._now_ns)
            else:
                self._out.say(part.kind, part.fields, self._peer, part.number, self._now_ns, part.sent_ns)

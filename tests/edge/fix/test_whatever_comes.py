"""Whatever a client sends, in whatever order, over however many connections: what a session never does.

No message number is delivered twice in one life of the numbers. A Logon that is refused changes no number. Numbers go
back only where a life ends, and can be read for ever. Bytes that are no messages keep nothing alive.
"""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lockstep.edge.fix import tags
from lockstep.edge.fix.dictionary import fix_44
from lockstep.edge.fix.formats import natural
from lockstep.edge.fix.pulse import UNFINISHED_NS
from lockstep.edge.fix.session import Session
from lockstep.edge.fix.times import NS, timestamp
from lockstep.edge.fix.values import (
    MAX_NUMBER,
    Accepted,
    Called,
    Came,
    Dropped,
    Effects,
    Numbers,
    Profile,
    Send,
    State,
    Ticked,
)
from lockstep.edge.fix.wire import Field, Framer, Message, encode

NOW_NS = 1_780_000_000 * NS
PROFILE = Profile(fix_44(), b"VENUE", hold=4)
NEWS: tuple[Field, ...] = ((148, b"x"), (33, b"1"), (58, b"y"))
LOGON: tuple[Field, ...] = ((98, b"0"), (108, b"30"))
DUP: tuple[Field, ...] = ((43, b"Y"), (122, timestamp(NOW_NS - NS)))


def message(
    number: int, kind: bytes, *fields: Field, header: tuple[Field, ...] = (), sender: bytes = b"CLIENT"
) -> bytes:
    """From the client."""
    head = ((34, b"%d" % number), (49, sender), (52, timestamp(NOW_NS)), (56, b"VENUE"))
    return encode(b"FIX.4.4", kind, (*head, *header, *fields))


def said(effects: Effects) -> list[Message]:
    """Messages of the venue; all are valid."""
    frames = [frame for frame in Framer().feed(effects.send) if isinstance(frame, Message)]
    assert not any(fix_44().fault(one) for one in frames)
    return frames


def logged_on(numbers: Numbers, came: bytes, profile: Profile = PROFILE) -> tuple[Session, list[Message]]:
    """A session after a first Logon whose sender is who it says."""
    session = Session(profile, NOW_NS)
    assert session.step(Came(came), NOW_NS).claim is not None
    return session, said(session.step(Accepted(numbers), NOW_NS))


def opened(number: int = 1, every: bytes = b"30") -> Session:
    """In order."""
    session, _ = logged_on(Numbers(number, number), message(number, b"A", (98, b"0"), (108, every)))
    assert session.state is State.OPEN
    return session


def inward(numbers: Numbers) -> tuple[int, int, int]:
    """What a client's message may change; the other number goes up with each answer."""
    return numbers.next_in, numbers.wanted, numbers.life


# ---- anything -------------------------------------------------------------------------------------------------------

NUMBERS = st.integers(0, 9) | st.sampled_from([MAX_NUMBER, MAX_NUMBER + 1, 10**18 - 1])
NEW_LOGON = st.tuples(
    st.just(b"A"),
    st.lists(st.sampled_from([(141, b"Y"), (789, b"1"), (789, b"7"), (9999, b"1")]), max_size=2, unique=True).map(
        lambda more: (*LOGON, *more)
    ),
)
RESET = st.tuples(
    st.just(b"4"),
    st.tuples(st.sampled_from([((123, b"Y"),), ()]), NUMBERS).map(lambda it: ((36, b"%d" % it[1]), *it[0])),
)
OTHERS = st.sampled_from(
    [
        (b"B", NEWS),
        (b"B", ()),
        (b"0", ()),
        (b"1", ((112, b"A"),)),
        (b"2", ((7, b"1"), (16, b"0"))),
        (b"5", ()),
        (b"5", ((9999, b"1"),)),
    ]
)
HEADERS = st.sampled_from([(), (), (), DUP, DUP, DUP[:1]])
SENDERS = st.sampled_from([b"CLIENT"] * 9 + [b"OTHER"])
STEPS = st.lists(
    st.tuples(st.sampled_from(["in turn", "any"]), NUMBERS, NEW_LOGON | RESET | OTHERS, HEADERS, SENDERS), max_size=30
)


class Client:
    """Sends anything; logs on again, as nobody would, whenever its connection has ended. Looks at what follows."""

    def __init__(self) -> None:
        self.numbers = Numbers(5, 7)
        self.session = Session(PROFILE, NOW_NS)
        self.delivered: set[tuple[int, int]] = set()

    def say(self, data: bytes) -> None:
        """One message, and all that it leads to."""
        (came,) = Framer().feed(data)
        assert isinstance(came, Message)
        if self.session.is_over:
            self.session = Session(PROFILE, NOW_NS)
        before = self.numbers
        effects = self.session.step(Came(data), NOW_NS)
        if effects.claim is not None:
            effects = self.session.step(Accepted(self.numbers), NOW_NS)
        self._look(effects)
        kinds = [one.kind for one in said(effects)]
        if came.kind == tags.LOGON and tags.LOGOUT in kinds:
            # One that is rejected (another CompID, say) has had its number, as any message; it resets nothing either.
            counted = tags.REJECT in kinds and natural(came.value(34)) == before.next_in
            assert self.numbers.next_in == before.next_in + counted, "a refused Logon changes no number"
            assert (self.numbers.wanted, self.numbers.life) == (before.wanted, before.life)

    def _look(self, effects: Effects) -> None:
        if effects.numbers is not None:
            kept = effects.numbers
            assert Numbers.unpacked(kept.packed()) == kept
            assert kept.life > self.numbers.life or (kept.life, kept.next_in, kept.next_out) >= (
                self.numbers.life,
                self.numbers.next_in,
                self.numbers.next_out,
            )
            assert kept.next_in <= MAX_NUMBER + len(self.delivered) + 100
            self.numbers = kept
        for one in effects.deliver:
            key = self.numbers.life, natural(one.value(34)) or 0
            assert key not in self.delivered, "delivered twice in one life"
            self.delivered.add(key)
        said(effects)


@settings(max_examples=300)
@given(steps=STEPS)
@example(
    steps=[
        ("any", 1, (b"A", (*LOGON, (141, b"Y"))), (), b"CLIENT"),
        ("in turn", 0, (b"B", NEWS), (), b"CLIENT"),
        ("any", 1, (b"A", (*LOGON, (141, b"Y"))), DUP, b"CLIENT"),
        ("any", 2, (b"B", NEWS), DUP, b"CLIENT"),
    ]
)
def test_no_number_is_delivered_twice_in_one_life_and_a_refused_logon_changes_none(
    steps: list[tuple[str, int, tuple[bytes, tuple[Field, ...]], tuple[Field, ...], bytes]],
) -> None:
    client = Client()
    client.say(message(5, b"A", *LOGON))
    for place, number, (kind, fields), header, sender in steps:
        number = client.numbers.next_in if place == "in turn" else number
        client.say(message(number, kind, *fields, header=header, sender=sender))


@settings(max_examples=100)
@given(steps=STEPS, pieces=st.lists(st.binary(max_size=30), max_size=10))
def test_bytes_that_are_no_messages_keep_no_session_alive(
    steps: list[tuple[str, int, tuple[bytes, tuple[Field, ...]], tuple[Field, ...], bytes]], pieces: list[bytes]
) -> None:
    client = Client()
    client.say(message(5, b"A", *LOGON))
    for _, number, (kind, fields), header, sender in steps:
        client.say(message(number, kind, *fields, header=header, sender=sender))
    session, now_ns = client.session, NOW_NS
    for at in range(1_000):
        if session.is_over or not session.is_known:
            break
        deadline_ns = session.deadline_ns
        assert deadline_ns is not None
        now_ns = max(now_ns + NS, min(deadline_ns, now_ns + 7 * NS))
        session.step(Came(pieces[at % len(pieces)] if pieces else b"x"), now_ns)
        session.step(Ticked(), now_ns)
    assert now_ns - NOW_NS <= 200 * NS, "silence of 66 s, or three requests for what is missing"


# ---- a Logon that was sent before -----------------------------------------------------------------------------------


def test_logon_that_is_marked_as_repeated_resets_no_open_session() -> None:
    session, _ = logged_on(Numbers(5, 7), message(1, b"A", *LOGON, (141, b"Y")))
    for number in (2, 3):
        assert session.step(Came(message(number, b"B", *NEWS)), NOW_NS).deliver
    before = session.numbers
    effects = session.step(Came(message(1, b"A", *LOGON, (141, b"Y"), header=DUP)), NOW_NS)
    assert (effects.send, effects.numbers) == (b"", None), "ignored, as all that comes twice"
    for number in (2, 3):
        assert not session.step(Came(message(number, b"B", *NEWS, header=DUP)), NOW_NS).deliver
    assert session.numbers == before
    assert session.step(Came(message(4, b"B", *NEWS)), NOW_NS).deliver


def test_logon_that_is_marked_as_repeated_opens_no_session() -> None:
    numbers = Numbers(12, 34)
    for number, more in ((1, ((141, b"Y"),)), (12, ())):
        session, (answer,) = logged_on(numbers, message(number, b"A", *LOGON, *more, header=DUP))
        assert answer.kind == tags.LOGOUT
        assert b"PossDupFlag (43)" in (answer.value(58) or b"")
        assert inward(session.numbers) == inward(numbers)


def test_repeated_logon_whose_turn_it_is_counts_and_does_nothing() -> None:
    session = opened(5)
    session.step(Came(message(8, b"B", *NEWS)), NOW_NS)
    session.step(Came(message(7, b"A", *LOGON, header=DUP)), NOW_NS)
    assert session.step(Came(message(6, b"B", *NEWS, header=DUP)), NOW_NS).deliver
    assert (session.numbers.next_in, session.state) == (9, State.OPEN)


# ---- a Logon that is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [((141, b"Y"), (789, b"34")), ((141, b"Y"), (789, b"0"))])
def test_refused_reset_keeps_the_numbers_at_the_first_logon_and_later(more: tuple[Field, ...]) -> None:
    numbers = Numbers(12, 34)
    session, (answer,) = logged_on(numbers, message(1, b"A", *LOGON, *more))
    assert (answer.kind, answer.value(34)) == (tags.LOGOUT, b"34")
    assert session.numbers == numbers.after_one_more()
    session, _ = logged_on(numbers, message(12, b"A", *LOGON))
    before = session.numbers
    (answer,) = said(session.step(Came(message(1, b"A", *LOGON, *more)), NOW_NS))
    assert (answer.kind, answer.value(34)) == (tags.LOGOUT, b"35")
    assert session.numbers == before.after_one_more()


def test_refusal_that_comes_from_elsewhere_takes_no_number_of_an_initiator() -> None:
    profile = Profile(fix_44(), b"CLIENT", b"VENUE", initiates=True)
    for sender, expected in ((b"VENUE", 10), (b"OTHER", 9)):
        session = Session(profile, NOW_NS)
        session.step(Called(Numbers(9, 9)), NOW_NS)
        head = ((34, b"9"), (49, sender), (52, timestamp(NOW_NS)), (56, b"CLIENT"))
        effects = session.step(Came(encode(b"FIX.4.4", b"5", head)), NOW_NS)
        assert effects.close
        assert session.numbers.next_in == expected


# ---- what is no message, and what does not end ----------------------------------------------------------------------


def unfinished(length: int = 16_000) -> bytes:
    """A message whose BodyLength is too large."""
    good = message(2, b"B", *NEWS)
    return b"8=FIX.4.4\x019=%d\x01%b" % (length, good[good.index(b"35=") :])


@pytest.mark.parametrize(("every", "after_s"), [(b"30", 30), (b"3600", 30), (b"10", 12)])
def test_message_that_does_not_end_ends_the_connection_with_a_reason(every: bytes, after_s: int) -> None:
    session = opened(every=every)
    session.step(Came(unfinished()), NOW_NS)
    assert session.deadline_ns is not None
    for second in range(1, after_s):
        session.step(Came(message(2 + second, b"1", (112, b"A"))), NOW_NS + second * NS)
        assert not session.step(Ticked(), NOW_NS + second * NS).close
    effects = session.step(Ticked(), NOW_NS + after_s * NS)
    logout = said(effects)[-1]
    assert (logout.kind, effects.close) == (tags.LOGOUT, True)
    assert b"BodyLength (9)" in (logout.value(58) or b"")
    assert session.numbers.next_in == 2, "what was lost is asked for after the next Logon"


def test_end_of_a_connection_that_swallowed_a_message_is_due_in_time() -> None:
    session = opened(every=b"3600")
    session.step(Came(unfinished()), NOW_NS + NS)
    assert session.deadline_ns == NOW_NS + NS + UNFINISHED_NS


def test_message_that_comes_in_pieces_without_pause_is_no_end() -> None:
    session = opened(every=b"10")
    session.step(Send(b"B", NEWS), NOW_NS)
    now_ns = NOW_NS
    for number in range(2, 40):
        # Some of the next one is always there already.
        now_ns += 3 * NS
        data = message(number, b"B", *NEWS) + message(number + 1, b"B", *NEWS)[:20]
        at = 0 if number == 2 else 20
        effects = session.step(Came(data[at:]), now_ns)
        assert effects.deliver
        assert not session.step(Ticked(), now_ns).close
    assert session.state is State.OPEN


def test_noise_is_no_word_of_the_other_side() -> None:
    session = opened(every=b"30")
    seen: list[tuple[int, bytes]] = []
    for second in range(10, 80, 2):
        now_ns = NOW_NS + second * NS
        session.step(Came(b"x" if second % 4 else b"8=FIX.4.4\x0135=0\x0110=000\x01"), now_ns)
        effects = session.step(Ticked(), now_ns)
        seen += [(second, one.kind) for one in said(effects) if one.kind == tags.TEST_REQUEST]
        if effects.close:
            seen.append((second, b"end"))
    assert seen == [(36, tags.TEST_REQUEST), (66, b"end")]


# ---- rows of the page -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "kinds", "reason"),
    [
        (DUP, [], None),
        (DUP[:1], [tags.REJECT], b"1"),
        ((DUP[0], (122, timestamp(NOW_NS + NS))), [tags.REJECT, tags.LOGOUT], b"10"),
        ((), [tags.LOGOUT], None),
    ],
)
@pytest.mark.parametrize("kind", [b"B", b"A", b"0"])
def test_number_that_comes_twice(
    kind: bytes, header: tuple[Field, ...], kinds: list[bytes], reason: bytes | None
) -> None:
    session = opened(5)
    fields = {b"B": NEWS, b"A": LOGON, b"0": ()}[kind]
    before = session.numbers
    answers = said(session.step(Came(message(3, kind, *fields, header=header)), NOW_NS))
    assert [one.kind for one in answers] == kinds
    assert [one.value(373) for one in answers if one.kind == tags.REJECT] == ([reason] if reason else [])
    assert inward(session.numbers) == inward(before)


@pytest.mark.parametrize("number", [2, 7])
@pytest.mark.parametrize(
    ("sender", "sent_ns", "reason"), [(b"OTHER", NOW_NS, b"9"), (b"CLIENT", NOW_NS - 10_000 * NS, b"10")]
)
def test_logout_of_another_side_or_time_is_rejected_as_any_message(
    number: int, sender: bytes, sent_ns: int, reason: bytes
) -> None:
    session = opened()
    head = ((34, b"%d" % number), (49, sender), (52, timestamp(sent_ns)), (56, b"VENUE"))
    answers = said(session.step(Came(encode(b"FIX.4.4", b"5", head)), NOW_NS))
    assert [one.kind for one in answers] == [tags.REJECT, tags.LOGOUT]
    assert answers[0].value(373) == reason
    assert session.state is State.LEAVING
    assert session.step(Came(message(number, b"5")), NOW_NS).close


def test_logout_that_breaks_the_dictionary_is_rejected_and_the_session_goes_on() -> None:
    session = opened()
    (reject,) = said(session.step(Came(message(2, b"5", (9999, b"1"))), NOW_NS))
    assert (reject.kind, reject.value(371), reject.value(373)) == (tags.REJECT, b"9999", b"0")
    assert (session.state, session.numbers.next_in) == (State.OPEN, 3)
    (logout,) = said(session.step(Came(message(3, b"5")), NOW_NS))
    assert logout.kind == tags.LOGOUT


@pytest.mark.parametrize("mode", [((123, b"Y"),), ()])
def test_numbers_are_led_no_further_than_can_be_counted_from(mode: tuple[Field, ...]) -> None:
    for new in (MAX_NUMBER + 1, 10**18 - 1):
        session = opened()
        (reject,) = said(session.step(Came(message(2, b"4", (36, b"%d" % new), *mode)), NOW_NS))
        assert (reject.kind, reject.value(371), reject.value(373)) == (tags.REJECT, b"36", b"5")
        assert session.numbers.next_in <= 3
    session = opened()
    assert not session.step(Came(message(2, b"4", (36, b"%d" % MAX_NUMBER), *mode)), NOW_NS).send
    for number in range(MAX_NUMBER, MAX_NUMBER + 3):
        assert session.step(Came(message(number, b"B", *NEWS)), NOW_NS).deliver
    session.step(Dropped(), NOW_NS)
    again, (answer,) = logged_on(session.numbers, message(MAX_NUMBER + 3, b"A", *LOGON))
    assert answer.kind == tags.LOGON
    assert again.numbers.next_in == MAX_NUMBER + 4

"""What the acceptance definitions do not ask: refusals, negotiation, silence, gaps, bounds, and the schedule."""

from dataclasses import replace

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lockstep.edge.fix import tags
from lockstep.edge.fix.dictionary import fix_44, fix_50sp2
from lockstep.edge.fix.pulse import GAP_NS
from lockstep.edge.fix.schedule import daily
from lockstep.edge.fix.session import Session
from lockstep.edge.fix.times import NS, timestamp
from lockstep.edge.fix.values import (
    CHUNK,
    GREETING_NS,
    LOGOUT_NS,
    Accepted,
    Came,
    Effects,
    Fetch,
    Fetched,
    Leave,
    Numbers,
    Profile,
    Refused,
    Regenerated,
    Send,
    State,
    Ticked,
)
from lockstep.edge.fix.wire import Field, Framer, Message, encode, with_data

NOW_NS = 1_780_000_000 * NS
PROFILE = Profile(fix_44(), b"VENUE")
NEWS: tuple[Field, ...] = ((148, b"x"), (33, b"1"), (58, b"y"))


def message(number: int, kind: bytes, *fields: Field, now_ns: int = NOW_NS) -> Came:
    """From the client."""
    header = ((34, b"%d" % number), (49, b"CLIENT"), (52, timestamp(now_ns)), (56, b"VENUE"))
    return Came(encode(b"FIX.4.4", kind, (*header, *fields)))


def logon(number: int, *fields: Field, every: bytes = b"30", now_ns: int = NOW_NS) -> Came:
    return message(number, tags.LOGON, (98, b"0"), (108, every), *fields, now_ns=now_ns)


def said(effects: Effects) -> list[Message]:
    """Messages of the venue; all are valid."""
    frames = Framer().feed(effects.send)
    messages = [frame for frame in frames if isinstance(frame, Message)]
    assert len(messages) == len(frames)
    assert not any(fix_44().fault(one) for one in messages)
    return messages


def logged_on(
    numbers: Numbers, came: Came, profile: Profile = PROFILE, now_ns: int = NOW_NS
) -> tuple[Session, list[Message]]:
    """A session after a Logon that was found good, and what it answered."""
    session = Session(profile, now_ns)
    assert session.step(came, now_ns).claim is not None
    return session, said(session.step(Accepted(numbers), now_ns))


def text(one: Message) -> str:
    return (one.value(tags.TEXT) or b"").decode()


def test_numbers_are_kept_as_bytes() -> None:
    numbers = Numbers(5, 7, 9, 2, NOW_NS)
    assert Numbers.unpacked(numbers.packed()) == numbers
    for bad in (b"", bytes(40), bytes(41)):
        with pytest.raises(ValueError, match="numbers of a session"):
            Numbers.unpacked(bad)


def test_session_goes_on_where_it_was() -> None:
    session, (answer,) = logged_on(Numbers(12, 34), logon(12))
    assert answer.value(tags.MSG_SEQ_NUM) == b"34"
    assert (session.numbers.next_in, session.numbers.next_out) == (13, 35)


@pytest.mark.parametrize(
    ("came", "reason"),
    [
        (logon(11), "MsgSeqNum too low, expecting 12 but received 11"),
        (logon(12, (789, b"35")), "NextExpectedMsgSeqNum must be from 1 to 34 but received 35"),
        (logon(12, (141, b"Y")), "MsgSeqNum (34) must be 1 with ResetSeqNumFlag (141)"),
        (logon(12, every=b"0"), "HeartBtInt (108) must be from 1 to 3600"),
        (logon(12, every=b"-5"), "HeartBtInt (108) must be from 1 to 3600"),
        (message(12, tags.LOGON, (98, b"1"), (108, b"30")), "EncryptMethod (98) must be 0: use TLS"),
    ],
)
def test_logon_that_can_not_be_is_answered_with_the_reason_and_resets_nothing(came: Came, reason: str) -> None:
    session, (answer,) = logged_on(Numbers(12, 34), came)
    assert (answer.kind, text(answer)) == (tags.LOGOUT, reason)
    assert session.state is State.LEAVING
    assert (session.numbers.next_in, session.numbers.life) == (12, 0)
    assert session.step(Ticked(), NOW_NS + LOGOUT_NS).close


def test_logon_with_a_reset_starts_a_new_life() -> None:
    session, (answer,) = logged_on(Numbers(12, 34), logon(1, (141, b"Y")))
    assert (answer.value(tags.MSG_SEQ_NUM), answer.value(tags.RESET_SEQ_NUM_FLAG)) == (b"1", b"Y")
    assert session.numbers == Numbers(2, 2, 0, 1, NOW_NS)


def test_refused_logon_ends_silently_or_with_a_reason() -> None:
    for numbers, kinds in ((None, []), (Numbers(3, 5), [tags.LOGOUT])):
        session = Session(PROFILE, NOW_NS)
        session.step(logon(3), NOW_NS)
        effects = session.step(Refused("the password is wrong", numbers), NOW_NS)
        assert [one.kind for one in said(effects)] == kinds
        assert effects.close
        assert session.state is State.OVER


@pytest.mark.parametrize("profile", [PROFILE, Profile(fix_50sp2(), b"VENUE")])
def test_signature_of_a_logon_is_of_what_came(profile: Profile) -> None:
    key = Ed25519PrivateKey.generate()
    parts = (b"A", b"CLIENT", b"VENUE", b"1", timestamp(NOW_NS))
    fields = [
        *((34, b"1"), (49, b"CLIENT"), (52, timestamp(NOW_NS)), (56, b"VENUE"), (98, b"0"), (108, b"30")),
        *with_data(tags.RAW_DATA, key.sign(b"\x01".join(parts))),
        *((553, b"desk"), (554, b"secret")),
    ]
    if profile.dictionary.appl_version:
        fields.append((1137, profile.dictionary.appl_version))
    claim = Session(profile, NOW_NS).step(Came(encode(profile.dictionary.begin, b"A", fields)), NOW_NS).claim
    assert claim is not None
    assert (claim.username, claim.password) == (b"desk", b"secret")
    key.public_key().verify(claim.raw_data, claim.signed)
    with pytest.raises(InvalidSignature):
        key.public_key().verify(claim.raw_data, replace(claim, number=b"2").signed)


def test_logon_with_the_expected_number_is_answered_by_what_is_missing() -> None:
    session = Session(PROFILE, NOW_NS)
    session.step(logon(20, (789, b"30")), NOW_NS)
    effects = session.step(Accepted(Numbers(12, 34)), NOW_NS)
    (answer,) = said(effects)
    assert answer.value(tags.NEXT_EXPECTED_MSG_SEQ_NUM) == b"12", "so the client resends by itself"
    assert effects.fetch == Fetch(0, 30, 34)
    sent = said(session.step(Fetched(0, 30, 34, (Regenerated(32, b"B", NEWS, NOW_NS - NS),)), NOW_NS))
    assert [(one.kind, one.value(34), one.value(36), one.value(43)) for one in sent] == [
        (tags.SEQUENCE_RESET, b"30", b"32", b"Y"),
        (b"B", b"32", None, b"Y"),
        (tags.SEQUENCE_RESET, b"33", b"35", b"Y"),
    ]
    assert sent[1].value(tags.ORIG_SENDING_TIME) == timestamp(NOW_NS - NS)


def test_long_resend_is_fetched_in_pieces_and_holds_nothing_up() -> None:
    session, _ = logged_on(Numbers(2, 100_000), logon(2))
    fetch = session.step(message(3, tags.RESEND_REQUEST, (7, b"1"), (16, b"0")), NOW_NS).fetch
    assert fetch == Fetch(0, 1, CHUNK)
    (live,) = said(session.step(Send(b"B", NEWS, 1), NOW_NS))
    assert live.value(tags.MSG_SEQ_NUM) == b"100001"
    (beat,) = said(session.step(message(4, tags.TEST_REQUEST, (112, b"A")), NOW_NS))
    assert beat.kind == tags.HEARTBEAT
    effects = session.step(Fetched(0, 1, 100_000, ()), NOW_NS)
    (fill,) = said(effects)
    assert (fill.value(34), fill.value(36)) == (b"1", b"100001"), "the whole range at once, and no more"
    assert effects.fetch is None


def test_second_resend_request_is_answered_after_the_first() -> None:
    session, _ = logged_on(Numbers(2, 1_000), logon(2))
    session.step(message(3, tags.RESEND_REQUEST, (7, b"1"), (16, b"600")), NOW_NS)
    for number, begin in ((4, b"900"), (5, b"700")):
        assert session.step(message(number, tags.RESEND_REQUEST, (7, begin), (16, b"0")), NOW_NS).fetch is None
    effects = session.step(Fetched(0, 1, 600, ()), NOW_NS)
    assert effects.fetch == Fetch(0, 700, 700 + CHUNK - 1)


@pytest.mark.parametrize(("begin", "end", "tag"), [(b"0", b"0", b"7"), (b"99", b"0", b"7"), (b"2", b"1", b"16")])
def test_resend_request_for_numbers_that_were_not_sent_is_rejected(begin: bytes, end: bytes, tag: bytes) -> None:
    session, _ = logged_on(Numbers(), logon(1))
    session.step(Send(b"B", NEWS), NOW_NS)
    (reject,) = said(session.step(message(2, tags.RESEND_REQUEST, (7, begin), (16, end)), NOW_NS))
    assert (reject.kind, reject.value(371), reject.value(373)) == (tags.REJECT, tag, b"5")
    assert session.numbers.next_in == 3


def test_gap_is_requested_three_times_and_then_the_session_logs_out() -> None:
    session, _ = logged_on(Numbers(), logon(1, every=b"3600"))
    requests = said(session.step(message(5, tags.HEARTBEAT), NOW_NS))
    now_ns = NOW_NS
    for _ in range(2):
        assert not session.step(Ticked(), now_ns + GAP_NS - 1).send
        assert session.deadline_ns == now_ns + GAP_NS
        now_ns += GAP_NS
        requests += said(session.step(Ticked(), now_ns))
    assert [one.kind for one in requests] == [tags.RESEND_REQUEST] * 3
    (logout,) = said(session.step(Ticked(), now_ns + GAP_NS))
    assert text(logout) == "message 2 was requested 3 times and did not come"


def test_messages_that_wait_are_bounded() -> None:
    profile = replace(PROFILE, hold=10)
    session, _ = logged_on(Numbers(), logon(1), profile)
    for number in range(3, 40):
        session.step(message(number, tags.HEARTBEAT), NOW_NS)
    assert (session.waiting, session.dropped) == (10, 27)
    effects = session.step(message(2, tags.HEARTBEAT), NOW_NS)
    assert session.numbers.next_in == 13
    assert not effects.send
    (request,) = said(session.step(message(40, tags.HEARTBEAT), NOW_NS))
    assert (request.value(7), request.value(16)) == (b"13", b"0")


def test_quiet_client_is_tested_and_then_given_up() -> None:
    session, _ = logged_on(Numbers(), logon(1, every=b"10"))
    seen = []
    now_ns = NOW_NS
    while session.state is State.OPEN:
        deadline_ns = session.deadline_ns
        assert deadline_ns is not None
        assert not session.step(Ticked(), deadline_ns - 1).send, "nothing is due before the deadline"
        now_ns = deadline_ns
        seen += [((now_ns - NOW_NS) // NS, one.kind) for one in said(session.step(Ticked(), now_ns))]
    assert seen == [(10, tags.HEARTBEAT), (12, tags.TEST_REQUEST)]
    assert now_ns - NOW_NS == 22 * NS


def test_connection_without_a_logon_ends() -> None:
    session = Session(PROFILE, NOW_NS)
    assert session.deadline_ns == NOW_NS + GREETING_NS
    assert session.step(Ticked(), NOW_NS + GREETING_NS).close
    assert session.deadline_ns is None


def test_message_without_a_number_ends_the_session_with_a_reason() -> None:
    session, _ = logged_on(Numbers(), logon(1))
    came = Came(encode(b"FIX.4.4", b"0", ((49, b"CLIENT"), (52, timestamp(NOW_NS)), (56, b"VENUE"))))
    (logout,) = said(session.step(came, NOW_NS))
    assert text(logout) == "MsgSeqNum (34) is missing, or no number"
    assert not session.step(message(2, b"B", *NEWS), NOW_NS).deliver, "nothing matters any more"


def test_message_beyond_the_bound_ends_the_session_with_a_reason() -> None:
    session, _ = logged_on(Numbers(), logon(1))
    effects = session.step(Came(b"8=FIX.4.4\x019=99999\x01"), NOW_NS)
    (logout,) = said(effects)
    assert "BodyLength (9) is 99999" in text(logout)
    assert effects.close


def test_second_logon_ends_the_session() -> None:
    session, _ = logged_on(Numbers(), logon(1))
    (logout,) = said(session.step(logon(2), NOW_NS))
    assert "a Logon came while logged on" in text(logout)


def test_side_that_leaves_waits_for_the_answer_and_still_takes_what_comes() -> None:
    session, _ = logged_on(Numbers(), logon(1))
    (logout,) = said(session.step(Leave("maintenance"), NOW_NS))
    assert (logout.kind, text(logout)) == (tags.LOGOUT, "maintenance")
    assert session.step(message(2, b"B", *NEWS), NOW_NS).deliver
    effects = session.step(message(3, tags.LOGOUT), NOW_NS)
    assert (effects.send, effects.close, session.state) == (b"", True, State.OVER)
    assert session.numbers.next_in == 4


def test_message_for_a_session_that_is_over_takes_a_number_and_is_not_sent() -> None:
    session, _ = logged_on(Numbers(), logon(1))
    session.step(message(2, tags.LOGOUT), NOW_NS)
    effects = session.step(Send(b"B", NEWS, 77), NOW_NS)
    assert (effects.send, effects.numbered) == (b"", ((3, 77),))
    assert effects.numbers is not None
    assert effects.numbers.next_out == 4


def test_message_before_the_numbers_are_known_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="not known yet"):
        Session(PROFILE, NOW_NS).step(Send(b"B", NEWS), NOW_NS)


def test_numbers_start_again_with_each_day_of_the_schedule() -> None:
    day_ns = 86_400 * NS
    midnight_ns = NOW_NS // day_ns * day_ns
    profile = replace(PROFILE, schedule=daily(3_600, 7_200))
    first_ns = midnight_ns + 3_600 * NS
    session, _ = logged_on(Numbers(5, 6, since_ns=first_ns - NS), logon(1, now_ns=first_ns), profile, first_ns)
    assert session.numbers == Numbers(2, 2, 0, 1, first_ns)
    later_ns = first_ns + 60 * NS
    again, _ = logged_on(session.numbers, logon(2, now_ns=later_ns), profile, later_ns)
    assert again.numbers.life == 1
    end_ns = midnight_ns + 7_200 * NS
    (logout,) = said(again.step(Ticked(), end_ns))
    assert text(logout) == "the session's time is over"
    closed = Session(profile, end_ns).step(logon(1, now_ns=end_ns), end_ns)
    assert closed.close
    assert closed.why == ("the session does not run at this time",)

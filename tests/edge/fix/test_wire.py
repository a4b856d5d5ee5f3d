"""Bytes to messages and back: right ones are read, odd ones are refused, and nothing else comes of them."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lockstep.edge.fix import tags
from lockstep.edge.fix.dictionary import fix_44, fix_50sp2
from lockstep.edge.fix.session import Session
from lockstep.edge.fix.times import NS, timestamp
from lockstep.edge.fix.values import Accepted, Came, Numbers, Profile, State, Ticked
from lockstep.edge.fix.wire import MAX_MESSAGE, Framer, Garbled, Message, TooLong, encode, with_data

NOW_NS = 1_780_000_000 * NS


def sealed(text: str) -> bytes:
    """A message from what stands between BodyLength and CheckSum, `|` for SOH."""
    body = text.replace("|", "\x01").encode("latin-1")
    head = b"8=FIX.4.4\x019=%d\x01%b" % (len(body), body)
    return b"%b10=%03d\x01" % (head, sum(head) & 0xFF)


def read(data: bytes) -> list[Message | Garbled | TooLong]:
    return Framer().feed(data)


VALUES = st.binary(max_size=20).filter(lambda value: b"\x01" not in value)
PLAIN_TAGS = st.integers(1, 99_999).filter(
    lambda tag: tag not in tags.DATA_OF and tag not in tags.DATA_OF.values() and tag not in (8, 9, 10, 35)
)


@given(
    kind=st.sampled_from([b"D", b"8", b"AF"]),
    plain=st.lists(st.tuples(PLAIN_TAGS, VALUES), max_size=20),
    data=st.binary(max_size=40),
    cut=st.integers(0, 200),
)
def test_what_was_encoded_is_read_in_whatever_pieces(
    kind: bytes, plain: list[tuple[int, bytes]], data: bytes, cut: int
) -> None:
    fields = (*plain, *with_data(tags.RAW_DATA, data))
    text = encode(b"FIX.4.4", kind, fields)
    framer = Framer()
    assert framer.feed(text[:cut]) + framer.feed(text[cut:]) == [Message(b"FIX.4.4", kind, fields)]
    assert framer.held == 0


def test_data_may_hold_what_looks_like_the_end() -> None:
    raw = b"\x0110=000\x018=FIX.4.4\x01"
    (message,) = read(encode(b"FIX.4.4", b"A", with_data(tags.RAW_DATA, raw)))
    assert isinstance(message, Message)
    assert message.value(tags.RAW_DATA) == raw


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("34=1|35=0|", "third field"),
        ("35=0|34|", "without a tag"),
        ("35=0|=1|", "without a tag"),
        ("35=0||34=1|", "without a tag"),
        ("35=0|34a=1|", "without a tag"),
        ("35=0|034=1|", "without a tag"),
        ("35=0|10=001|34=1|", "CheckSum|BodyLength"),
        ("35=0|95=9|96=abc|", "not as long"),
        ("35=0|95=x|96=abc|", "no length"),
        ("35=0|95=99999|96=abc|", "not as long"),
        ("35=0|" + "58=x|" * 1_024, "more than"),
    ],
)
def test_malformed_message_is_garbled(text: str, why: str) -> None:
    first = read(sealed(text))[0]
    assert isinstance(first, Garbled)
    assert any(part in first.why for part in why.split("|"))


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b"10=", b"10=1"),
        lambda text: text[:-4] + b"%03d\x01" % ((int(text[-4:-1]) + 1) % 256),
        lambda text: text.replace(b"9=", b"9=-"),
        lambda text: text.replace(b"9=", b"99="),
        lambda text: text.replace(b"34=1", b"34=2"),
        lambda text: b"junk" + text[4:],
    ],
)
def test_changed_message_is_garbled_and_the_next_one_is_read(change: object) -> None:
    assert callable(change)
    good = sealed("35=0|34=1|")
    frames = read(change(good) + good)
    assert [type(frame) for frame in frames[:-1]] == [Garbled] * (len(frames) - 1)
    assert len(frames) >= 2
    assert isinstance(frames[-1], Message)


@pytest.mark.parametrize("data", [b"8=FIX.4.4\x019=9999999\x01", b"8=FIX.4.4\x019=20\x01" + b"x" * MAX_MESSAGE])
def test_message_beyond_the_bound_ends_the_reading(data: bytes) -> None:
    framer = Framer()
    frames = framer.feed(data)
    assert isinstance(frames[-1], TooLong)
    assert framer.feed(sealed("35=0|34=1|")) == []
    assert framer.held == 0


def started() -> Session:
    """An acceptor that is open, whose next message is 2."""
    session = Session(Profile(fix_44(), b"VENUE"), NOW_NS)
    logon = ((34, b"1"), (49, b"CLIENT"), (52, timestamp(NOW_NS)), (56, b"VENUE"), (98, b"0"), (108, b"30"))
    assert session.step(Came(encode(b"FIX.4.4", b"A", logon)), NOW_NS).claim is not None
    session.step(Accepted(Numbers()), NOW_NS)
    assert session.state is State.OPEN
    return session


@settings(max_examples=100)
@given(pieces=st.lists(st.binary(max_size=60) | st.sampled_from([b"8=FIX.4.4\x01", b"9=5\x01", b"\x0110=000\x01"])))
@example(pieces=[b"8=FIX.4.4\x019=5\x0135=0\x0110=161\x01"])
def test_odd_bytes_are_ignored_or_end_the_session(pieces: list[bytes]) -> None:
    session = started()
    for piece in pieces:
        effects = session.step(Came(piece), NOW_NS)
        assert not effects.deliver
        assert session.numbers.next_in == 2
    assert session.state in (State.OPEN, State.LEAVING, State.OVER)


TAGS = st.sampled_from(sorted({*fix_44().fields, *fix_50sp2().fields, -5, 0, 999, 5_000}))
TEXTS = st.sampled_from([b"", b"Y", b"N", b"0", b"1", b"2", b"9999999999", b"-1", b"A", b"*", b"20261130-12:00:00"])
KINDS = st.sampled_from([*fix_50sp2().messages, b"", b"ZZ", b"*"])
HEADER = ((49, b"CLIENT"), (52, timestamp(NOW_NS)), (56, b"VENUE"))


@settings(max_examples=100)
@given(
    messages=st.lists(
        st.tuples(
            KINDS,
            st.integers(0, 6),
            st.sampled_from([HEADER, HEADER[:2], ((43, b"Y"), *HEADER), ()]),
            st.lists(st.tuples(TAGS, TEXTS | VALUES), max_size=8),
        ),
        max_size=12,
    )
)
def test_well_framed_nonsense_is_rejected_and_the_machine_stays_whole(
    messages: list[tuple[bytes, int, tuple[tuple[int, bytes], ...], list[tuple[int, bytes]]]],
) -> None:
    session = started()
    for kind, number, header, fields in messages:
        before = session.numbers
        data = encode(b"FIX.4.4", kind, ((34, b"%d" % number), *header, *fields))
        effects = session.step(Came(data), NOW_NS)
        for message in effects.deliver:
            assert fix_44().fault(message) is None
        for frame in Framer().feed(effects.send):
            assert isinstance(frame, Message)
            assert fix_44().fault(frame) is None, "what it says is valid itself"
        after = session.numbers
        assert after.life > before.life or (after.next_in, after.next_out) >= (before.next_in, before.next_out)
        assert session.waiting <= 1_000
    session.step(Ticked(), NOW_NS + 600 * NS)

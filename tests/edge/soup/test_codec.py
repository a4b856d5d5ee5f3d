"""What a client's OUCH messages do, and what the door tells it: each rule of docs/ouch.md, by both codecs."""

import numpy as np
import pytest

from lockstep.edge.soup.ouch import BLANK_TOKEN, Halt, packed, unpacked
from lockstep.stream.codes import Code
from lockstep.stream.records import COMMAND, SelfTradePrevention
from tests.edge.soup.ouch_messages import cancel, enter, messages, modify, packet, replace, token, unsequenced
from tests.edge.soup.venue import OTHER, SESSION, Venue, make_codec


@pytest.fixture(params=["plain", "native"])
def kind(request):
    return request.param


@pytest.fixture
def codec(kind):
    return make_codec(kind)


@pytest.fixture
def other(kind):
    """Of another session, with account 2."""
    return make_codec(kind, OTHER, account=2)


@pytest.fixture
def venue(codec):
    """Its first message, the start of day, is out of the way."""
    made = Venue()
    first, accepted = made.say(codec, enter("WARM UP"))
    assert (first["type"], first["event"], accepted["token"]) == ("S", "S", "WARM UP       ")
    made.say(codec, cancel("WARM UP"))
    return made


def pick(message, *names):
    return tuple(message[name] for name in names)


def test_accepted_has_the_order_as_the_exchange_holds_it(venue, codec):
    (said,) = venue.say(codec, enter("A1", shares=250, price=1_012_500, firm="2"))
    assert said == {
        "type": "A", "time": venue.now_ns % 86_400_000_000_000, "token": "A1            ", "side": "B", "shares": 250,
        "stock": "ACME    ", "price": 1_012_500, "tif": 99_998, "firm": "2   ", "display": "Y",
        "reference": venue.seq - 1, "capacity": "O", "sweep": "N", "minimum": 0, "cross": "N", "state": "L",
        "weight": " ",
    }  # fmt: skip


def test_both_sides_hear_of_a_trade_with_the_same_match_number(venue, codec, other):
    venue.say(codec, enter("REST", "S", 100, price=1_000_000))
    _start, _accepted, taker = venue.say(other, enter("TAKE", "B", 60, price=1_010_000), session_id=OTHER)
    (maker,) = messages(venue.take(codec))
    assert pick(taker, "type", "token", "shares", "price", "liquidity") == ("E", "TAKE          ", 60, 1_000_000, "R")
    assert pick(maker, "type", "token", "shares", "price", "liquidity") == ("E", "REST          ", 60, 1_000_000, "A")
    assert taker["match"] == maker["match"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"side": "X"}, "O"),
        ({"stock": "NONE"}, "S"),
        ({"firm": "0"}, "L"),
        ({"firm": "ABCD"}, "L"),
        ({"firm": "9"}, "L"),
        ({"shares": 0}, "Z"),
        ({"stock": "LOTS", "shares": 150}, "Z"),
        ({"price": 0}, "X"),
        ({"price": 1_000_001}, "X"),
        ({"display": "M"}, "D"),
        ({"sweep": "Y"}, "d"),
        ({"minimum": 10}, "N"),
        ({"cross": "H"}, "R"),
        ({"tif": 86_400}, "O"),
        ({"tif": 99_999, "cross": "O"}, "H"),
    ],
)
def test_what_can_not_be_is_rejected_with_a_reason(venue, codec, fields, reason):
    (said,) = venue.say(codec, enter("BAD", **fields))
    assert pick(said, "type", "token", "reason") == ("J", "BAD           ", reason)
    assert venue.say(codec, enter("BAD")) == [], "its token is used"


def test_accounts_of_others_are_not_traded(kind):
    venue, codec = Venue(), make_codec(kind, accounts=(1,))
    _start, said, accepted = venue.say(codec, enter("A", firm="2"), enter("B", firm="1"))
    assert pick(said, "type", "token", "reason") == ("J", "A             ", "L")
    assert accepted["type"] == "A"


def test_a_token_that_comes_again_changes_nothing(venue, codec):
    assert len(venue.say(codec, enter("ONCE", shares=10), enter("ONCE", shares=10))) == 1
    assert venue.say(codec, enter("ONCE", shares=99)) == []


@pytest.mark.parametrize("name", ["lower case", "order-17/a", "ABCDEFGHIJKLMN", "~!@#$%^&*()_+|", "0000000000000x"])
def test_tokens_of_any_printable_characters_come_back(venue, codec, name):
    (accepted,) = venue.say(codec, enter(name))
    (canceled,) = venue.say(codec, cancel(name))
    assert accepted["token"] == canceled["token"] == name.ljust(14)


def test_each_token_is_known_by_bits_of_its_own():
    tokens = [token(text) for text in ("A", "B", " A", "0", "00", "ZZZZZZZZZZZZ", "AAAA0000000000", "AAAA0000000001",
                                       "99999999999999", "lower", "LOWER", "A\x7e", "000000000000 0")]  # fmt: skip
    assert len({packed(one) for one in tokens}) == len(tokens)
    assert all(unpacked(packed(one)) in (one, None) for one in tokens)
    assert unpacked(packed(token("ZZZZZZZZZZZZ"))) == token("ZZZZZZZZZZZZ")
    assert unpacked(packed(BLANK_TOKEN)) is None


def test_orders_that_can_not_trade_at_once_are_canceled(venue, codec):
    accepted, canceled = venue.say(codec, enter("IOC", tif=0, shares=70))
    assert accepted["tif"] == 0
    assert pick(canceled, "type", "shares", "reason") == ("C", 70, "I")


def test_a_market_order_has_the_price_that_stands_for_one(venue, codec):
    accepted, canceled = venue.say(codec, enter("MKT", price=0x7FFFFFFF))
    assert accepted["price"] == 0x7FFFFFFF
    assert pick(canceled, "type", "reason") == ("C", "I")


def test_seconds_to_live_are_told_as_they_are_left(venue, codec):
    (accepted,) = venue.say(codec, enter("GTD", tif=60))
    assert accepted["tif"] == 60


def test_displays(venue, codec):
    said = venue.say(codec, enter("H", display="N"), enter("P", display="P", price=900_000), enter("A", display="A"))
    assert [one["display"] for one in said] == ["N", "P", "Y"]


# ---- cancel ------------------------------------------------------------------------------------------------------


def test_cancel_takes_the_whole_order_off(venue, codec):
    venue.say(codec, enter("A", shares=100))
    (canceled,) = venue.say(codec, cancel("A"))
    assert pick(canceled, "type", "token", "shares", "reason") == ("C", "A             ", 100, "U")


def test_superfluous_cancels_are_without_effect_and_without_an_answer(venue, codec):
    venue.say(codec, enter("A"))
    assert len(venue.say(codec, cancel("A"), cancel("A"))) == 1
    assert venue.say(codec, cancel("A"), cancel("UNKNOWN")) == []


def test_cancel_to_a_total_counts_what_has_traded(venue, codec, other):
    venue.say(codec, enter("A", "S", 100))
    venue.say(other, enter("B", "B", 30), session_id=OTHER)
    (_executed, canceled) = venue.say(codec, cancel("A", 50))
    assert pick(canceled, "type", "shares", "reason") == ("C", 50, "U")
    _accepted, executed, rest = venue.say(other, enter("C", "B", 100, tif=0), session_id=OTHER)
    assert (executed["shares"], rest["shares"]) == (20, 80)


def test_cancel_to_a_total_never_makes_an_order_larger(venue, codec, other):
    venue.say(codec, enter("A", "S", 100))
    assert venue.say(codec, cancel("A", 100), cancel("A", 150)) == []
    _start, _accepted, executed, _rest = venue.say(other, enter("C", "B", 500, tif=0), session_id=OTHER)
    assert executed["shares"] == 100


def test_cancel_to_a_total_that_has_traded_already_ends_the_order(venue, codec, other):
    venue.say(codec, enter("A", "S", 100))
    venue.say(other, enter("B", "B", 60), session_id=OTHER)
    (_executed, canceled) = venue.say(codec, cancel("A", 60))
    assert pick(canceled, "type", "shares", "reason") == ("C", 40, "U")
    assert venue.say(codec, cancel("A")) == []


def test_what_is_not_understood_of_a_live_order_is_a_cancel_reject(venue, codec):
    venue.say(codec, enter("L", stock="LOTS", shares=1000))
    said = venue.say(codec, modify("L", 10), cancel("L", 150))
    assert [pick(one, "type", "token") for one in said] == [("I", "L             ")] * 2
    assert venue.say(codec, modify("NOBODY", 10)) == []


# ---- replace -----------------------------------------------------------------------------------------------------


def test_replace_gives_the_order_a_new_token(venue, codec):
    venue.say(codec, enter("A", shares=100, price=1_000_000))
    (said,) = venue.say(codec, replace("A", "B", 70, 990_000))
    assert pick(said, "type", "token", "previous", "shares", "price") == (
        "U", "B             ", "A             ", 70, 990_000,
    )  # fmt: skip
    assert venue.say(codec, cancel("A")) == [], "A is no order any more"
    (canceled,) = venue.say(codec, cancel("B"))
    assert pick(canceled, "token", "shares") == ("B             ", 70)


def test_replace_counts_what_has_traded(venue, codec, other):
    venue.say(codec, enter("A", "S", 100))
    venue.say(other, enter("X", "B", 30), session_id=OTHER)
    _executed, said = venue.say(codec, replace("A", "B", 80, 1_000_000))
    assert said["shares"] == 50, "80 in all, of which 30 have traded"
    (said,) = venue.say(codec, replace("B", "C", 200, 1_000_000))
    assert said["shares"] == 170


def test_replace_to_less_than_has_traded_ends_the_order_and_uses_the_token(venue, codec, other):
    venue.say(codec, enter("A", "S", 100))
    venue.say(other, enter("X", "B", 60), session_id=OTHER)
    _executed, canceled = venue.say(codec, replace("A", "B", 60, 1_000_000))
    assert pick(canceled, "type", "token", "shares", "reason") == ("C", "A             ", 40, "U")
    assert venue.say(codec, enter("B")) == [], "its token is used"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (replace("NONE", "B", 10, 1_000_000), "O"),
        (replace("A", "B", 0, 1_000_000), "Z"),
        (replace("A", "B", 10, 1_000_001), "X"),
        (replace("A", "B", 10, 0x7FFFFFFF), "X"),
        (replace("A", "B", 10, 1_000_000, display="N"), "D"),
        (replace("A", "B", 10, 1_000_000, minimum=1), "N"),
        (replace("A", "B", 10, 1_000_000, tif=0), "O"),
    ],
)
def test_replace_that_can_not_be_is_rejected_and_the_order_stays(venue, codec, message, reason):
    venue.say(codec, enter("A"))
    (said,) = venue.say(codec, message)
    assert pick(said, "type", "token", "reason") == ("J", "B             ", reason)
    assert venue.say(codec, message) == []
    assert len(venue.say(codec, cancel("A"))) == 1


def test_replace_and_cancel_may_follow_before_anything_is_answered(venue, codec):
    said = venue.say(
        codec, enter("A", shares=10), replace("A", "B", 20, 990_000), replace("B", "C", 30, 980_000), cancel("C")
    )
    assert [one["type"] for one in said] == ["A", "U", "U", "C"]
    assert pick(said[3], "token", "shares") == ("C             ", 30)


def test_replace_of_an_order_that_has_just_ended_is_rejected(venue, codec, other):
    venue.say(codec, enter("A", "S", 10))
    venue.send(other, unsequenced(enter("X", "B", 10)), OTHER)
    executed, rejected = venue.say(codec, replace("A", "B", 20, 1_000_000))
    assert executed["type"] == "E"
    assert pick(rejected, "type", "token", "reason") == ("J", "B             ", "O")


# ---- what others do ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stp", "types"),
    [
        (SelfTradePrevention.CANCEL_NEWEST, ["A", "D"]),
        (SelfTradePrevention.CANCEL_OLDEST, ["A", "D"]),
        (SelfTradePrevention.CANCEL_BOTH, ["A", "D", "D"]),
        (SelfTradePrevention.DECREMENT, ["A", "D", "D"]),
    ],
)
def test_self_trade_prevention_is_an_aiq_cancel(kind, stp, types):
    venue, codec = Venue(), make_codec(kind, stp=int(stp))
    venue.say(codec, enter("S1", "S", 100))
    said = venue.say(codec, enter("B1", "B", 40))
    assert [one["type"] for one in said] == types
    assert all(pick(one, "reason", "price") == ("Q", 1_000_000) for one in said[1:])


def test_nothing_is_told_of_a_number_that_another_command_had(venue, codec):
    """A command that came late from a connection that the client had left."""
    records = bytearray(codec.decode(unsequenced(enter("LATE")), venue.last_no[SESSION], 10, 0)[3])
    venue.apply(np.frombuffer(bytes(records), dtype=COMMAND))
    (rows,) = venue.rows[SESSION]
    assert rows.rows["code"].tolist() == [Code.KEY_REUSED]
    assert venue.take(codec) == b""


def test_auction_trades_are_marked_as_the_opening_or_the_closing_cross(venue, codec, other):
    venue.set_phase("OPENING_AUCTION")
    said = venue.say(codec, enter("O", "S", 10, cross="O"), enter("N", "S", 10))
    assert [one["cross"] for one in said] == ["O", "N"]
    venue.say(other, enter("B", "B", 20), session_id=OTHER)
    venue.set_phase("CONTINUOUS")
    assert [pick(one, "type", "liquidity") for one in messages(venue.take(codec))] == [("E", "O")] * 2
    (waiting,) = venue.say(codec, enter("C", "S", 10, cross="C"))
    assert waiting["cross"] == "C"
    venue.set_phase("CLOSING_AUCTION")
    venue.say(other, enter("D", "B", 10), session_id=OTHER)
    venue.set_phase("CLOSED")
    assert [pick(one, "type", "liquidity") for one in messages(venue.take(codec))] == [("E", "C")]


def test_expiry_is_a_timeout_and_a_mass_cancel_supervisory(venue, codec):
    venue.say(codec, enter("A", tif=1), enter("B"))
    venue.tick(2_000_000_000)
    assert [pick(one, "type", "token", "reason") for one in messages(venue.take(codec))] == [
        ("C", "A             ", "T")
    ]
    venue.cancel_all(account=1)
    assert [pick(one, "type", "token", "reason") for one in messages(venue.take(codec))] == [
        ("C", "B             ", "S")
    ]


# ---- packets -----------------------------------------------------------------------------------------------------


def test_packets_that_are_not_whole_wait(venue, codec):
    raw = unsequenced(enter("A"), enter("B"))
    consumed, packets, halt, records = codec.decode(raw[:-1], 10, 100, 0)
    assert (consumed, packets, halt, len(records)) == (52, 1, Halt.NONE, 128)


def test_no_more_messages_are_read_than_there_is_room_for(codec):
    raw = unsequenced(*(enter(f"T{at}") for at in range(10)))
    consumed, packets, halt, records = codec.decode(raw, 1, 4, 0)
    assert (packets, halt, len(records) // 128) == (3, Halt.NONE, 3)
    assert consumed == 3 * 52


@pytest.mark.parametrize(
    ("raw", "halt"),
    [
        (b"\0\0", Halt.BAD_LENGTH),
        (b"\x05\0", Halt.BAD_LENGTH),
        (packet(b"L", bytes(46)), Halt.UNKNOWN_PACKET),
        (packet(b"S"), Halt.UNKNOWN_PACKET),
        (packet(b"U"), Halt.UNKNOWN_MESSAGE),
        (packet(b"U", b"Z"), Halt.UNKNOWN_MESSAGE),
        (packet(b"U", enter("A")[:-2]), Halt.UNKNOWN_MESSAGE),
        (packet(b"U", enter(" ")), Halt.BAD_TOKEN),
        (packet(b"U", enter(b"\0" * 14)), Halt.BAD_TOKEN),
        (packet(b"U", replace("A", " ", 1, 1)), Halt.BAD_TOKEN),
        (packet(b"O"), Halt.LOGOUT),
    ],
)
def test_what_is_no_message_ends_the_reading(codec, raw, halt):
    good = packet(b"R") + packet(b"+", b"hello") + unsequenced(enter("GOOD"))
    consumed, _count, said, records = codec.decode(good + raw + good, 1, 100, 0)
    assert said == halt
    assert len(records) == 128, "what came before counts"
    assert consumed == len(good) + (len(raw) if halt == Halt.LOGOUT else 0)


def test_an_enter_order_without_customer_type_is_one(venue, codec):
    assert len(venue.say(codec, enter("A")[:-1])) == 1


def test_a_session_uses_as_many_tokens_as_it_may(kind):
    codec = make_codec(kind, max_tokens=2)
    *_, halt, records = codec.decode(unsequenced(enter("A"), enter("B"), cancel("A"), enter("C")), 1, 100, 0)
    assert (halt, len(records) // 128) == (Halt.FULL, 3)
    assert codec.used == 2


# ---- numbers of messages -----------------------------------------------------------------------------------------


def test_messages_have_the_same_numbers_wherever_they_are_made_again(kind):
    venue, codec = Venue(), make_codec(kind)
    texts = [enter(f"order {at}", "BS"[at % 2], 10 + at) for at in range(20)]
    texts += [cancel("order 3"), replace("order 4", "R4", 5, 900_000), enter("bad", stock="NONE"), cancel("order 5", 1)]
    for text in texts:
        venue.send(codec, unsequenced(text))
    rows = list(venue.rows[SESSION])
    told = venue.take(codec)
    for emit_from in (1, 2, 7, codec.next_message, codec.next_message + 1):
        again = make_codec(kind)
        raw = b"".join(again.encode(part.rows, part.legs, emit_from) for part in rows)
        assert messages(raw) == messages(told)[emit_from - 1 :]
        assert (again.next_message, again.used, again.alive) == (codec.next_message, codec.used, codec.alive)

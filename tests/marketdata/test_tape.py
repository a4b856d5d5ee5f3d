"""A subscriber that comes back again and again has every trade once, in order, or hears which it can't have."""

from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.marketdata.books import Print
from lockstep.marketdata.tape import LAST_INDEX, MAX_TRADES, Missed, Tape, TapeState


def row(seq, index=0, price=100):
    return 7, Print(seq, index, price, 1, 1, 5, 6, 0)


def drain(tape):
    found = []
    while len(tape):
        delivered = tape.take()
        found.append(delivered if isinstance(delivered, Missed) else (delivered[1].seq, delivered[1].index))
    return found


@st.composite
def histories(draw):
    """Ids of trades: up to three of each seq that has any."""
    ids = []
    for seq in range(1, draw(st.integers(5, 40))):
        ids += [(seq, index) for index in range(draw(st.sampled_from((0, 0, 1, 3))))]
    return ids


class Wire:
    """What one client received, over all of its streams."""

    def __init__(self):
        self.trades = []
        self.missed = []
        self.last = None

    def read(self, tape, most):
        for _ in range(min(most, len(tape))):
            delivered = tape.take()
            if isinstance(delivered, Missed):
                self.missed.append((delivered.after, (delivered.through_seq, LAST_INDEX)))
                assert self.last is not None
                self.last = max(self.last, (delivered.through_seq, LAST_INDEX))
            else:
                self.trades.append((delivered[1].seq, delivered[1].index))
                self.last = self.trades[-1]


@settings(max_examples=50, deadline=None)
@given(histories(), st.data())
def test_whatever_breaks_every_trade_is_told_once_or_said_to_be_missed(history, data):
    wire, tip, began = Wire(), 0, None
    final = max(seq for seq, _ in history) if history else 0
    while tip < final or began is None:
        # A stream begins, at a gateway that stands at `boundary`; the journals are cut up to `cut`.
        boundary = data.draw(st.integers(tip, final), label="boundary")
        cut = data.draw(st.sampled_from((0, 0, boundary // 2)), label="cut")
        tape = Tape(wire.last)
        tape.begin(boundary)
        if wire.last is None:
            wire.last = began = (boundary, LAST_INDEX)
        live = data.draw(st.lists(st.integers(1, 6), max_size=5), label="bursts")
        cut_off = data.draw(st.booleans(), label="cut off")
        for step in [0, *live]:
            tape.on_live([row(*key) for key in history if boundary < key[0] <= boundary + step])
            boundary = min(boundary + step, final)
            if tape.wanted and tape.after[0] < cut:
                tape.miss(cut, "cut")
            elif tape.wanted:
                # Fetched in pieces, the last of which may come twice, as after a break of the engine's stream.
                through = data.draw(st.integers(tape.after[0], tape.boundary), label="through")
                piece = [row(*key) for key in history if key[0] <= through and key > (tape.after[0], -1)]
                tape.on_fetched(piece, (through, LAST_INDEX))
            elif tape.state is TapeState.CATCHING_UP:
                tape.release()
            wire.read(tape, data.draw(st.integers(0, 10), label="read"))
        if not cut_off:
            if tape.wanted:
                tape.on_fetched([row(*key) for key in history if key[0] <= tape.boundary], (tape.boundary, LAST_INDEX))
            tape.release()
            wire.read(tape, 10**9)
            assert wire.last >= max((key for key in history if key[0] <= boundary), default=(0, 0))
        tip = boundary
    gone = {key for key in history if key > began and any(after < key <= through for after, through in wire.missed)}
    assert wire.trades == sorted(set(wire.trades))
    assert not set(wire.trades) & gone
    assert [key for key in history if began < key <= wire.last] == sorted({*wire.trades, *gone})


def test_fresh_subscriber_begins_with_what_comes_next():
    tape = Tape()
    tape.begin(10)
    assert (tape.state, tape.wanted) == (TapeState.LIVE, False)
    tape.on_live([row(10, 3), row(11)])
    assert drain(tape) == [(11, 0)]


def test_subscriber_that_is_ahead_of_its_gateway_is_told_nothing_again():
    tape = Tape((12, 1))
    tape.begin(10)
    tape.on_live([row(11), row(12), row(12, 1), row(12, 2), row(13)])
    assert drain(tape) == [(12, 2), (13, 0)]


def test_live_trades_wait_until_the_older_ones_are_in():
    tape = Tape((4, 0))
    tape.begin(10)
    tape.on_live([row(11)])
    assert drain(tape) == []
    tape.on_fetched([row(4), row(4, 1), row(9)], (10, LAST_INDEX))
    assert not tape.wanted
    tape.release()
    tape.on_live([row(12)])
    assert drain(tape) == [(4, 1), (9, 0), (11, 0), (12, 0)]


def test_what_was_seen_in_doubt_is_told_again_where_history_is_another_one():
    tape = Tape((14, 0))
    tape.begin(10, in_doubt=True)
    tape.on_live([row(11)])
    tape.void(7, "an operator")
    assert (tape.wanted, tape.after) == (True, (6, LAST_INDEX))
    tape.on_fetched([row(8)], (10, LAST_INDEX))
    tape.release()
    assert drain(tape) == [Missed((6, LAST_INDEX), 6, "an operator", 7), (8, 0), (11, 0)]


def test_what_was_seen_in_doubt_and_holds_is_not_told_again():
    tape = Tape((12, 0))
    tape.begin(10, in_doubt=True)
    tape.on_live([row(11), row(12), row(13)])
    tape.trust()
    assert not tape.wanted
    tape.release()
    assert drain(tape) == [(13, 0)]


def test_tape_that_overflows_keeps_what_is_queued_takes_nothing_in_and_stays_so():
    tape = Tape((4, 0))
    tape.begin(10)
    tape.on_fetched([row(5)], (6, 0))
    tape.on_live([row(11, index) for index in range(MAX_TRADES)])
    assert tape.state is TapeState.OVERFLOWED
    tape.on_fetched([row(7)], (10, LAST_INDEX))
    tape.miss(10, "cut")
    tape.release()
    tape.on_live([row(12)])
    assert (drain(tape), tape.state) == ([(5, 0)], TapeState.OVERFLOWED)

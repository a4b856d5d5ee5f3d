"""What a bad wire does to the frames it is given."""

from lockstep.trials.chaos.bad_wire import BadWire

MS = 1_000_000


def frames(count: int) -> list[bytes]:
    return [number.to_bytes(4, "big") for number in range(count)]


def test_every_frame_takes_the_delay_and_order_stays() -> None:
    wire = BadWire(delay_ns=20 * MS, jitter_ns=0, loss=0.0, seed=1)
    assert wire.next_ns() is None
    for at, frame in enumerate(frames(3)):
        wire.take(frame, at * MS)
    assert wire.next_ns() == 20 * MS
    assert wire.due(20 * MS - 1) == []
    assert wire.due(21 * MS) == frames(2)
    assert wire.due(40 * MS) == frames(3)[2:]
    assert wire.next_ns() is None


def test_the_share_that_is_lost_is_that_of_the_wire() -> None:
    wire = BadWire(delay_ns=0, jitter_ns=0, loss=0.1, seed=1)
    for frame in frames(10_000):
        wire.take(frame, 0)
    assert 8_800 < len(wire.due(0)) < 9_200


def test_jitter_reorders_and_loses_nothing_and_equal_seeds_do_the_same() -> None:
    def arrivals(seed: int) -> list[bytes]:
        wire = BadWire(delay_ns=MS, jitter_ns=5 * MS, loss=0.0, seed=seed)
        for at, frame in enumerate(frames(100)):
            wire.take(frame, at * MS)
        assert wire.due(MS - 1) == []
        return wire.due(200 * MS)

    assert sorted(arrivals(1)) == frames(100) != arrivals(1)
    assert arrivals(1) == arrivals(1) != arrivals(2)

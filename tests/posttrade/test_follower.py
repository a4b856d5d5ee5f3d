"""Whom a follower reads from, what it applies, and when it stops: the machine alone."""

from functools import cache

import pytest

from lockstep.posttrade.chunks import Chunk, ChunkFault, Position, check
from lockstep.posttrade.follower import (
    GONE_PATIENCE_NS,
    IDLE_NS,
    RETRY_NS,
    ROTATE_NS,
    Answered,
    Applied,
    Due,
    Failed,
    FollowerMachine,
    Started,
    State,
)
from lockstep.runtime.inquiry import Fault
from lockstep.stream.records import no_events
from tests.posttrade.flows import History, history


@cache
def the_history() -> History:
    return history(4, 60)


def empty(seq: int, epoch: int = 1) -> Chunk:
    return Chunk((), no_events(), seq, seq, epoch)


BEGIN = Position()


def begun(position: Position = BEGIN, engines=(1, 2, 3)):
    machine = FollowerMachine(position, engines)
    effects = machine.step(Started(), 0)
    assert effects.read is not None
    assert effects.read.after_seq == position.seq
    return machine, effects.read


def test_chunks_are_applied_in_order_one_at_a_time_while_the_next_is_read():
    machine, read = begun()
    first, second, third = the_history().chunk(0, 4), the_history().chunk(5, 9), the_history().chunk(10, 14)
    effects = machine.step(Answered(read.engine, first), 1)
    assert effects.apply is first
    assert effects.read is not None
    assert effects.read.after_seq == first.through_seq
    effects = machine.step(Answered(effects.read.engine, second), 2)
    assert (effects.apply, effects.read) == (None, None), "one waits: that is enough"
    assert machine.position == Position()
    effects = machine.step(Applied(first.end()), 3)
    assert effects.apply is second
    assert effects.read is not None
    assert effects.read.after_seq == second.through_seq
    machine.step(Answered(effects.read.engine, third), 4)
    assert machine.position == first.end()
    machine.step(Applied(second.end()), 5)
    machine.step(Applied(third.end()), 6)
    assert machine.position == third.end()
    assert machine.lag_commands == 0


def test_it_turns_to_a_standby_when_the_stream_names_the_primary():
    machine, read = begun(engines=(1, 2))
    assert read.engine == 1
    effects = machine.step(Answered(1, the_history().chunk(0, 3)), 1)
    assert effects.read is not None
    assert effects.read.engine == 2


def test_it_pauses_where_there_is_nothing_new_and_asks_another_engine_after_a_second():
    machine, read = begun()
    now_ns = 1
    asked = set()
    while now_ns < 4 * ROTATE_NS:
        effects = machine.step(Answered(read.engine, empty(0)), now_ns)
        assert effects.read is None
        assert effects.deadline_ns == now_ns + IDLE_NS
        assert machine.step(Due(), now_ns + 1).read is None, "too early"
        now_ns = effects.deadline_ns
        again = machine.step(Due(), now_ns).read
        assert again is not None
        read = again
        asked.add(read.engine)
    assert asked == {1, 2, 3}


def test_an_engine_that_fails_or_is_of_a_lower_epoch_is_left_for_the_next():
    machine, read = begun()
    effects = machine.step(Failed(read.engine, Fault.UNAVAILABLE, "engine 1: away"), 1)
    assert effects.deadline_ns == 1 + RETRY_NS
    read = machine.step(Due(), effects.deadline_ns).read
    assert read is not None
    assert read.engine == 2
    effects = machine.step(Answered(2, empty(0, epoch=5)), RETRY_NS + 2)
    read = machine.step(Due(), effects.deadline_ns).read
    assert read is not None
    machine.step(Answered(read.engine, the_history().chunk(0, 3)), RETRY_NS * 9)
    assert machine.faults["behind"] == 1
    assert machine.position == Position(), "what is of a lower epoch than one heard of may be discarded"


def test_what_does_not_continue_the_position_is_not_applied():
    machine, read = begun()
    effects = machine.step(Answered(read.engine, the_history().chunk(2, 4)), 1)
    assert effects.apply is None
    assert machine.faults["damaged"] == 1
    assert "was expected" in machine.last_fault


def test_given_up_history_stops_it_for_good():
    machine, read = begun(the_history().chunk(0, 9).end())
    effects = machine.step(Failed(read.engine, Fault.DIVERGED, "engine 1: history from seq 7 on is another"), 1)
    assert effects.stop is not None
    assert effects.stop.diverged
    assert machine.state is State.STOPPED
    assert machine.step(Due(), 10**12).read is None


def run(machine, read, answer, *, for_ns: int):
    """Have engines answer for so long, or until it stops; the effects of the last step, and when that was."""
    begin_ns = now_ns = 1
    while True:
        effects = machine.step(answer(read.engine, now_ns), now_ns)
        if effects.stop is not None or now_ns - begin_ns > for_ns:
            return effects, now_ns
        now_ns = effects.deadline_ns
        again = machine.step(Due(), now_ns).read
        assert again is not None
        read = again


def cut(engine: int):
    return Failed(engine, Fault.GONE, f"engine {engine}: cut", first_seq=500 + engine)


def away(engine: int):
    return Failed(engine, Fault.UNAVAILABLE, f"engine {engine}: away")


def test_history_that_all_engines_have_cut_stops_it_at_once():
    machine, read = begun()
    effects, now_ns = run(machine, read, lambda engine, _: cut(engine), for_ns=GONE_PATIENCE_NS)
    assert effects.stop is not None
    assert not effects.stop.diverged
    assert "there is history from seq 501 on" in effects.stop.text
    assert now_ns < 10 * RETRY_NS


def test_engines_that_are_away_are_waited_for_and_not_for_ever():
    def answer(engine, _):
        return cut(engine) if engine == 1 else away(engine)

    machine, read = begun()
    effects, now_ns = run(machine, read, answer, for_ns=2 * GONE_PATIENCE_NS)
    assert effects.stop is not None
    assert "no answer from engine 2, 3" in effects.stop.text
    assert GONE_PATIENCE_NS <= now_ns < GONE_PATIENCE_NS + 10 * RETRY_NS


def test_an_engine_that_comes_back_with_what_the_others_have_cut_is_read():
    machine, read = begun()
    back_ns = GONE_PATIENCE_NS - 10 * RETRY_NS
    chunk = the_history().chunk(0, 3)

    def answer(engine, now_ns):
        if engine != 3:
            return cut(engine)
        return away(3) if now_ns < back_ns else Answered(3, chunk)

    now_ns = 1
    while machine.position.seq == 0:
        effects = machine.step(answer(read.engine, now_ns), now_ns)
        assert effects.stop is None
        if effects.apply is not None:
            machine.step(Applied(chunk.end()), now_ns)
            break
        now_ns = effects.deadline_ns
        read = machine.step(Due(), now_ns).read
        assert read is not None
    assert machine.position == chunk.end()


def test_who_is_not_in_sync_or_of_a_lower_epoch_is_no_hope():
    out = Chunk((), no_events(), 0, 0, 5, in_sync=False)

    def answer(engine, _):
        return cut(1) if engine == 1 else Answered(engine, out if engine == 2 else empty(0, epoch=4))

    machine, read = begun()
    effects, now_ns = run(machine, read, answer, for_ns=GONE_PATIENCE_NS)
    assert effects.stop is not None
    assert now_ns < GONE_PATIENCE_NS // 10


def test_an_engine_that_had_it_and_went_away_is_waited_for_from_then_on():
    went_ns = GONE_PATIENCE_NS * 3 // 2

    def answer(engine, now_ns):
        return cut(1) if engine == 1 else Answered(2, empty(0)) if now_ns < went_ns else away(2)

    machine, read = begun(engines=(1, 2))
    effects, now_ns = run(machine, read, answer, for_ns=4 * GONE_PATIENCE_NS)
    assert effects.stop is not None
    assert now_ns >= went_ns + GONE_PATIENCE_NS


@pytest.mark.parametrize("fault", [Fault.BUSY])
def test_who_is_busy_lives_and_may_have_it(fault):
    def answer(engine, _):
        return cut(1) if engine == 1 else Failed(2, fault, "engine 2: others first")

    machine, read = begun(engines=(1, 2))
    effects, _ = run(machine, read, answer, for_ns=2 * GONE_PATIENCE_NS)
    assert effects.stop is None


def test_one_engine_that_has_cut_is_no_reason_to_stop():
    machine, read = begun(engines=(1, 2))
    now_ns = 1
    for _ in range(200):
        gone = Failed(1, Fault.GONE, "cut", first_seq=500)
        effects = machine.step(gone if read.engine == 1 else Answered(2, empty(0)), now_ns)
        assert effects.stop is None
        now_ns = effects.deadline_ns
        again = machine.step(Due(), now_ns).read
        assert again is not None
        read = again


@pytest.mark.parametrize("wrong", ["gap", "missing event", "order", "stranger", "short"])
def test_a_chunk_that_does_not_fit_together_is_found(wrong):
    whole = the_history().chunk(0, 9)
    check(whole, Position())
    batches, events = whole.batches, whole.events.copy()
    through = whole.through_seq
    if wrong == "gap":
        batches = (*batches[:3], *batches[4:])
    elif wrong == "missing event":
        events = events[1:]
    elif wrong == "order":
        events[[3, 4]] = events[[4, 3]]
    elif wrong == "stranger":
        made = History(4)
        made.epoch = 9
        list(made.go_on(3))
        whole = made.chunk(0, 5)
        batches, events, through = whole.batches, whole.events, whole.through_seq
    else:
        through += 1
    with pytest.raises(ChunkFault):
        check(Chunk(batches, events, through, through, 1), Position())

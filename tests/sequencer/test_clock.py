"""The time that commands are stamped with: clocks are set, back and forth, wrong and right, while the cluster runs."""

from collections.abc import Callable

import pytest

from lockstep.sequencer import events as ev
from lockstep.sequencer.clock import LOOK_NS, STEP_NS, TOLERANCE_NS, StampClock
from lockstep.sequencer.events import Outbox
from tests.sequencer.conftest import START_NS, Stage

SECOND = 1_000_000_000
HOUR = 3_600 * SECOND
CENTURY = 100 * 366 * 24 * HOUR
NOON = 1_800_000_000 * SECOND


class Clocks:
    """A stamp clock, the true time, and what each clock is off by."""

    def __init__(self, own: int = 0, **others: int) -> None:
        self.off = {"own": own, **others}
        self.heard = set(others)
        self.now_ns = 77 * SECOND
        self.out = Outbox()
        self.stamped_ns = 0
        self.clock = StampClock(self.now_ns, self.wall("own"))
        self.look()

    @property
    def true_ns(self) -> int:
        return NOON + self.now_ns

    def wall(self, name: str) -> int:
        return self.true_ns + self.off[name]

    def look(self) -> None:
        others = [(name, self.wall(name)) for name in sorted(self.heard)]
        self.clock.look(self.now_ns, self.wall("own"), others, self.stamped_ns, self.out)

    def lead(self, stamped_ns: int = 0) -> None:
        self.stamped_ns = stamped_ns
        self.clock.lead(stamped_ns, self.now_ns)

    def after(self, span_ns: int) -> int:
        """Let time pass; how far the stamp is ahead of the true time then, in ns."""
        end_ns = self.now_ns + span_ns
        step_ns = max(LOOK_NS, span_ns // 1_000)
        while self.now_ns < end_ns:
            self.now_ns += step_ns
            self.look()
            self.stamped_ns = max(self.stamped_ns, self.clock.at(self.now_ns))
        return self.stamped_ns - self.true_ns

    def why(self) -> str:
        return self.clock.why(self.now_ns, self.stamped_ns)


@pytest.mark.parametrize("behind_ns", [SECOND, 30 * SECOND, HOUR, 25 * HOUR, 83 * 24 * HOUR, 50 * CENTURY // 100])
def test_clocks_that_are_set_ahead_are_followed_at_the_next_look(behind_ns: int) -> None:
    clocks = Clocks(own=-behind_ns, sequencer=-behind_ns, engine=-behind_ns)
    clocks.lead()
    assert clocks.after(SECOND) == -behind_ns
    clocks.off = dict.fromkeys(clocks.off, 0)
    assert clocks.after(LOOK_NS) == 0
    assert clocks.why() == ""


def test_a_leader_that_hears_nobody_follows_its_own_clock_at_once() -> None:
    clocks = Clocks(own=-HOUR)
    clocks.lead()
    clocks.after(SECOND)
    clocks.off["own"] = 0
    assert clocks.after(LOOK_NS) == 0


@pytest.mark.parametrize("ahead_ns", [SECOND, 30 * SECOND, HOUR, 25 * HOUR])
def test_stamped_time_stands_while_clocks_that_were_set_back_are_behind_it_and_says_so(ahead_ns: int) -> None:
    clocks = Clocks(own=ahead_ns, sequencer=ahead_ns, engine=ahead_ns)
    clocks.lead()
    clocks.after(SECOND)
    stamped_ns = clocks.stamped_ns
    clocks.off = dict.fromkeys(clocks.off, 0)
    clocks.after(ahead_ns // 4)
    assert clocks.stamped_ns == stamped_ns
    assert ("stands until they reach it" in clocks.why()) == (ahead_ns * 3 // 4 >= STEP_NS)
    assert clocks.after(ahead_ns) == 0
    assert clocks.why() == ""


@pytest.mark.parametrize("off_ns", [2 * SECOND, HOUR, CENTURY, 3 * CENTURY, 90 * CENTURY, -HOUR, -NOON])
def test_the_leader_s_clock_alone_moves_stamped_time_by_what_is_tolerated(off_ns: int) -> None:
    clocks = Clocks(own=0, sequencer=0, first=0, second=0)
    clocks.lead(clocks.true_ns)
    clocks.after(SECOND)
    clocks.off["own"] = off_ns
    expected_ns = TOLERANCE_NS if off_ns > 0 else -TOLERANCE_NS
    assert abs(clocks.after(60 * SECOND)) <= TOLERANCE_NS
    assert clocks.clock.at(clocks.now_ns) - clocks.true_ns == expected_ns
    assert "most of the cluster's clocks" in clocks.why()
    clocks.off["own"] = 0
    assert clocks.after(2 * TOLERANCE_NS) == 0


@pytest.mark.parametrize("off_ns", [HOUR, CENTURY, -HOUR, -CENTURY])
def test_a_sequencer_with_another_time_takes_over_and_nobody_notices(off_ns: int) -> None:
    clocks = Clocks(own=off_ns, sequencer=0, engine=0)
    clocks.after(SECOND)
    clocks.lead(clocks.true_ns)
    assert abs(clocks.after(10 * SECOND)) <= TOLERANCE_NS


@pytest.mark.parametrize("off_ns", [HOUR, CENTURY])
def test_of_two_clocks_the_lower_holds_the_other_back(off_ns: int) -> None:
    clocks = Clocks(own=off_ns, engine=0)
    clocks.lead(clocks.true_ns)
    assert clocks.after(SECOND) == TOLERANCE_NS


def test_a_long_outage_is_made_up_at_once_where_the_clocks_agree() -> None:
    clocks = Clocks(own=0, sequencer=0, engine=0)
    clocks.lead(clocks.true_ns - 72 * HOUR)
    assert clocks.after(LOOK_NS) == 0


@pytest.mark.parametrize("last_ns", [0, 2 * SECOND, 72 * HOUR])
def test_clocks_that_are_wrong_together_hold_back_a_leap_and_never_the_hours(last_ns: int) -> None:
    clocks = Clocks(own=0, first=-HOUR * 100, second=-HOUR * 100)
    clocks.lead(clocks.true_ns - last_ns)
    assert clocks.after(SECOND) == -last_ns
    assert clocks.after(HOUR) == -last_ns
    clocks.off |= {"first": 0, "second": 0}
    assert clocks.after(LOOK_NS) == 0


def test_a_small_step_back_of_a_right_clock_costs_that_step_and_no_more() -> None:
    clocks = Clocks(own=0, first=-HOUR, second=-HOUR)
    clocks.lead(clocks.true_ns)
    clocks.after(SECOND)
    clocks.off["own"] = -5_000_000
    assert clocks.after(HOUR) == -5_000_000


def test_a_process_that_is_gone_votes_no_more() -> None:
    clocks = Clocks(own=-HOUR, sequencer=-HOUR, engine=-HOUR, other=-HOUR)
    clocks.lead()
    clocks.heard = {"engine"}
    clocks.after(30 * SECOND)
    clocks.off = dict.fromkeys(clocks.off, 0)
    assert clocks.after(LOOK_NS) == 0


def test_a_wrong_clock_does_not_become_right_when_those_that_contradict_it_fall_silent() -> None:
    clocks = Clocks(own=CENTURY, engine=CENTURY, right=0, too=0)
    clocks.lead(clocks.true_ns)
    clocks.after(SECOND)
    clocks.heard = {"engine"}
    assert clocks.after(10 * HOUR) == TOLERANCE_NS


def test_a_peer_of_an_older_version_that_tells_no_time_does_not_vote() -> None:
    clocks = Clocks(own=HOUR)
    clocks.clock.look(clocks.now_ns, clocks.wall("own"), (), 0, clocks.out)
    assert clocks.clock.apart_ns == 0


def test_changes_are_noted_once() -> None:
    clocks = Clocks(own=0, first=0, second=0)
    clocks.lead(clocks.true_ns)
    clocks.after(SECOND)
    assert clocks.out.notes == []
    clocks.off["own"] = HOUR
    clocks.after(5 * SECOND)
    said = [(note.what, dict(note.fields)) for note in clocks.out.notes]
    assert said[0] == ("this host's clock was set", {"by_s": "3600.0"})
    assert [what for what, _ in said[1:]] == ["wrong time"]
    # Set right, it is a second behind the last stamp.
    clocks.off["own"] = 0
    clocks.after(5 * SECOND)
    assert [note.what for note in clocks.out.notes][2:] == [
        "this host's clock was set", "wrong time", "the time is as it should be",
    ]  # fmt: skip


def _look(stage: Stage, wall_ns: int, *others: tuple[str, int]) -> None:
    stage.tell(ev.ClocksRead(wall_ns, others))


def test_the_next_command_after_a_step_ahead_carries_the_new_time(stage: Callable[..., Stage]) -> None:
    one = stage()
    one.lead()
    one.submit(1, 1)
    assert one.sent_to(1)[-1].timestamp_ns == START_NS
    _look(one, START_NS + HOUR)
    one.submit(2, 1)
    assert one.sent_to(1)[-1].timestamp_ns == START_NS + HOUR
    _look(one, START_NS - HOUR)
    one.submit(3, 1)
    assert one.sent_to(1)[-1].timestamp_ns == START_NS + HOUR


@pytest.mark.parametrize("step_ns", [HOUR, -HOUR, CENTURY, -NOON])
def test_a_step_of_the_clock_moves_no_deadline(stage: Callable[..., Stage], step_ns: int) -> None:
    one = stage(tick_ms=100)
    one.lead()
    _look(one, START_NS)
    before = one.epoch
    _look(one, START_NS + step_ns)
    for _ in range(20):
        one.after(5)
        one.ack_all(1, 2)
    assert one.machine.reign is not None
    assert one.epoch == before
    assert all(peer.up for peer in one.machine.peers.engines.values())


def test_a_takeover_goes_on_from_the_log_s_last_stamp_where_the_own_clock_is_outvoted(
    stage: Callable[..., Stage], make_config: Callable[..., object]
) -> None:
    one = stage(member=2)
    one.raise_curtain()
    right_ns = START_NS - HOUR
    _look(one, START_NS, ("engine-1", right_ns), ("engine-2", right_ns), ("sequencer-1", right_ns))
    one.sees(make_config())  # type: ignore[arg-type]
    one.tell(ev.SequencerDown(1, ev.Down.EOF))
    one.wins()
    for engine in (1, 2):
        one.promise(engine, 9, timestamp_ns=right_ns - SECOND)
    stamps = [sent.timestamp_ns for sent in one.sent_to(1)]
    assert stamps == [right_ns + TOLERANCE_NS]

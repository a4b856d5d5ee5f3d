"""Odd frames on every link of a real cluster that trades; `make odd-frames` sends many more."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from lockstep.runtime.topology import LinkKind
from lockstep.stream.messages import Submit
from lockstep.stream.records import COMMAND
from lockstep.trials.chaos.odd_neighbour import Moment, fits_in_every_field
from lockstep.trials.chaos.odd_run import OddPlan, run

FRAMES = 2_000


@pytest.mark.slow
def test_a_cluster_trades_on_through_odd_frames_on_every_link() -> None:
    result = run(OddPlan(seed=Random().randrange(2**32), frames=FRAMES, rate=100, most_s=8), lambda _: None)
    assert not result.problems
    assert not result.verdict.violations
    assert result.verdict.acknowledged == result.verdict.commands > 0
    assert all(result.sent[kind.name] > 0 for kind in LinkKind)
    assert result.dropped > sum(result.sent.values()) // 2


def test_what_is_right_in_every_field_is_not_sent() -> None:
    moment = Moment(epoch=4, tip=100, committed=99, digest=b"", incarnations={1: 7})
    records = np.zeros(1, dtype=COMMAND)
    word = Submit(
        sender=1, view_epoch=4, reign=4, first_link_no=50, incarnation=7, administrative=False, records=records
    )
    assert fits_in_every_field(word, moment)
    assert not fits_in_every_field(replace(word, incarnation=8), moment)
    assert not fits_in_every_field(replace(word, first_link_no=2**40), moment)

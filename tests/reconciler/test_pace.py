"""A reconciler checks what is new first: what it looks at again gets a share of its time, and its lag is shown."""

import sqlite3
import time
from contextlib import closing
from dataclasses import replace

import pytest

from lockstep.reconciler.auditor import Auditor
from lockstep.reconciler.case_file import CaseFile
from lockstep.reconciler.figures import ReconcilerFigures
from lockstep.reconciler.pace import Pace
from lockstep.reconciler.process import _show


@pytest.mark.parametrize(("behind", "pause_s"), [(False, 18), (True, 98)])
def test_looks_take_a_tenth_of_the_time_and_a_fiftieth_while_behind(behind, pause_s):
    pace = Pace()
    assert pace.may_look(0.0, behind=behind)
    pace.on_looked(100.0, 102.0)
    assert not pace.may_look(102.0 + pause_s - 0.1, behind=behind)
    assert pace.may_look(102.0 + pause_s, behind=behind)


def double_a_fill(path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(
            "INSERT INTO fills SELECT seq, event_index + 1000, instrument, side, price_ticks, quantity_lots, account, "
            "order_id, taker_fee_micros, maker_account, maker_order_id, maker_fee_micros, timestamp_ns "
            "FROM fills LIMIT 1"
        )


@pytest.fixture
def auditor(files):
    """One in the middle of the history, with passes of 100 commands, whose first look took a minute."""
    setup = replace(files.setup(), pass_commands=100)
    with closing(CaseFile(files.own, create=True)) as case, closing(Auditor(setup, case)) as made:
        made.run_pass()
        made._pace.on_looked(time.monotonic() - 60, time.monotonic())
        yield made


def catch_up(auditor):
    while not (result := auditor.run_pass()).caught_up:
        assert not result.halted
    return result


def test_old_fills_are_not_looked_at_again_before_it_is_time(auditor, files):
    double_a_fill(files.downstream)
    assert catch_up(auditor).found == 0
    auditor._pace = Pace()
    assert auditor.run_pass().found == 1


def test_no_certificate_is_given_without_a_look_at_its_very_end(auditor, files):
    result = catch_up(auditor)
    double_a_fill(files.downstream)
    assert auditor.certify(result) == ""
    assert [row.rule for row in auditor.case.breaks()] == ["R7"]


def test_new_fills_are_compared_however_far_it_is_behind(auditor, files):
    """A fill that somebody wrote in advance, where the next commands lead to another one."""
    verified = auditor.verified_seq
    with closing(sqlite3.connect(files.downstream)) as db, db:
        first = db.execute("SELECT * FROM fills ORDER BY seq LIMIT 1").fetchone()
        db.execute(f"INSERT INTO fills VALUES ({','.join('?' * len(first))})", (verified + 5, 9999, *first[2:]))
    assert auditor.run_pass().found == 1


def test_the_lag_is_told_in_commands_and_in_seconds(auditor):
    figures = ReconcilerFigures(())
    result = auditor.run_pass()
    _show(figures, result, auditor.case)
    assert figures.behind_commands == result.target_seq - result.verified_seq > 0
    assert figures.through_ns == auditor._twin.timestamp_ns
    shown = {family.name: family.samples[0].value for family in figures.families()}
    assert shown["lockstep_reconcile_lag_commands"] == figures.behind_commands
    assert shown["lockstep_reconcile_lag_seconds"] == pytest.approx(time.time() - figures.through_ns / 1e9, abs=5)
    began_ns = time.time_ns()
    _show(figures, catch_up(auditor), auditor.case)
    assert figures.behind_commands == 0
    assert figures.through_ns >= began_ns


def test_nothing_is_told_before_the_first_pass():
    shown = {family.name: family.samples for family in ReconcilerFigures(()).families()}
    assert shown["lockstep_reconcile_lag_seconds"][0].value == 0

"""A clearing house for tests: members, accounts, and the exchange's fills, with its invariants checked at each step."""

import datetime as dt

from lockstep.posttrade.clearing.calendars import number_of
from lockstep.posttrade.clearing.days import NS_PER_DAY
from lockstep.posttrade.clearing.entries import (
    Assign,
    Commit,
    Deposit,
    EndDay,
    Fill,
    Issue,
    Member,
    Prepare,
    StartDay,
)
from lockstep.posttrade.clearing.machine import ClearingMachine
from lockstep.posttrade.clearing.outputs import Kind
from lockstep.posttrade.clearing.state import check

MONDAY = number_of(dt.date(2025, 9, 8))
MICROS = 1_000_000


class House:
    """Members 1, 2, 3 ... with accounts 10, 20, 30 ... (own) and 11, 21, 31 ... (customers'); a share is a lot."""

    def __init__(self, members=3, issues=2, tick_micros=10_000, partial=True):
        self.machine = ClearingMachine()
        self.log = []
        self.seq = 0
        for issue in range(1, issues + 1):
            self.do(Issue(issue, tick_micros, 1, f"S{issue}"))
        for member in range(1, members + 1):
            self.do(Member(member, f"Member {member}", partial))
            self.do(Assign(10 * member, member, customer=False))
            self.do(Assign(10 * member + 1, member, customer=True))

    @property
    def state(self):
        return self.machine.state

    def do(self, entry):
        self.log.append(entry)
        out = self.machine.apply(entry)
        check(self.state)
        return out

    def fill(self, buyer, seller, quantity, ticks, *, issue=1, day=MONDAY, fees=(0, 0)):
        """A trade between two members' own accounts."""
        self.seq += 1
        at_ns = day * NS_PER_DAY + NS_PER_DAY // 2
        return self.do(Fill(self.seq, 1, at_ns, issue, 10 * buyer, 10 * seller, ticks, quantity, *fees))

    def give(self, member, *, cash=0, shares=0, issue=1, customer=False):
        if cash:
            self.do(Deposit(member, customer, 0, cash))
        if shares:
            self.do(Deposit(member, customer, issue, shares))

    def cycle(self):
        out = self.do(Prepare())
        return out, self.do(Commit(self.state.cycle))

    def whole_day(self, day):
        """Start, one cycle, end: all outputs."""
        start = self.do(StartDay(day))
        prepared, committed = self.cycle()
        return [*start, *prepared, *committed, *self.do(EndDay(day))]


def of_kind(outputs, *kinds):
    return [one for one in outputs if one.kind in kinds]


def refused(outputs):
    (one,) = outputs
    assert one.kind == Kind.REFUSED
    return one.detail

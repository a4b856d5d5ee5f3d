"""What is true of every log: nothing is made or lost, netting equals gross, replay equals live, locked or not."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.posttrade.clearing.days import NS_PER_DAY
from lockstep.posttrade.clearing.delivery import Book, Side, plan
from lockstep.posttrade.clearing.entries import (
    BuyInAccount,
    CashMoved,
    CloseOutRule,
    Commit,
    Deposit,
    EndDay,
    Fill,
    PenaltyRate,
    Prepare,
    Price,
    Reallocate,
    SharesMoved,
    SharesPassed,
    StartDay,
    Terms,
    Undo,
    decode,
    encode,
)
from lockstep.posttrade.clearing.machine import ClearingMachine
from lockstep.posttrade.clearing.outputs import Kind
from lockstep.posttrade.clearing.state import EXCHANGE, WORLD
from tests.posttrade.clearing_world import MONDAY, House

ACCOUNTS = st.sampled_from((10, 11, 20, 21, 30, 31, 99, 77))
ISSUES = st.sampled_from((1, 2))
SMALL = st.integers(1, 60)


@st.composite
def _captured(draw, day):
    at = day * NS_PER_DAY + draw(st.integers(0, NS_PER_DAY - 1))
    kind = draw(st.sampled_from(("fill", "fill", "fill", "cash", "shares", "passed")))
    account, other, issue = draw(ACCOUNTS), draw(ACCOUNTS), draw(ISSUES)
    if kind == "fill":
        return Fill(1, 1, at, issue, account, other, draw(SMALL), draw(SMALL), draw(st.integers(-3, 9)), draw(SMALL))
    if kind == "cash":
        return CashMoved(1, 1, at, account, draw(st.integers(-3_000, 9_000)))
    if kind == "shares":
        return SharesMoved(1, 1, at, account, issue, draw(st.integers(-40, 90)))
    return SharesPassed(1, 1, at, account, other, issue, draw(SMALL))


@st.composite
def _commanded(draw, day):
    member, issue = draw(st.integers(0, 4)), draw(ISSUES)
    return draw(
        st.sampled_from((
            Price(issue, draw(SMALL)),
            Deposit(member, draw(st.booleans()), draw(st.integers(0, 3)), draw(st.integers(-500, 2_000))),
            Reallocate(member, False, draw(st.integers(0, 3)), True, issue, day, draw(SMALL), draw(SMALL)),
            StartDay(day), Prepare(), Prepare(), Commit(draw(st.integers(1, 3))), Undo(draw(st.integers(1, 3))),
            EndDay(day),
        ))
    )  # fmt: skip


@st.composite
def logs(draw):
    """Days with fills, and everything else, also where it can't be."""
    log = [PenaltyRate(1, 0, 9_000), PenaltyRate(0, 0, 900_000), CloseOutRule(1, 1), BuyInAccount(99), Terms(1, 1, 40)]
    for cycle, day in enumerate(range(MONDAY, MONDAY + draw(st.integers(1, 4))), 1):
        log.append(StartDay(day))
        some = st.one_of(_captured(day), _captured(day), _commanded(day))
        log += draw(st.lists(some, max_size=12))
        log.append(Prepare())
        log += draw(st.lists(some, max_size=4))
        log += [Commit(at) for at in range(cycle, cycle + 3)]
        log.append(EndDay(day))
    return log


@settings(max_examples=150, deadline=None)
@given(logs(), st.booleans(), st.data())
def test_nothing_is_made_or_lost_and_a_replay_is_the_same(log, partial, data):
    """`House.do` checks all invariants behind each entry."""
    house = House(partial=partial, tick_micros=1)
    opening = len(house.log)
    outputs = [house.do(entry) for entry in log]
    cut = data.draw(st.integers(0, len(log)))
    replayed = ClearingMachine()
    again = [replayed.apply(decode(encode(entry))) for entry in house.log[: opening + cut]][opening:]
    restored = ClearingMachine.restored(replayed.snapshot(), replayed.digest)
    again += [restored.apply(entry) for entry in log[cut:]]
    assert again == outputs
    assert (restored.digest, restored.snapshot()) == (house.machine.digest, house.machine.snapshot())


@settings(max_examples=100, deadline=None)
@given(st.lists(_captured(MONDAY), max_size=40))
def test_netting_equals_gross_and_settled_with_due_is_what_the_exchange_has(captured):
    """By holder: what a plain sum over all that was captured says, before settlement and behind it."""
    house = House(tick_micros=1)
    shares: Counter[tuple[int, int]] = Counter()
    cash: Counter[int] = Counter()

    def whose(account):
        return 2 * (account // 10) + account % 10 if account < 40 else 0

    for one in captured:
        house.do(one)
        if isinstance(one, Fill):
            value = one.price_ticks * one.lots
            for account, sign, fee in ((one.buyer, 1, one.buyer_fee), (one.seller, -1, one.seller_fee)):
                shares[one.issue, whose(account)] += sign * one.lots
                cash[whose(account)] -= sign * value + fee
                cash[EXCHANGE] += fee
        elif isinstance(one, CashMoved):
            cash[whose(one.account)] += one.amount
            cash[WORLD] -= one.amount
        elif isinstance(one, SharesMoved):
            shares[one.issue, whose(one.account)] += one.lots
            shares[one.issue, WORLD] -= one.lots
        else:
            shares[one.issue, whose(one.account)] -= one.lots
            shares[one.issue, whose(one.to_account)] += one.lots
    assert _traded(house.state) == (+shares, -shares, +cash, -cash)
    for day in (MONDAY, MONDAY + 1, MONDAY + 2):
        house.whole_day(day)
        assert _traded(house.state) == (+shares, -shares, +cash, -cash)


def _traded(state):
    """Settled, due, open and claimed together: what the exchange has."""
    shares, cash = Counter(state.shares), Counter(state.cash)
    for (_, _, issue), sides in state.due.items():
        for holder, (quantity, amount, _) in sides.items():
            if issue:
                shares[issue, holder] += quantity
            cash[holder] += amount
    for (issue, holder), lots in state.open.items():
        quantity = sum(part for _, part in lots)
        shares[issue, holder] += quantity
        cash[holder] -= quantity * state.issues[issue].mark
    for holder, amount in state.claims.items():
        cash[holder] += amount
    return +shares, -shares, +cash, -cash


@st.composite
def _books(draw):
    """Issues with as many shares to deliver as to receive, and holders 2, 4, 6, 8 with what cash they have."""
    books: list[Book] = []
    for issue in range(1, draw(st.integers(1, 3)) + 1):
        holders = draw(st.permutations((2, 4, 6, 8)))
        split = draw(st.integers(1, 3))
        longs = [draw(st.integers(1, 30)) for _ in holders[split:]]
        total = sum(longs)
        shorts: list[int] = []
        for _ in range(split - 1):
            shorts.append(draw(st.integers(0, total - sum(shorts))))
        shorts.append(total - sum(shorts))
        partial = {holder: draw(st.booleans()) for holder in holders}
        books.append(Book(
            issue,
            draw(st.integers(0, 9)),
            tuple(
                Side(holder, quantity, draw(st.integers(0, quantity)), partial[holder])
                for holder, quantity in zip(holders[:split], shorts, strict=True) if quantity
            ),
            tuple(
                Side(holder, quantity, quantity, partial[holder])
                for holder, quantity in zip(holders[split:], longs, strict=True)
            ),
        ))  # fmt: skip
    cash = {holder: draw(st.integers(0, 200)) for holder in (2, 4, 6, 8)}
    claims = [draw(st.integers(-150, 150)) for _ in range(3)]
    return books, cash, dict(zip((2, 4, 6, 8), (*claims, -sum(claims)), strict=True))


@settings(max_examples=300, deadline=None)
@given(_books())
def test_plan_delivers_what_is_there_and_leaves_nobody_below_nothing(made):
    books, cash, claims = made
    found = plan(books, cash, claims)
    assert sum(found.payments.values()) == 0
    after = Counter(cash)
    out: Counter[tuple[int, int]] = Counter()
    into: Counter[tuple[int, int]] = Counter()
    for holder, amount in found.payments.items():
        assert 0 <= amount <= claims[holder] or claims[holder] <= amount <= 0
        after[holder] += amount
    for pair in found.pairs:
        after[pair.seller] += pair.amount
        after[pair.buyer] -= pair.amount
        out[pair.issue, pair.seller] += pair.quantity
        into[pair.issue, pair.buyer] += pair.quantity
    assert all(amount >= 0 for amount in after.values())
    for book in books:
        for side in book.shorts:
            moved = out[book.issue, side.holder]
            assert moved <= side.limit
            assert side.partial or moved in (0, side.quantity)
        for side in book.longs:
            moved = into[book.issue, side.holder]
            assert moved <= side.quantity
            assert side.partial or moved in (0, side.quantity)


def test_refused_commands_change_nothing_but_the_number():
    house = House()
    before = house.machine.snapshot()
    for entry in (Price(9, 5), Deposit(1, False, 1, -1), EndDay(MONDAY), Commit(1), Terms(1, 0, 0)):
        assert house.do(entry)[0].kind == Kind.REFUSED
    house.state.number -= 5
    assert house.machine.snapshot() == before

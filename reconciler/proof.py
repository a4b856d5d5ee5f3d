"""What must be true after a run with faults, decided from what clients saw and what the engines kept.

Nothing here asks the cluster whether it is right. The inputs are two independent accounts of the same run: the reports
that the clients received, and the events and commands read from every engine. Every function is pure; the demo and the
end-to-end tests bring the data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lockstep.stream.codes import NOT_EXECUTED
from lockstep.stream.records import EventKind, Events, Side

SEEN: Final = np.dtype(
    [
        ("seq", "<u8"),
        ("index", "<u4"),
        ("leg", "u1"),
        ("kind", "u1"),
        ("session_no", "<u8"),
        ("order_id", "<u8"),
        ("price_ticks", "<i8"),
        ("quantity_lots", "<i8"),
    ]
)
"""One report row as a client saw it."""

SeenRows = NDArray[np.void]


@dataclass(frozen=True, slots=True)
class SessionFindings:
    """One session's run, compared with the history."""

    sent: int
    acknowledged: int
    """Commands that the client has an outcome of."""
    unanswered: int
    """Commands sent that the client has no outcome of."""
    lost_commands: int
    """Commands that were acknowledged, and that the history does not hold."""
    doubled_commands: int
    """Executions of a session number beyond the first."""
    missing_reports: int
    """Events of the history that concern the session, and that the client has not seen."""
    repeated_reports: int
    """Report rows that the client was handed more than once."""
    invented_reports: int
    """Report rows that the history does not hold, or holds with other contents."""


def compare_session(session_id: int, *, sent: int, seen: SeenRows, history: Events) -> SessionFindings:
    """Compare what one session's client sent and saw with an engine's events.

    Args:
        session_id: the session.
        sent: how many commands the client numbered (1 to `sent`).
        seen: every report row that the client was handed, in that order.
        history: all committed events of one engine.
    """
    expected = rows_for_session(session_id, history)
    seen = seen[seen["kind"] != EventKind.DUPLICATE]
    distinct = np.unique(seen)
    answered = np.unique(seen["session_no"][(seen["leg"] == 0) & (seen["session_no"] > 0)])
    executed = _executions(rows_for_session(session_id, history[~np.isin(history["code"], NOT_EXECUTED)]))
    numbers, times = np.unique(executed["session_no"], return_counts=True)
    ids = ["seq", "index", "leg"]
    # The history is authoritative on what an event says: a row with the same id and other contents is invented.
    return SessionFindings(
        sent=sent,
        acknowledged=len(answered),
        unanswered=sent - len(answered),
        lost_commands=len(np.setdiff1d(answered, numbers)),
        doubled_commands=int((times - 1).sum()),
        missing_reports=len(np.setdiff1d(expected[ids], distinct[ids])),
        repeated_reports=len(seen) - len(np.unique(seen[ids])),
        invented_reports=len(np.setdiff1d(distinct, expected)),
    )


def rows_for_session(session_id: int, history: Events) -> SeenRows:
    """The report rows that a session must have been handed for a history: its own side, and its orders as maker."""
    relevant = history[history["kind"] != EventKind.DUPLICATE]
    own = relevant[relevant["session_id"] == session_id]
    # Definition events have other fields where a trade has its maker.
    orders = relevant[relevant["kind"] < EventKind.INSTRUMENT_DEFINED]
    made = orders[orders["maker_session_id"] == session_id]
    return np.unique(np.concatenate([_rows(own, leg=0), _rows(made, leg=1)]))


def _rows(events: Events, *, leg: int) -> SeenRows:
    rows = np.zeros(len(events), dtype=SEEN)
    for name in ("seq", "index", "kind"):
        rows[name] = events[name]
    rows["leg"] = leg
    orders = events["kind"] < EventKind.INSTRUMENT_DEFINED
    is_trade = events["kind"] == EventKind.TRADE
    if leg == 0:
        rows["session_no"] = events["session_no"]
        rows["order_id"] = np.where(orders, events["order_id"], 0)
    else:
        # For a trade it is the maker's order; for a cancel or replace by another session, the order concerned.
        rows["order_id"] = np.where(is_trade, events["maker_order_id"], events["order_id"])
    rows["price_ticks"] = np.where(orders, events["price_ticks"], 0)
    rows["quantity_lots"] = np.where(orders, events["quantity_lots"], 0)
    return rows


def _executions(rows: SeenRows) -> SeenRows:
    """One row for each execution of a command: its first event."""
    own = rows[(rows["leg"] == 0) & (rows["session_no"] > 0)]
    firsts: SeenRows = own[np.unique(own["seq"], return_index=True)[1]]
    return firsts


@dataclass(frozen=True, slots=True)
class Balances:
    """Cash and shares of all accounts, in micros and lots."""

    cash_micros: Mapping[int, int]
    """By account."""
    lots: Mapping[tuple[int, int], int]
    """By (account, instrument); zero positions are left out."""


def book_trades(opening: Balances, history: Events, *, value_micros: Mapping[int, int]) -> Balances:
    """What every account must hold after the trades of a history.

    Args:
        opening: what the accounts were given before the first trade.
        history: all events.
        value_micros: by instrument, what one lot at one tick is worth.
    """
    cash, lots = dict(opening.cash_micros), dict(opening.lots)
    for event in history[history["kind"] == EventKind.TRADE]:
        _book_trade(event, cash, lots, value_micros)
    return Balances(cash, {key: count for key, count in sorted(lots.items()) if count})


def _book_trade(
    event: Any, cash: dict[int, int], lots: dict[tuple[int, int], int], value_micros: Mapping[int, int]
) -> None:
    instrument, quantity = int(event["instrument"]), int(event["quantity_lots"])
    value = int(event["price_ticks"]) * quantity * value_micros[instrument]
    taker, maker = int(event["account"]), int(event["maker_account"])
    buyer, seller = (taker, maker) if event["side"] == Side.BUY else (maker, taker)
    cash[buyer] = cash.get(buyer, 0) - value
    cash[seller] = cash.get(seller, 0) + value
    lots[buyer, instrument] = lots.get((buyer, instrument), 0) + quantity
    lots[seller, instrument] = lots.get((seller, instrument), 0) - quantity


def totals(balances: Balances) -> tuple[int, dict[int, int]]:
    """All cash, and all lots by instrument."""
    shares: dict[int, int] = {}
    for (_, instrument), count in balances.lots.items():
        shares[instrument] = shares.get(instrument, 0) + count
    return sum(balances.cash_micros.values()), {key: count for key, count in sorted(shares.items()) if count}


def repeated_fills(history: Events) -> int:
    """Trades that stand twice in a history, and trades beyond the quantity of their order."""
    trades = history[history["kind"] == EventKind.TRADE]
    repeated = len(trades) - len(np.unique(trades[["seq", "index"]]))
    # `leaves_lots` falls with each fill of an order; equal leaves would be one fill reported twice.
    taker = np.unique(trades[["order_id", "leaves_lots", "seq"]])
    maker = np.unique(trades[["maker_order_id", "maker_leaves_lots", "seq"]])
    return repeated + (len(trades) - len(taker)) + (len(trades) - len(maker))


@dataclass(frozen=True, slots=True)
class Gap:
    """How long clients heard nothing around a kill, in nanoseconds, and what is usual."""

    around_ns: int
    usual_p50_ns: int
    usual_p99_ns: int


def longest_silence(
    arrivals_ns: Sequence[int], kill_ns: int, *, others_ns: Sequence[int] = (), window_ns: int = 500_000_000
) -> Gap:
    """The longest silence that touches the time from a kill to `window_ns` after it.

    A silence that begins in that time counts whole. What comes later belongs to the restart of the dead process, whose
    start-up takes a good part of a small machine.

    Args:
        arrivals_ns: times at which reports came, ascending, of all sessions together.
        kill_ns: time of the kill, on the same clock.
        others_ns: times of other kills, whose windows don't count as usual.
        window_ns: how long after the kill a silence still counts as caused by it.
    """
    times = np.asarray(arrivals_ns, dtype=np.int64)
    if len(times) < 2:
        return Gap(0, 0, 0)
    starts, gaps = times[:-1], np.diff(times)
    near = _touches(starts, gaps, kill_ns, window_ns)
    usual = ~near
    for other in others_ns:
        usual &= ~_touches(starts, gaps, other, window_ns)
    if not usual.any():
        usual = np.ones(len(gaps), dtype=bool)
    return Gap(
        around_ns=int(gaps[near].max()) if near.any() else 0,
        usual_p50_ns=int(np.percentile(gaps[usual], 50, method="higher")),
        usual_p99_ns=int(np.percentile(gaps[usual], 99, method="higher")),
    )


def _touches(starts: NDArray[np.int64], gaps: NDArray[np.int64], kill_ns: int, window_ns: int) -> NDArray[np.bool_]:
    return (starts + gaps >= kill_ns) & (starts <= kill_ns + window_ns)

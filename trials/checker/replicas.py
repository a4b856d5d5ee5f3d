"""What the replicas promised each other: one stream, one history, one digest, and money that only moves."""

from collections.abc import Sequence

import numpy as np

from lockstep.reconciler.proof import Balances, book_trades, repeated_fills, totals
from lockstep.stream.batch import decode_batch
from lockstep.stream.records import EventKind, Events, Side
from lockstep.trials.checker.history import SessionHistory
from lockstep.trials.checker.model import Model
from lockstep.trials.checker.promises import Promise, Violation
from lockstep.trials.evidence import EngineEvidence


def first_seq(replica: EngineEvidence) -> int:
    """Where a replica's journal begins: later than at 1 if it started from a snapshot, or was cut behind one."""
    return decode_batch(replica.journal[0]).first_seq if replica.journal else replica.seq + 1


def longest(replicas: Sequence[EngineEvidence]) -> EngineEvidence:
    """The replica with the most history: of those whose journal begins at 1, the one with the most batches."""
    return max(replicas, key=lambda replica: (-first_seq(replica), len(replica.journal)))


def check_streams(replicas: Sequence[EngineEvidence]) -> list[Violation]:
    """Byte by byte, each journal is a run of batches of the longest one."""
    first = longest(replicas)
    places = {decode_batch(raw).first_seq: place for place, raw in enumerate(first.journal)}
    found = []
    for replica in replicas:
        begin = places.get(first_seq(replica))
        if begin is None:
            if replica.journal:
                text = (
                    f"{replica.engine}'s journal begins at seq {first_seq(replica)}, no batch of {first.engine}'s does"
                )
                found.append(Violation(Promise.ONE_STREAM, 1, text))
            continue
        pairs = zip(replica.journal, first.journal[begin:], strict=False)
        differ = [place for place, (mine, theirs) in enumerate(pairs) if mine != theirs]
        differ += range(len(first.journal) - begin, len(replica.journal))
        if differ:
            text = f"journals of {replica.engine} and {first.engine} differ from batch {begin + differ[0]} on"
            found.append(Violation(Promise.ONE_STREAM, len(differ), text))
    return found


def check_histories(replicas: Sequence[EngineEvidence], model: Model) -> list[Violation]:
    """Events and digest of each replica against the specification's."""
    found = []
    for replica in replicas:
        seqs = model.events["seq"]
        expected = model.events[(seqs >= first_seq(replica)) & (seqs <= replica.seq)]
        wrong = _first_difference(replica.events, expected)
        if wrong is not None:
            text = f"events of {replica.engine} are not those of the specification from seq {wrong} on"
            found.append(Violation(Promise.ONE_HISTORY, 1, text))
        digest = model.digests.get(replica.seq)
        if digest != replica.digest:
            wanted = digest.hex() if digest is not None else "that no batch ends there"
            text = (
                f"digest of {replica.engine} at seq {replica.seq} is {replica.digest.hex()}, the journal's is {wanted}"
            )
            found.append(Violation(Promise.DIGESTS_EQUAL, 1, text))
    return found


def _first_difference(mine: Events, theirs: Events) -> int | None:
    if np.array_equal(mine, theirs):
        return None
    both = min(len(mine), len(theirs))
    differ = np.flatnonzero(mine[:both] != theirs[:both])
    longer = mine if len(mine) > both else theirs
    row = theirs[differ[0]] if len(differ) else longer[both]
    return int(row["seq"])


def check_fills(events: Events, whose: str) -> list[Violation]:
    """No fill stands twice in a history, and no order trades more than it has."""
    repeated = repeated_fills(events)
    trades = events[events["kind"] == EventKind.TRADE]
    overdrawn = int(((trades["leaves_lots"] < 0) | (trades["maker_leaves_lots"] < 0)).sum())
    if not repeated + overdrawn:
        return []
    text = f"fills reported twice or beyond an order: {whose}"
    return [Violation(Promise.NO_FILL_DOUBLED, repeated + overdrawn, text)]


def check_two_sides(histories: Sequence[SessionHistory]) -> list[Violation]:
    """Whenever a fill was reported to both of its sides, the reports are the same."""
    rows = np.concatenate([history.seen for history in histories])
    trades = rows[rows["kind"] == EventKind.TRADE]
    taker, maker = trades[trades["leg"] == 0], trades[trades["leg"] == 1]
    ids = ["seq", "index"]
    common, first, second = np.intersect1d(taker[ids], maker[ids], return_indices=True)
    bought, sold = taker[first], maker[second]
    wrong = bought["side"] + sold["side"] != int(Side.BUY) + int(Side.SELL)
    for name in ("instrument", "price_ticks", "quantity_lots"):
        wrong |= bought[name] != sold[name]
    wrong |= bought["order_id"] != sold["counterparty_order_id"]
    wrong |= bought["counterparty_order_id"] != sold["order_id"]
    if not wrong.any():
        return []
    shown = ", ".join(str(case.item()) for case in common[wrong][:3])
    text = f"two sides have reports of different fills: (seq, index) {shown}"
    return [Violation(Promise.FILLS_MATCH, int(wrong.sum()), text)]


def check_money(replicas: Sequence[EngineEvidence], model: Model, opening: Balances) -> list[Violation]:
    """Deposits are still there, booked to whom trades say, on every replica and in the specification."""
    found = []
    booked = book_trades(opening, model.events, value_micros=model.value_micros)
    accounts = {"the specification": model.balances, **{replica.engine: replica.balances for replica in replicas}}
    for whose, balances in accounts.items():
        if totals(balances) != totals(opening):
            text = f"{whose} holds {totals(balances)} in all, {totals(opening)} was paid in"
            found.append(Violation(Promise.MONEY_CONSERVED, 1, text))
        elif balances != booked:
            wrong = sorted(
                number for number, cash in booked.cash_micros.items() if balances.cash_micros.get(number) != cash
            )
            text = f"{whose} has other balances than deposits and fills lead to; cash of accounts {wrong[:3]}"
            found.append(Violation(Promise.MONEY_CONSERVED, max(1, len(wrong)), text))
    return found

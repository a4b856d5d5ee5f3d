"""The reconciler's own books, booked from commands and events alone: numbers of sessions, cash and shares of accounts.

They share no code with the engines, so an engine that forgets a fee, or executes a number twice, does not agree with
them. They start empty, or from the state of a snapshot where a journal does not reach back to the first command.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from lockstep.engine.pages import account_rows, position_rows
from lockstep.engine.snapshot_format import StateImage
from lockstep.reconciler.rules import Break, Rule
from lockstep.stream.batch import Batch
from lockstep.stream.codes import NOT_EXECUTED
from lockstep.stream.records import (
    ADMIN,
    DEFINITION_EVENT,
    TRANSFER,
    CommandKind,
    Commands,
    EventKind,
    Events,
    Side,
)

_FIRST_CONTROL = int(CommandKind.EPOCH_START)


def account_key(account: int, instrument: int) -> str:
    """How a balance is named in breaks; instrument 0 is cash."""
    return f"account {account} instrument {instrument}" if instrument else f"account {account} cash"


@dataclass(slots=True)
class SessionBook:
    """Last number executed of each session."""

    last_no: dict[int, int] = field(default_factory=dict)

    def book(self, commands: Commands, events: Events) -> list[Break]:
        """Take commands and what they led to; numbers that were executed twice (R3) or left out (R4)."""
        outcomes = events[events["index"] == 0]
        executed = (
            (commands["session_id"] != 0)
            & (commands["session_no"] != 0)
            & (commands["kind"] < _FIRST_CONTROL)
            & (outcomes["kind"] != EventKind.DUPLICATE)
            & ~np.isin(outcomes["code"], NOT_EXECUTED)
        )
        found: list[Break] = []
        last_no = self.last_no
        rows = zip(
            commands["session_id"][executed].tolist(),
            commands["session_no"][executed].tolist(),
            outcomes["seq"][executed].tolist(),
            strict=True,
        )
        for session, number, seq in rows:
            last = last_no.get(session, 0)
            if number == last + 1:
                last_no[session] = number
                continue
            subject = f"session {session} number {number} seq {seq}"
            if number <= last:
                found.append(Break(Rule.DOUBLE_EXECUTION, subject, "executed again: it was executed before", seq))
            else:
                text = f"executed after number {last}: {last + 1} to {number - 1} are missing"
                found.append(Break(Rule.SESSION_GAP, subject, text, seq))
                last_no[session] = number
        return found

    def has(self, session_id: int, session_no: int) -> bool:
        """Whether the number was executed."""
        return session_no <= self.last_no.get(session_id, 0)


Holdings = Mapping[tuple[int, int], int]
"""By (account, instrument): lots; instrument 0: cash in micros. What is 0 may be left out."""


@dataclass(slots=True)
class Ledger:
    """Cash and shares of every account, booked from adjustments, transfers, fills and fees."""

    amounts: dict[tuple[int, int], int] = field(default_factory=dict)
    """As `Holdings`."""
    unit_micros: dict[int, int] = field(default_factory=dict)
    """By instrument: what one lot at one tick is worth."""

    def book(self, batch: Batch, events: Events) -> list[Break]:
        """Take one batch and its events; adjustments whose stated result is not what they lead to (R8)."""
        kinds = events["kind"]
        booked = (kinds == EventKind.TRADE) | ((kinds >= EventKind.INSTRUMENT_DEFINED) & (kinds < _FIRST_CONTROL))
        found: list[Break] = []
        definitions = events.view(DEFINITION_EVENT)
        for position in np.flatnonzero(booked).tolist():
            if int(kinds[position]) == EventKind.TRADE:
                self._trade(events[position])
            else:
                found += self._adjust(batch, definitions[position])
        return found

    def _add(self, account: int, instrument: int, amount: int) -> int:
        after = self.amounts.get((account, instrument), 0) + amount
        self.amounts[account, instrument] = after
        return after

    def _trade(self, event: Any) -> None:
        instrument, lots = int(event["instrument"]), int(event["quantity_lots"])
        value = int(event["price_ticks"]) * lots * self.unit_micros[instrument]
        taker, maker = int(event["account"]), int(event["maker_account"])
        buyer, seller = (taker, maker) if int(event["side"]) == Side.BUY else (maker, taker)
        self._add(buyer, 0, -value)
        self._add(seller, 0, value)
        self._add(taker, 0, -int(event["taker_fee_micros"]))
        self._add(maker, 0, -int(event["maker_fee_micros"]))
        self._add(buyer, instrument, lots)
        self._add(seller, instrument, -lots)

    def _adjust(self, batch: Batch, event: Any) -> list[Break]:
        kind, seq = int(event["kind"]), int(event["seq"])
        account, instrument = int(event["account"]), int(event["instrument"])
        place = seq - batch.first_seq
        command = batch.records[place : place + 1]
        if kind == EventKind.INSTRUMENT_DEFINED:
            self.unit_micros[instrument] = int(event["tick_micros"]) * int(event["lot_units"])
            return []
        if kind == EventKind.CASH_ADJUSTED:
            after = self._add(account, 0, int(command.view(ADMIN)[0]["amount_micros"]))
            return _stated(account, 0, after, int(event["amount_micros"]), seq)
        if kind == EventKind.POSITION_ADJUSTED:
            after = self._add(account, instrument, int(command.view(ADMIN)[0]["quantity_lots"]))
            return _stated(account, instrument, after, int(event["quantity_lots"]), seq)
        if kind == EventKind.POSITION_TRANSFERRED:
            lots = int(command.view(TRANSFER)[0]["quantity_lots"])
            given = int(event["index"]) == 0
            after = self._add(account, instrument, -lots if given else lots)
            return _stated(account, instrument, after, int(event["quantity_lots"]), seq)
        return []

    def compare(self, name: str, other: Holdings, seq: int, *, first: int = 0, last: int = 2**32 - 1) -> list[Break]:
        """Balances that somebody else keeps of accounts `first` to `last`, as of the same seq, that differ (R8)."""
        found = []
        own_keys = {key for key in self.amounts if first <= key[0] <= last}
        for key in sorted(own_keys | other.keys()):
            own, theirs = self.amounts.get(key, 0), other.get(key, 0)
            if own != theirs:
                subject = f"{name} {account_key(*key)}"
                text = f"{theirs} as of seq {seq}; adjustments and fills lead to {own} ({theirs - own:+d})"
                found.append(Break(Rule.BALANCE, subject, text, seq))
        return found


def _stated(account: int, instrument: int, after: int, stated: int, seq: int) -> list[Break]:
    if after == stated:
        return []
    text = f"the adjustment leads to {after}, the event says {stated}"
    return [Break(Rule.BALANCE, f"event {seq} {account_key(account, instrument)}", text, seq)]


def books_of(image: StateImage | None) -> tuple[SessionBook, Ledger]:
    """Books that start from a snapshot's state; None: from nothing."""
    if image is None:
        return SessionBook(), Ledger()
    amounts = {(row.account, 0): row.cash_micros for row in image.accounts}
    amounts |= {(row.account, row.instrument): row.quantity_lots for row in image.positions}
    units = {row.instrument: row.tick_micros * row.lot_units for row in image.instruments}
    return SessionBook({row.session_id: row.last_no for row in image.sessions}), Ledger(amounts, units)


def holdings_of_rows(accounts: bytes, positions: bytes) -> dict[tuple[int, int], int]:
    """Balances from an engine's page of accounts (`lockstep.engine.pages`)."""
    amounts: dict[tuple[int, int], int] = {}
    held = iter(position_rows(positions)[["instrument", "quantity_lots"]].tolist())
    rows = account_rows(accounts)
    columns = (rows[name].tolist() for name in ("account", "cash_micros", "positions"))
    for account, cash, count in zip(*columns, strict=True):
        amounts[account, 0] = cash
        amounts |= {(account, instrument): lots for instrument, lots in islice(held, count)}
    return amounts


def holdings_of(accounts: Iterable[Any]) -> dict[tuple[int, int], int]:
    """Balances from engine views or protocol messages of accounts."""
    amounts: dict[tuple[int, int], int] = {}
    for account in accounts:
        amounts[int(account.account), 0] = int(account.cash_micros)
        for position in account.positions:
            amounts[int(account.account), int(position.instrument)] = int(position.quantity_lots)
    return amounts

"""Alerts as rows, and back. Pure."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from lockstep.posttrade.alerts.machine import Alert, Firing, Place, Request
from lockstep.posttrade.alerts.reader import Happened
from lockstep.posttrade.alerts.rules import Definition
from lockstep.posttrade.audit.uuid7 import record_id

_I64: Final = 2**63
_WRAP: Final = 2**64
_EMPTY: Final = asdict(Definition(0))


def signed(value: int) -> int:
    """A number of 64 bits without a sign as the signed one of the same bits."""
    return value - _WRAP if value >= _I64 else value


def unsigned(value: int) -> int:
    """And back."""
    return value + _WRAP if value < 0 else value


def clamped(value: int) -> int:
    """Held within 64 bits."""
    return max(-_I64, min(value, _I64 - 1))


def definition_text(one: Definition) -> str:
    """What it says, without what it leaves open."""
    said = {name: value for name, value in asdict(one).items() if value != _EMPTY[name]}
    return json.dumps(said, sort_keys=True, separators=(",", ":"))


def definition_of(text: str) -> Definition:
    """And back."""
    return Definition(**json.loads(text))


def alert_row(one: Alert) -> tuple[Any, ...]:
    """Of `alerts`."""
    return (
        one.number, one.owner, one.after_seq, one.status, one.side, one.count, one.last_seq, one.last_ns,
        definition_text(one.definition),
    )  # fmt: skip


def alert_of(row: Sequence[Any]) -> Alert:
    """And back."""
    number, owner, after_seq, status, side, count, last_seq, last_ns, text = row
    return Alert(number, owner, definition_of(text), after_seq, status, side, count, last_seq, last_ns)


def request_row(one: Request) -> tuple[Any, ...]:
    """Of `requests`."""
    text = "" if one.create is None else definition_text(one.create)
    return one.number, one.owner, one.after_seq, one.timestamp_ns, one.epoch, one.remove, text


def request_of(row: Sequence[Any]) -> Request:
    """And back."""
    number, owner, after_seq, timestamp_ns, epoch, remove, text = row
    create = definition_of(text) if text else None
    return Request(number, owner, after_seq, timestamp_ns, epoch, create, remove)


def firing_id(one: Firing) -> str:
    """The same for the same firing, for ever: a UUID of version 7, of its stamp and of what names it."""
    place = one.place
    name = f"A {one.owner} {one.alert} {one.count}"
    return str(record_id(name, place.timestamp_ns, place.epoch, place.seq, place.index))


def firing_row(one: Firing) -> tuple[Any, ...]:
    """Of `firings`."""
    at, said = one.place, one.happened
    order = (0,) * 9
    if said is not None:
        order = (
            said.leg, signed(said.order_id), signed(said.client_order_id), said.state, said.side, said.code,
            said.price_ticks, said.quantity_lots, said.leaves_lots,
        )  # fmt: skip
    return (
        one.owner, one.number, one.alert, one.count, one.kind, at.seq, at.index, at.timestamp_ns, at.epoch,
        one.instrument, one.account, one.direction, clamped(one.level), one.threshold, *order, firing_id(one), one.note,
    )  # fmt: skip


def firing_of(row: Sequence[Any]) -> tuple[Firing, str]:
    """And back, with its id."""
    (owner, number, alert, count, kind, seq, index, stamp, epoch, instrument, account, direction, level, threshold,
     leg, order_id, name, state, side, code, price, lots, leaves, id_, note) = row  # fmt: skip
    happened = None
    if state:
        happened = Happened(
            index, leg, account, instrument, unsigned(order_id), unsigned(name), state, side, code, price, lots, leaves
        )
    place = Place(seq, index, stamp, epoch)
    found = Firing(
        owner, number, alert, count, kind, place, instrument, account, direction, level, threshold, note, happened
    )
    return found, id_

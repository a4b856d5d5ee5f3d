"""Makes the instruments and accounts of a flow file known to the cluster, through the replay's own session.

What the cluster already has under the same name is used as it is (and not paid again); a file that declares it
differently is refused before an order is sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lockstep.admin import AdjustCash, AdjustPosition, AdminCommand, DefineAccount, DefineInstrument
from lockstep.aio import AsyncClient
from lockstep.bench.replay.flow import FlowAccount, FlowError, FlowInstrument, FlowSummary
from lockstep.bench.replay.numbers import format_micros
from lockstep.bench.replay.recording import TradedInstrument
from lockstep.delivery import CommandHandle
from lockstep.session import AsyncSession


@dataclass(frozen=True, slots=True)
class ClusterIds:
    """The cluster's ids of what a file names."""

    instruments: NDArray[np.uint32]
    """By index in `FlowSummary.instruments`."""
    accounts: NDArray[np.uint32]
    traded: Mapping[int, TradedInstrument]
    next_no: int
    """Session number after the definitions and payments."""


async def define(client: AsyncClient, session: AsyncSession, summary: FlowSummary) -> ClusterIds:
    """Define what is missing and pay the new accounts; waits until the cluster has done it.

    Raises:
        FlowError: the cluster has something of that name that is different.
        Refused: the cluster refuses a definition.
    """
    known_instruments = {item.symbol: item for item in await client.instruments()}
    instrument_ids: dict[str, int] = {}
    handles: list[CommandHandle] = []
    next_id = max((item.id for item in known_instruments.values()), default=0) + 1
    for wanted in summary.instruments:
        found = known_instruments.get(wanted.name)
        if found is None:
            instrument_ids[wanted.name] = next_id
            handles.append(
                await session.submit(DefineInstrument(next_id, wanted.name, wanted.tick_micros, wanted.lot_units))
            )
            next_id += 1
        else:
            _require_same(wanted, found.tick_micros, found.lot_units)
            instrument_ids[wanted.name] = found.id
    known_accounts = {item.name: item.account for item in await client.accounts()}
    next_id = max(known_accounts.values(), default=0) + 1
    account_ids: dict[str, int] = {}
    for account in summary.accounts:
        if account.name in known_accounts:
            account_ids[account.name] = known_accounts[account.name]
            continue
        account_ids[account.name] = next_id
        handles += await _open_account(session, account, next_id, instrument_ids, summary)
        next_id += 1
    for handle in handles:
        await handle
    return ClusterIds(
        instruments=np.array([instrument_ids[item.name] for item in summary.instruments], dtype=np.uint32),
        accounts=np.array([account_ids[item.name] for item in summary.accounts], dtype=np.uint32),
        traded={
            instrument_ids[item.name]: TradedInstrument(item.name, item.tick_micros, item.lot_units)
            for item in summary.instruments
        },
        next_no=handles[-1].session_no + 1 if handles else 1,
    )


async def _open_account(
    session: AsyncSession, account: FlowAccount, number: int, instruments: Mapping[str, int], summary: FlowSummary
) -> list[CommandHandle]:
    commands: list[AdminCommand] = [
        DefineAccount(number, account.name, account.cash_micros is None, account.positions is None)
    ]
    if account.cash_micros:
        commands.append(AdjustCash(number, account.cash_micros))
    lots = {item.name: item.lot_units for item in summary.instruments}
    for name, units in account.positions or ():
        if units:
            commands.append(AdjustPosition(number, instruments[name], units // lots[name]))
    return [await session.submit(command) for command in commands]


def _require_same(wanted: FlowInstrument, tick_micros: int, lot_units: int) -> None:
    if (wanted.tick_micros, wanted.lot_units) != (tick_micros, lot_units):
        raise FlowError(
            f"instrument {wanted.name} is declared with tick {format_micros(wanted.tick_micros)} and lot "
            f"{wanted.lot_units}, and the cluster trades it with tick {format_micros(tick_micros)} and lot "
            f"{lot_units}; "
            "correct the declaration, or use another cluster (--local)"
        )

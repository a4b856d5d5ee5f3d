"""What the simulated clients trade: two instruments, few prices, so that most orders meet others."""

from lockstep.admin import AdjustCash, AdjustPosition, DefineAccount, DefineInstrument
from lockstep.columns import CommandColumns
from lockstep.rows import COMMAND_FIELDS
from lockstep.session_parcels import Piece
from lockstep.stream.records import CommandKind, OrderType, Side, TimeInForce
from lockstep.trials.simulation.client_host import ClientHost
from lockstep.trials.simulation.kernel import MS, Kernel

_INSTRUMENTS = (1, 2)
_CASH = 10_000_000_000
_LOTS = 2_000
_ROW_TAIL = (0,) * (len(COMMAND_FIELDS) - 12)


def set_up(clients: list[ClientHost], now_ns: int) -> dict[tuple[int, int], int]:
    """Let the first client define everything; what was paid in, by (0 or instrument, account)."""
    first = clients[0]
    pieces: list[Piece] = [DefineInstrument(number, f"SIM{number}", 1_000, 1) for number in _INSTRUMENTS]
    deposits: dict[tuple[int, int], int] = {}
    for client in clients:
        pieces.append(DefineAccount(client.id, f"account-{client.id}"))
        pieces.append(AdjustCash(client.id, _CASH))
        deposits[0, client.id] = _CASH
        for number in _INSTRUMENTS:
            pieces.append(AdjustPosition(client.id, number, _LOTS))
            deposits[number, client.id] = _LOTS
    first.owner.flow.extend(pieces)
    first.owner.times_ns.extend([now_ns] * len(pieces))
    return deposits


def give_orders(
    kernel: Kernel, client: ClientHost, count: int, start_ns: int, length_ns: int, *, given: int = 0
) -> None:
    """Some `count` orders of one client, spread over `length_ns`, single ones and batches mixed; `given` before."""
    times = sorted(start_ns + kernel.between(0, length_ns) for _ in range(count))
    number = 0
    while number < count:
        size = kernel.between(2, 12) if kernel.chance(1, 5) else 1
        rows = []
        for _ in range(size):
            number += 1
            rows.append(_order(kernel, client.id, given + number))
        client.owner.flow.append(rows[0] if size == 1 else CommandColumns.from_rows(rows))
        client.owner.times_ns.append(times[min(number, count) - 1] if kernel.chance(4, 5) else start_ns + 5 * MS)
    # In order of time, as a client gives one after the other.
    due = sorted(client.owner.times_ns)
    client.owner.times_ns.clear()
    client.owner.times_ns.extend(due)


def _order(kernel: Kernel, account: int, number: int) -> tuple[int, ...]:
    instrument = _INSTRUMENTS[kernel.between(0, 1)]
    own_id = account * 100_000 + number
    dice = kernel.between(1, 100)
    if number > 3 and dice <= 12:
        target = account * 100_000 + kernel.between(max(1, number - 8), number - 1)
        return (int(CommandKind.CANCEL), 0, 0, 0, 0, 0, account, instrument, target, 0, 0, 0, *_ROW_TAIL)
    if number > 3 and dice <= 20:
        target = account * 100_000 + kernel.between(max(1, number - 8), number - 1)
        price, lots = kernel.between(96, 104), kernel.between(1, 9)
        return (int(CommandKind.REPLACE), 0, 0, 0, 0, 0, account, instrument, target, 0, price, lots, *_ROW_TAIL)
    if dice <= 22:
        return (int(CommandKind.MASS_CANCEL), 0, 0, 0, 0, 0, account, instrument, 0, 0, 0, 0, *_ROW_TAIL)
    side = int(Side.BUY if kernel.chance(1, 2) else Side.SELL)
    tif = int(TimeInForce.IOC if kernel.chance(1, 6) else TimeInForce.GTC)
    price, lots = kernel.between(96, 104), kernel.between(1, 9)
    new, limit = int(CommandKind.NEW_ORDER), int(OrderType.LIMIT)
    return (new, side, limit, tif, 0, 0, account, instrument, own_id, 0, price, lots, *_ROW_TAIL)

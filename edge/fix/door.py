"""The FIX door of a gateway: order entry in FIX 4.4 and 5.0 SP2 (docs/adr/0046)."""

import asyncio
from typing import Final

from lockstep.edge.fix.line import Line
from lockstep.edge.fix.link import Link
from lockstep.edge.fix.symbols import Symbols
from lockstep.edge.order_door import Bounds, OrderDoor
from lockstep.gateway.shell import GatewayShell

COMP_ID: Final = b"LOCKSTEP"
"""TargetCompID of what clients send."""
BOUNDS: Final = Bounds(connections=256, unknown=64, of_host=128, of_client=32)


class Door(OrderDoor[Link, Line]):
    """See the module."""

    def __init__(self, shell: GatewayShell, address: str) -> None:
        """`address`: host:port."""
        super().__init__(shell, address, "fix", BOUNDS, ("fix_messages", "fix_logons"))
        self.comp_id = COMP_ID
        self.symbols = Symbols()

    def _link(self) -> asyncio.Protocol:
        return Link(self)

    def _define(self, number: int, symbol: bytes, tick_micros: int, units: int) -> None:
        self.symbols.define(number, symbol, tick_micros, units)

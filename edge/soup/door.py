"""The binary door of a gateway: OUCH over SoupBinTCP (docs/adr/0022)."""

import asyncio
import secrets
from typing import Final

from lockstep.edge.order_door import Bounds, OrderDoor
from lockstep.edge.soup.link import Link
from lockstep.edge.soup.logins import Principal
from lockstep.edge.soup.native import Codec, Instruments
from lockstep.gateway.shell import GatewayShell

BOUNDS: Final = Bounds(connections=1024, unknown=256, of_host=512, of_client=128)


class Door(OrderDoor[Link, Link]):
    """See the module."""

    def __init__(self, shell: GatewayShell, address: str) -> None:
        """`address`: host:port."""
        super().__init__(shell, address, "soup", BOUNDS, ("soup_packets", "soup_logins"))
        self.tokens = 0
        """Used ones of all open sessions."""
        self._instruments = Instruments()

    def _link(self) -> asyncio.Protocol:
        return Link(self)

    def _define(self, number: int, symbol: bytes, tick_micros: int, units: int) -> None:
        if not self._instruments.define(number, symbol, tick_micros, units):
            self._log.info("an instrument can't be traded over OUCH", instrument=number, symbol=symbol.decode())

    def codec(self, principal: Principal, max_tokens: int) -> Codec:
        """For a session that is opened."""
        self.counters["soup_logins"] += 1
        return Codec(
            self._instruments,
            session_id=principal.session_id,
            gateway=self.shell.member.id,
            account=principal.account,
            accounts=principal.client.accounts,
            stp=int(principal.self_trade),
            max_tokens=max_tokens,
            seed=secrets.randbits(64),
        )

"""Clients that make single calls: in one run of nineteen, with keys of their own, at any gateway, by dice of their own.

A call that fails or is not answered is made again with its key, perhaps elsewhere, until it is answered; some are made
at two gateways at once, some again when they have been answered, some before the one below them is. To some keys
somebody gives another command at the same time. What each reply says is the audit's matter: the one outcome of its key,
however often it was asked for, or that the key stands for another command. Calls without a key are made once, and what
their replies say has to be history, too.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Final

from lockstep.gateway.call_driver import Key, Outcome
from lockstep.gateway.single_call import TurnedAway
from lockstep.stream.codes import Code
from lockstep.trials.simulation.gateway_clients import CLIENT
from lockstep.trials.simulation.gateway_host import GatewayHost
from lockstep.trials.simulation.host import Host
from lockstep.trials.simulation.kernel import MS, SECOND
from lockstep.trials.simulation.network import Done
from lockstep.trials.simulation.world import Violation, World
from lockstep.v1 import common_pb2, orders_pb2

EVERY: Final = 19
_RESIDUE: Final = 7
_DICE: Final = 0xCA11D
_FIRST_SESSION: Final = 900
_CALLERS: Final = 2
_TIMEOUT_NS: Final = 7 * SECOND
_OWN_IDS: Final = 50_000
_MAY_COME_AGAIN: Final = (Code.UNAVAILABLE, Code.BUSY, Code.SESSION_GAP)
_FOR_GOOD: Final = "refused for good"
NO_KEY: Final[Key] = (0, 0)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the reply to a call says. `key` (0, 0): it had none."""

    gateway: str
    key: Key
    command: orders_pb2.Command = field(repr=False)
    said: orders_pb2.CommandReply = field(repr=False)


def is_due(seed: int) -> bool:
    """Whether there are callers in this run."""
    return seed % EVERY == _RESIDUE


def is_callers(session_id: int) -> bool:
    """Whether it is the session of one of these, whose keys others mistake for theirs."""
    return _FIRST_SESSION < session_id >> 32 <= _FIRST_SESSION + _CALLERS


class Callers:
    """See the module."""

    def __init__(self, world: World, gateways: list[GatewayHost]) -> None:
        self.replies: list[Reply] = []
        """All that came, for the audit."""
        seed = world.kernel.seed
        accounts = range(1, _CALLERS + 1) if is_due(seed) else ()
        self._callers = [_Caller(world, account, gateways, self.replies) for account in accounts]

    def begin(self) -> None:
        """If this is such a run."""
        for caller in self._callers:
            caller.start()
            caller.next()

    def why_not_done(self) -> str:
        """Whose call is still not answered; empty: nobody's."""
        return next((caller.waits for caller in self._callers if caller.waits), "")


def _come(command: orders_pb2.Command, key: Key, target: Host, answer: Done) -> None:
    assert isinstance(target, GatewayHost)

    def done(outcome: Outcome) -> None:
        if not isinstance(outcome, TurnedAway):
            answer(outcome, "")
        elif outcome.refused.code in _MAY_COME_AGAIN:
            answer(None, f"{outcome.refused.code.name}: {outcome.text}")
        else:
            answer(None, f"{_FOR_GOOD}: {outcome.refused.code.name}: {outcome.text}")

    def serve() -> None:
        # As it comes from the wire: a message of its own.
        copy = orders_pb2.Command.FromString(command.SerializeToString())
        target.driver.calls.begin(CLIENT, copy, key, done)

    target.post(("call", serve))


class _Caller(Host):
    """One that numbers its calls itself, in a session that it shares with nobody. Nothing ever happens to it."""

    def __init__(self, world: World, account: int, gateways: list[GatewayHost], replies: list[Reply]) -> None:
        super().__init__(world, "caller", account)
        self._gateways, self._replies = gateways, replies
        self._dice = Random(world.kernel.seed * _DICE + account)  # noqa: S311 - repeatable on purpose
        self._session = (_FIRST_SESSION + account) << 32 | 1
        self._number = 0
        self._open: dict[Key, orders_pb2.Command] = {}
        """Calls that are not answered yet."""

    @property
    def waits(self) -> str:
        """For which answers."""
        return f"{self.name} is not answered for {list(self._open)}" if self._open else ""

    def next(self) -> None:
        """Make calls from time to time, until there is peace."""
        if not self.world.network.calm:
            self.kernel.after(self._dice.randint(1, 60) * MS, self._make)

    def _make(self) -> None:
        dice = self._dice
        if dice.random() < 0.2:
            self._call(NO_KEY, self._order(), lambda _answered: None)
        elif not self._open or (len(self._open) == 1 and dice.random() < 0.3):
            # A second one before the first is answered may overtake it.
            self._number += 1
            key = (self._session, self._number)
            self._open[key] = self._order()
            self._try(key)
            if dice.random() < 0.2:
                self._try(key)
            if dice.random() < 0.15:
                # Somebody who mistakes the key for his.
                self._call(key, self._order(), lambda _answered: None)
        self.next()

    def _order(self) -> orders_pb2.Command:
        dice = self._dice
        order = orders_pb2.NewOrder(
            account=self.id,
            instrument=dice.randint(1, 2),
            side=dice.choice((common_pb2.SIDE_BUY, common_pb2.SIDE_SELL)),
            order_type=common_pb2.ORDER_TYPE_LIMIT,
            tif=dice.choice((common_pb2.TIME_IN_FORCE_IOC, common_pb2.TIME_IN_FORCE_GTC)),
            price_ticks=dice.randint(96, 104),
            quantity_lots=dice.randint(1, 9),
            client_order_id=self.id * 100_000 + _OWN_IDS + dice.randrange(40_000),
        )
        return orders_pb2.Command(new_order=order)

    def _try(self, key: Key) -> None:
        if key in self._open:
            self._call(key, self._open[key], partial(self._heard, key, self._open[key]))

    def _heard(self, key: Key, command: orders_pb2.Command, answered: bool) -> None:
        if not answered:
            self.kernel.after(self._dice.randint(2, 40) * MS, self._try, key)
        elif self._open.pop(key, None) is not None and self._dice.random() < 0.4:
            # Once more, as one does who did not get the answer.
            self.kernel.after(self._dice.randint(1, 300) * MS, self._call, key, command, lambda _answered: None)

    def _call(self, key: Key, command: orders_pb2.Command, heard: Callable[[bool], None]) -> None:
        gateway = self._dice.choice(self._gateways)

        def answered(said: orders_pb2.CommandReply | None, failure: str) -> None:
            if said is not None:
                self._replies.append(Reply(gateway.name, key, command, said))
            elif failure.startswith(_FOR_GOOD):
                raise Violation(f"{gateway.name} to {key} of {self.name}: {failure}")
            heard(said is not None)

        self.world.network.call(self, gateway, partial(_come, command, key), answered, timeout_ns=_TIMEOUT_NS)

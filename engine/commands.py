"""`CommandBuilder`: commands for an engine, checked and numbered, without a cluster and its clients around it."""

from typing import Any, Final

from lockstep.engine.admin_commands import AdminCommands
from lockstep.engine.command_arguments import I64, U32, U64, switch, whole, word
from lockstep.engine.command_rows import Layout
from lockstep.stream.records import (
    COMMAND,
    MAX_PRICE_TICKS,
    MAX_QUANTITY_LOTS,
    CommandKind,
    MassCancelFlag,
    OrderFlag,
    OrderType,
    SelfTradePrevention,
    Side,
    TimeInForce,
)

_COMMAND: Final = Layout(COMMAND)
_MOST_PEAKS: Final = 1000
_NOT_OF_A_CHILD: Final = ("flags", "display_lots", "min_lots")
_NO_PARENT: Final = (
    "parent_id is for plain orders that rest: DAY, GTC, GTD, no post_only, hidden, cancel_on_halt, short_exempt, "
    "display_lots or min_lots"
)
_RESTS: Final = (TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTD)
_TIFS: Final = {
    OrderType.LIMIT: tuple(TimeInForce),
    OrderType.MARKET: tuple(tif for tif in TimeInForce if tif is not TimeInForce.GTD),
    OrderType.STOP: _RESTS,
    OrderType.STOP_LIMIT: _RESTS,
    OrderType.TRAILING_STOP: _RESTS,
    OrderType.OCO: _RESTS,
}


class CommandBuilder(AdminCommands):
    """Builds the commands of one session, in the order in which the engine is to execute them.

    Prices are whole ticks, quantities whole lots, amounts millionths of the currency unit (`define_instrument` says
    what a tick and a lot are worth). Sides, types and the like are members of their enums or their names ("buy").

    Each method adds one command and returns its number in the session; events carry it as `session_no`. The exchange id
    of an order is the seq of its command: `order_id` of its ACCEPTED event. `take` gives the commands as an array for
    `MatchingEngine.apply`; `EngineDriver` does both.

    The session must be this builder's alone: an engine executes a session's numbers in order, each once.

    Raises:
        ValueError: by every method, for arguments that can't be right whatever the engine's state; the text says what
            to give instead. Nothing was added then. What depends on the state (an unknown account, no money, a price
            outside the band) is the engine's to say: a REJECTED event with a `Code`.
    """

    def limit(
        self,
        *,
        account: int,
        instrument: int,
        side: Side | str,
        price_ticks: int,
        quantity_lots: int,
        client_order_id: int = 0,
        tif: TimeInForce | str = TimeInForce.GTC,
        expire_ns: int = 0,
        post_only: bool = False,
        hidden: bool = False,
        display_lots: int = 0,
        min_lots: int = 0,
        stp: SelfTradePrevention | str = SelfTradePrevention.NONE,
        tag: int = 0,
        parent_id: int = 0,
        cancel_on_halt: bool = False,
        short_exempt: bool = False,
    ) -> int:
        """A limit order: it trades at `price_ticks` or better, and what is left rests, as `tif` says.

        Args:
            account: whose order; it must be defined.
            instrument: of which; it must be defined.
            side: Side.BUY or Side.SELL.
            price_ticks: the worst price, 1..2^40 - 1.
            quantity_lots: 1..2^31 - 1.
            client_order_id: a name of your own for it, unique among the account's live orders; 0: none.
            tif: how long it stands; GTC: until it is filled or canceled.
            expire_ns: with GTD, and only with it: the stamp at which it ends (at the next `tick`).
            post_only: refused (WOULD_TRADE) instead of trading at once. For DAY, GTC, GTD.
            hidden: nothing of it is displayed. For DAY, GTC, GTD.
            display_lots: an iceberg with peaks of so many lots, at most 1000 of them. As `hidden`, and not with it.
            min_lots: cancel it unless so many trade at once. For DAY, GTC, GTD, IOC; not with `post_only`.
            stp: what happens instead of a trade with an order of the same account.
            tag: free for you; the engine does not look at it.
            parent_id: client order id of the account's order that it waits for. For DAY, GTC, GTD, without options.
            cancel_on_halt: it ends when trading is halted or paused. For DAY, GTC, GTD.
            short_exempt: no short-sale restriction holds it to a price. For sells.
        """
        tif = word(TimeInForce, "tif", tif)
        flags = _flags(post_only=post_only, hidden=hidden, cancel_on_halt=cancel_on_halt, short_exempt=short_exempt)
        display = whole("display_lots", display_lots, 0, MAX_QUANTITY_LOTS)
        least = whole("min_lots", min_lots, 0, MAX_QUANTITY_LOTS)
        _check_options(tif, flags, display, least)
        terms = {
            "price_ticks": whole("price_ticks", price_ticks, 1, MAX_PRICE_TICKS),
            "flags": flags,
            "display_lots": display,
            "min_lots": least,
            "parent_id": whole("parent_id", parent_id, 0, U64),
        }
        lots = whole("quantity_lots", quantity_lots, 1, MAX_QUANTITY_LOTS)
        _check_display(display, lots)
        return self._order(
            OrderType.LIMIT, account, instrument, side, lots, client_order_id, tif, expire_ns, stp, tag, terms
        )

    def market(
        self,
        *,
        account: int,
        instrument: int,
        side: Side | str,
        quantity_lots: int,
        protection_ticks: int = 0,
        client_order_id: int = 0,
        tif: TimeInForce | str = TimeInForce.IOC,
        min_lots: int = 0,
        stp: SelfTradePrevention | str = SelfTradePrevention.NONE,
        tag: int = 0,
        short_exempt: bool = False,
    ) -> int:
        """A market order: it trades at once at what there is; nothing of it rests, but in an auction.

        Args as of `limit`, and:
            protection_ticks: it trades no further than this price; 0: no such bound.
            tif: every one but GTD.
            min_lots: not with FOK, AT_OPEN, AT_CLOSE, GOOD_FOR_AUCTION.
        """
        tif = word(TimeInForce, "tif", tif)
        least = whole("min_lots", min_lots, 0, MAX_QUANTITY_LOTS)
        if least and (tif == TimeInForce.FOK or tif >= TimeInForce.AT_OPEN):
            raise ValueError(f"min_lots does not go with tif {tif.name}: leave it out, or use IOC")
        terms = {
            "price_ticks": whole("protection_ticks", protection_ticks, 0, MAX_PRICE_TICKS),
            "min_lots": least,
            "flags": _flags(short_exempt=short_exempt),
        }
        return self._order(
            OrderType.MARKET, account, instrument, side, quantity_lots, client_order_id, tif, 0, stp, tag, terms
        )

    def stop(
        self,
        *,
        account: int,
        instrument: int,
        side: Side | str,
        stop_price_ticks: int,
        quantity_lots: int,
        limit_price_ticks: int | None = None,
        client_order_id: int = 0,
        tif: TimeInForce | str = TimeInForce.GTC,
        expire_ns: int = 0,
        stp: SelfTradePrevention | str = SelfTradePrevention.NONE,
        tag: int = 0,
        parent_id: int = 0,
        cancel_on_halt: bool = False,
        short_exempt: bool = False,
    ) -> int:
        """An order that waits until a trade reaches its stop price; then a market order, or one with a limit.

        Args as of `limit`, and:
            stop_price_ticks: a buy is set off at this price or above, a sell at it or below.
            limit_price_ticks: it trades no worse than this, and what is left rests; None: a market order.
            tif: DAY, GTC or GTD.
        """
        terms = {
            "flags": _flags(cancel_on_halt=cancel_on_halt, short_exempt=short_exempt),
            "stop_price_ticks": whole("stop_price_ticks", stop_price_ticks, 1, MAX_PRICE_TICKS),
            "parent_id": whole("parent_id", parent_id, 0, U64),
        }
        order_type = OrderType.STOP
        if limit_price_ticks is not None:
            order_type = OrderType.STOP_LIMIT
            terms["price_ticks"] = whole("limit_price_ticks", limit_price_ticks, 1, MAX_PRICE_TICKS)
        return self._order(
            order_type, account, instrument, side, quantity_lots, client_order_id, tif, expire_ns, stp, tag, terms
        )

    def trailing_stop(
        self,
        *,
        account: int,
        instrument: int,
        side: Side | str,
        trail_ticks: int,
        quantity_lots: int,
        stop_price_ticks: int = 0,
        client_order_id: int = 0,
        tif: TimeInForce | str = TimeInForce.GTC,
        expire_ns: int = 0,
        stp: SelfTradePrevention | str = SelfTradePrevention.NONE,
        tag: int = 0,
        cancel_on_halt: bool = False,
        short_exempt: bool = False,
    ) -> int:
        """A stop whose price follows the latest trade at a distance of `trail_ticks`.

        Args as of `stop`, and:
            stop_price_ticks: where it begins; 0: at that distance from the latest trade, which there must be.
        """
        terms = {
            "flags": _flags(cancel_on_halt=cancel_on_halt, short_exempt=short_exempt),
            "trail_ticks": whole("trail_ticks", trail_ticks, 1, MAX_PRICE_TICKS),
            "stop_price_ticks": whole("stop_price_ticks", stop_price_ticks, 0, MAX_PRICE_TICKS),
        }
        kind = OrderType.TRAILING_STOP
        return self._order(
            kind, account, instrument, side, quantity_lots, client_order_id, tif, expire_ns, stp, tag, terms
        )

    def oco(
        self,
        *,
        account: int,
        instrument: int,
        side: Side | str,
        price_ticks: int,
        stop_price_ticks: int,
        quantity_lots: int,
        client_order_id: int = 0,
        tif: TimeInForce | str = TimeInForce.GTC,
        expire_ns: int = 0,
        stp: SelfTradePrevention | str = SelfTradePrevention.NONE,
        tag: int = 0,
        parent_id: int = 0,
        cancel_on_halt: bool = False,
        short_exempt: bool = False,
    ) -> int:
        """One cancels the other: a limit order that becomes a market order when a trade reaches its stop price.

        So one order takes the profit or stops the loss of a position, and its lots are bound once.

        Args as of `stop`, and:
            price_ticks: its limit, until it is set off.
            stop_price_ticks: of a buy above the limit, of a sell below it.
        """
        side = word(Side, "side", side)
        terms = {
            "flags": _flags(cancel_on_halt=cancel_on_halt, short_exempt=short_exempt),
            "price_ticks": whole("price_ticks", price_ticks, 1, MAX_PRICE_TICKS),
            "stop_price_ticks": whole("stop_price_ticks", stop_price_ticks, 1, MAX_PRICE_TICKS),
            "parent_id": whole("parent_id", parent_id, 0, U64),
        }
        if (stop_price_ticks <= price_ticks) if side is Side.BUY else (stop_price_ticks >= price_ticks):
            where = "above" if side is Side.BUY else "below"
            raise ValueError(
                f"stop_price_ticks is {stop_price_ticks} and price_ticks {price_ticks}: the stop price of a "
                f"{side.name} must be {where} its limit"
            )
        return self._order(
            OrderType.OCO, account, instrument, side, quantity_lots, client_order_id, tif, expire_ns, stp, tag, terms
        )

    def cancel(self, *, account: int, order_id: int = 0, client_order_id: int = 0, tag: int = 0) -> int:
        """Cancel a live order, named by its exchange id or by the account's own; one of them."""
        fields = _address(account, order_id, client_order_id) | {"tag": whole("tag", tag, 0, U64)}
        return self._add(_COMMAND, CommandKind.CANCEL, fields)

    def replace(
        self,
        *,
        account: int,
        price_ticks: int,
        quantity_lots: int,
        order_id: int = 0,
        client_order_id: int = 0,
        stop_price_ticks: int = 0,
        tag: int = 0,
    ) -> int:
        """Change a live order, named as in `cancel`. Fewer lots at the same price keep its place.

        Args:
            account: whose order.
            price_ticks: the new price; 0 for one that has none, a STOP or TRAILING_STOP.
            quantity_lots: the new *open* quantity, what has traded already left out.
            order_id: its exchange id; or
            client_order_id: the account's own.
            stop_price_ticks: for one that waits for a stop: the new one; 0: as it is.
            tag: free for you.
        """
        fields = _address(account, order_id, client_order_id) | {
            "price_ticks": whole("price_ticks", price_ticks, 0, MAX_PRICE_TICKS),
            "quantity_lots": whole("quantity_lots", quantity_lots, 1, MAX_QUANTITY_LOTS),
            "stop_price_ticks": whole("stop_price_ticks", stop_price_ticks, 0, MAX_PRICE_TICKS),
            "tag": whole("tag", tag, 0, U64),
        }
        return self._add(_COMMAND, CommandKind.REPLACE, fields)

    def mass_cancel(
        self, *, account: int = 0, instrument: int = 0, side: Side | str | None = None, block: bool = False
    ) -> int:
        """Cancel all live orders of an account, of an instrument, or of both; of one side, if one is given.

        `block` stops the account's further orders as well: the kill switch.
        """
        if account == 0 and instrument == 0:
            raise ValueError("say whose or which orders: give account, instrument, or both")
        if switch("block", block) and account == 0:
            raise ValueError("block stops an account: give the account")
        fields = {
            "account": whole("account", account, 0, U32),
            "instrument": whole("instrument", instrument, 0, U32),
            "side": word(Side, "side", side) if side is not None else 0,
            "flags": MassCancelFlag.BLOCK * block,
        }
        return self._add(_COMMAND, CommandKind.MASS_CANCEL, fields)

    def _order(
        self,
        order_type: OrderType,
        account: int,
        instrument: int,
        side: Side | str,
        quantity_lots: int,
        client_order_id: int,
        tif: TimeInForce | str,
        expire_ns: int,
        stp: SelfTradePrevention | str,
        tag: int,
        terms: dict[str, Any],
    ) -> int:
        """What all new orders have, checked, with the terms of their type."""
        tif = word(TimeInForce, "tif", tif)
        if tif not in _TIFS[order_type]:
            good = ", ".join(one.name for one in _TIFS[order_type])
            raise ValueError(f"tif {tif.name} does not go with a {order_type.name} order: use one of {good}")
        dated = tif is TimeInForce.GTD
        if dated != (expire_ns != 0):
            raise ValueError("expire_ns and tif GTD go together: give both, or neither")
        of_side = word(Side, "side", side)
        if terms.get("flags", 0) & OrderFlag.SHORT_EXEMPT and of_side != Side.SELL:
            raise ValueError("short_exempt is for sells: leave it out of a buy")
        lots = whole("quantity_lots", quantity_lots, 1, MAX_QUANTITY_LOTS)
        if terms.get("parent_id", 0) != 0 and (tif not in _RESTS or any(terms.get(name) for name in _NOT_OF_A_CHILD)):
            raise ValueError(_NO_PARENT)
        if terms.get("min_lots", 0) > lots:
            raise ValueError(f"min_lots is {terms['min_lots']} of {lots}: it must be at most the quantity")
        fields = {
            "order_type": order_type,
            "account": whole("account", account, 1, U32),
            "instrument": whole("instrument", instrument, 1, U32),
            "side": word(Side, "side", side),
            "quantity_lots": lots,
            "client_order_id": whole("client_order_id", client_order_id, 0, U64),
            "tif": tif,
            "expire_ns": whole("expire_ns", expire_ns, 0, I64),
            "stp": word(SelfTradePrevention, "stp", stp),
            "tag": whole("tag", tag, 0, U64),
            **terms,
        }
        return self._add(_COMMAND, CommandKind.NEW_ORDER, fields)


def _flags(**wanted: bool) -> int:
    """The flags of these names that are wanted."""
    return sum(int(OrderFlag[name.upper()]) for name, value in wanted.items() if switch(name, value))


def _check_options(tif: TimeInForce, flags: int, display: int, least: int) -> None:
    """Raises ValueError if what an order is given beside its price does not go together."""
    if (flags & ~OrderFlag.SHORT_EXEMPT or display) and tif not in _RESTS:
        raise ValueError(
            f"post_only, hidden, cancel_on_halt and display_lots are for orders that rest: not with tif {tif.name}"
        )
    if flags & OrderFlag.HIDDEN and display:
        raise ValueError("hidden shows nothing and display_lots shows a part: give one of them")
    if least and (flags & OrderFlag.POST_ONLY or tif not in (*_RESTS, TimeInForce.IOC)):
        raise ValueError("min_lots goes with tif DAY, GTC, GTD or IOC, without post_only: leave it out")


def _check_display(display: int, lots: int) -> None:
    if display and not display <= lots <= _MOST_PEAKS * display:
        most = f"it must be at most the quantity, and at least a {_MOST_PEAKS}th of it"
        raise ValueError(f"display_lots is {display} of {lots}: {most}")


def _address(account: int, order_id: int, client_order_id: int) -> dict[str, Any]:
    """How cancel and replace name their order."""
    if (order_id == 0) == (client_order_id == 0):
        raise ValueError("name the order by order_id or by client_order_id: give one of them, not 0")
    return {
        "account": whole("account", account, 1, U32),
        "order_id": whole("order_id", order_id, 0, U64),
        "client_order_id": whole("client_order_id", client_order_id, 0, U64),
    }

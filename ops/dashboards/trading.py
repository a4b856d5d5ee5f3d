"""Dashboard: what is traded, and what is refused."""

from typing import Final

from lockstep.ops.dashboards.model import Dashboard, Kind, Panel, Query
from lockstep.ops.dashboards.queries import CLUSTER, RATE, rate, value


def _by_instrument(metric: str) -> Query:
    return rate(metric, by="instrument")


TRADING_DASHBOARD: Final = Dashboard(
    "lockstep-trading",
    "Lockstep: trading",
    "Business figures of released events, counted by the primary. What a new primary releases again at a failover is "
    "counted again: accounts come from the journal, not from here.",
    (
        Panel(
            "Commands",
            "Commands stamped a second.",
            "ops",
            (Query('lockstep:commands:rate1m{cluster="$cluster"}', "commands"),),
            Kind.NUMBER,
            4,
        ),
        Panel(
            "Trades",
            "Trades a second.",
            "ops",
            (Query('lockstep:trades:rate1m{cluster="$cluster"}', "trades"),),
            Kind.NUMBER,
            4,
        ),
        Panel(
            "Fill ratio",
            "Traded lots of both sides for each ordered lot.",
            "percentunit",
            (Query('lockstep:fill_ratio:rate5m{cluster="$cluster"}', "filled"),),
            Kind.NUMBER,
            4,
        ),
        Panel(
            "Cancel ratio",
            "Orders canceled for each order accepted.",
            "percentunit",
            (Query('lockstep:cancel_ratio:rate5m{cluster="$cluster"}', "canceled"),),
            Kind.NUMBER,
            4,
        ),
        Panel(
            "Refused",
            "Share of commands that were refused.",
            "percentunit",
            (Query('lockstep:refused_ratio:rate1m{cluster="$cluster"}', "refused"),),
            Kind.NUMBER,
            4,
        ),
        Panel(
            "Clients",
            "Open client streams.",
            "none",
            (Query(f"sum (lockstep_gateway_streams{{{CLUSTER}}})", "streams"),),
            Kind.NUMBER,
            4,
        ),
        Panel("Orders", "Orders accepted a second, by instrument.", "ops", (_by_instrument("lockstep_orders_total"),)),
        Panel("Trades by instrument", "Trades a second.", "ops", (_by_instrument("lockstep_trades_total"),)),
        Panel(
            "Volume", "Lots traded a second, by instrument.", "none", (_by_instrument("lockstep_traded_lots_total"),)
        ),
        Panel(
            "Order-to-trade ratio",
            "Orders, cancels and replaces for each trade, by instrument, over five minutes.",
            "none",
            (Query('lockstep:order_to_trade_ratio:rate5m{cluster="$cluster"}', "{{instrument}}"),),
        ),
        Panel(
            "Cancels",
            "Orders canceled a second, for whatever reason, by instrument.",
            "ops",
            (_by_instrument("lockstep_cancels_total"),),
        ),
        Panel(
            "Replaces", "Orders replaced a second, by instrument.", "ops", (_by_instrument("lockstep_replaces_total"),)
        ),
        Panel(
            "Events", "Released order events a second, by kind.", "ops", (rate("lockstep_events_total", by="event"),)
        ),
        Panel(
            "Refusals",
            "Commands refused a second, by code: gateway checks (1000s), risk (3000s), engine (4000s).",
            "ops",
            (Query(f"sum by (code) (rate(lockstep_refusals_total{{{CLUSTER}}}[{RATE}])) > 0", "{{code}}"),),
        ),
        Panel(
            "Pushed back by gateways",
            "Messages not admitted; clients come again by themselves.",
            "ops",
            (rate("lockstep_gateway_refusals_total", by="code"),),
        ),
        Panel(
            "Sessions and streams",
            "Sessions known, client streams open, market data subscribers.",
            "none",
            (
                value("lockstep_gateway_sessions", "{{member}} sessions"),
                value("lockstep_gateway_streams", "{{member}} streams"),
                value("lockstep_gateway_subscribers", "{{member}} subscribers"),
            ),
        ),
        Panel(
            "Unanswered",
            "Commands admitted by each gateway that have no answer yet.",
            "none",
            (value("lockstep_gateway_unanswered"),),
        ),
        Panel(
            "Admitted and reported",
            "Commands admitted and reports given out a second, by gateway.",
            "ops",
            (
                rate("lockstep_gateway_commands_total", by="member", legend="{{member}} commands"),
                rate("lockstep_gateway_reports_total", by="member", legend="{{member}} reports"),
                rate("lockstep_gateway_events_total", by="member", legend="{{member}} events"),
            ),
        ),
    ),
)

"""Roles: what a principal may do at all. Which accounts and instruments it may do that with is the principal's."""

from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """What stands in `roles` of the configuration and of `lockstep access`."""

    TRADER = "trader"
    """Orders of its accounts, and what comes of them."""
    MARKET_DATA = "market-data"
    """Reads books, trades and reference data; no account."""
    RISK = "risk-officer"
    """Reads every account, cancels anybody's orders, blocks accounts, sets risk limits; enters no order."""
    OPERATOR = "operator"
    """Runs the cluster: switchover, fencing, snapshots, halts; the kill switch."""
    AUDITOR = "auditor"
    """Reads everything, changes nothing."""
    MONITOR = "monitor"
    """Reads figures and status: for Prometheus and health checks."""
    ADMINISTRATOR = "administrator"
    """Defines instruments and accounts, and adjusts balances."""
    MEMBER = "member"
    """A process of the cluster. Not for anybody else."""
    SEQUENCER = "sequencer"
    """A member that may fence engines."""


GRANTABLE: Final = tuple(role for role in Role if role not in (Role.MEMBER, Role.SEQUENCER))
"""Roles that a configuration or an administrator may give."""
EVERY: Final = frozenset(Role)

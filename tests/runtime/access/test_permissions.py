"""The table of methods, held against the descriptors of the protocol."""

import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from lockstep.edge.rest.operations import OPERATIONS
from lockstep.gateway.wire import ADMIN_COMMANDS
from lockstep.runtime.access.permissions import (
    AUDITED,
    COMMANDS,
    MASS_CANCELERS,
    METHODS,
    METRICS,
    PUBLIC,
    roles_for,
    roles_for_command,
)
from lockstep.runtime.access.roles import GRANTABLE, Role
from lockstep.runtime.topology import Principal
from lockstep.v1 import (
    accounts_pb2,
    alerts_pb2,
    cluster_pb2,
    feed_pb2,
    ledger_pb2,
    market_data_pb2,
    orders_pb2,
    replication_pb2,
)

FILES = (
    accounts_pb2, alerts_pb2, cluster_pb2, feed_pb2, ledger_pb2, market_data_pb2, orders_pb2, replication_pb2,
    health_pb2, reflection_pb2,
)  # fmt: skip
DEFINED = {
    f"/{service.full_name}/{method.name}"
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}


def test_every_method_of_the_protocol_has_a_row_and_every_row_a_method():
    """A new method that nobody thought about is a failure here, and closed to everybody until then."""
    optional = {"/grpc.health.v1.Health/List"}
    assert set(METHODS) - optional == DEFINED - optional


def test_a_method_without_a_row_is_for_nobody():
    assert roles_for("/lockstep.v1.Cluster/NotThereYet") is None


def test_only_health_asks_for_no_credentials():
    assert {method.rpartition("/")[0] for method, roles in METHODS.items() if roles is PUBLIC} == {
        "/grpc.health.v1.Health"
    }


@pytest.mark.parametrize("method", sorted(METHODS))
def test_no_method_that_changes_the_cluster_is_for_those_who_trade_or_read(method: str):
    if "Cluster/" in method and not method.endswith(("GetStatus", "GetHistory", "ListSnapshots")):
        assert METHODS[method] == {Role.OPERATOR}
        assert method in AUDITED


def test_engines_are_fenced_by_sequencers_alone():
    assert METHODS["/lockstep.v1.Replication/Fence"] == {Role.SEQUENCER}
    assert Role.SEQUENCER not in GRANTABLE
    assert Role.MEMBER not in GRANTABLE


def test_an_auditor_changes_nothing():
    """Everything that it may call reads."""
    readers = (
        "Get", "List", "Fetch", "Query", "Subscribe", "Follow", "DescribeLine", "Retransmit", "JoinLine",
        "ServerReflectionInfo",
    )  # fmt: skip
    allowed = [method.rpartition("/")[2] for method, roles in METHODS.items() if Role.AUDITOR in roles]
    assert allowed
    assert not [name for name in allowed if not name.startswith(readers)]
    auditor = Principal("a", roles=(Role.AUDITOR,))
    assert not auditor.may(MASS_CANCELERS)
    assert not [name for name in ADMIN_COMMANDS if auditor.may(roles_for_command(name))]


def test_balances_and_definitions_are_administrators_alone():
    for name in ("define_instrument", "define_account", "adjust_cash", "adjust_position", "transfer_position"):
        assert roles_for_command(name) == {Role.ADMINISTRATOR}, name


def test_whoever_may_mass_cancel_in_a_session_may_by_every_other_way():
    assert METHODS["/lockstep.v1.OrderEntry/MassCancel"] == MASS_CANCELERS | {Role.TRADER}
    assert METHODS["/lockstep.v1.OrderEntry/Session"] >= MASS_CANCELERS
    (rest,) = [one for one in OPERATIONS if one.name == "massCancel"]
    assert rest.roles == METHODS["/lockstep.v1.OrderEntry/MassCancel"]
    # What the command that pulls the kill switch calls.
    assert METHODS["/lockstep.v1.Accounts/ListOpenOrders"] >= MASS_CANCELERS
    assert roles_for_command("set_account_status") >= MASS_CANCELERS


def test_commands_with_rows_of_their_own_are_commands():
    assert set(COMMANDS) <= set(ADMIN_COMMANDS)


def test_a_principal_without_roles_is_a_trader_and_an_administrator_beside_it_by_its_flag():
    assert Principal("a").rights == {Role.TRADER}
    assert Principal("a", admin=True).rights == {Role.TRADER, Role.ADMINISTRATOR}
    assert Principal("a", roles=(Role.AUDITOR,)).rights == {Role.AUDITOR}
    assert not Principal("a").may(METRICS)

"""Tokens, session ids and accounts."""

import pytest

from lockstep.gateway.entitlement import may_trade, may_use_session
from lockstep.runtime.tokens import OPEN_CLIENT, Entitlements, Unauthenticated
from lockstep.runtime.topology import Client

ALICE = Client("alice", "secret", 4, (1, 2))


def test_token_names_the_client():
    assert Entitlements([ALICE]).authenticate("Bearer secret") is ALICE
    assert Entitlements([ALICE]).authenticate("bearer  secret ") is ALICE


@pytest.mark.parametrize("authorization", [None, "secret", "Basic secret", "Bearer wrong", "Bearer "])
def test_anything_else_is_unauthenticated(authorization):
    with pytest.raises(Unauthenticated):
        Entitlements([ALICE]).authenticate(authorization)


def test_cluster_without_clients_is_open():
    client = Entitlements([]).authenticate(None)
    assert client is OPEN_CLIENT
    assert may_use_session(client, (9 << 32) | 1) == ""
    assert may_trade(client, 77)


def test_session_id_carries_the_clients_number():
    assert may_use_session(ALICE, (4 << 32) | 8) == ""
    assert "yours is 4" in (why := may_use_session(ALICE, (5 << 32) | 8))
    assert "client_number=4" in why, "what cures it"
    assert "is 0" in may_use_session(ALICE, 0)
    assert "gateways" in may_use_session(OPEN_CLIENT, (0x7FFF0001 << 32) | 1)


def test_accounts_are_those_listed():
    assert [may_trade(ALICE, account) for account in (1, 2, 3)] == [True, True, False]

"""Streams of one principal and of one address are bounded, and what is over is free."""

import pytest

from lockstep.runtime.access import open_streams
from lockstep.runtime.access.callers import OPEN_CLIENT
from lockstep.runtime.access.open_streams import OpenStreams, host_of
from lockstep.runtime.topology import Principal

ALICE, BOB = Principal(name="alice"), Principal(name="bob")


def test_one_has_so_many_and_others_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_streams, "MAX_OF_ONE", 2)
    monkeypatch.setattr(open_streams, "MAX_OF_HOST", 4)
    streams = OpenStreams()
    assert [streams.enter(ALICE, "h1") for _ in range(2)] == ["", ""]
    assert "'alice' has 2 streams" in streams.enter(ALICE, "h2")
    assert [streams.enter(BOB, "h1") for _ in range(2)] == ["", ""]
    assert "from this address" in streams.enter(Principal(name="carol"), "h1")
    streams.leave(ALICE, "h1")
    assert streams.enter(ALICE, "h2") == ""
    for principal, host in ((ALICE, "h1"), (ALICE, "h2"), (BOB, "h1"), (BOB, "h1")):
        streams.leave(principal, host)
    assert not streams._of, "nothing is left"


def test_everybody_is_not_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_streams, "MAX_OF_ONE", 1)
    streams = OpenStreams()
    assert [streams.enter(OPEN_CLIENT, "h1") for _ in range(3)] == ["", "", ""]


def test_the_address_of_a_caller_has_no_port() -> None:
    assert host_of("ipv4:127.0.0.1:5000") == host_of("ipv4:127.0.0.1:5001") == "ipv4:127.0.0.1"
    assert host_of("ipv6:[::1]:5000") == "ipv6:[::1]"

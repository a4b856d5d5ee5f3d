"""Plaintext goes no further than loopback, unless the configuration says so in words."""

from dataclasses import replace
from pathlib import Path

import pytest

from lockstep.runtime.access.entering import enter
from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.process_log import open_log
from lockstep.runtime.topology import PLAINTEXT_WORDS, Access, Member, ProcessKind, Tls, Topology


def cluster(host: str, **options: object) -> Topology:
    sequencer, engine, gateway = (
        (Member(kind, 1, host, 1000 + kind),)
        for kind in (ProcessKind.SEQUENCER, ProcessKind.ENGINE, ProcessKind.GATEWAY)
    )
    made = Topology("c", ("127.0.0.1:2379",), Path("/nowhere"), sequencer, engine, gateway)
    return replace(made, **options)  # type: ignore[arg-type]  # one type for each field


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost"])
def test_a_cluster_on_loopback_may_be_open_and_plain(host: str):
    topology = cluster(host)
    assert topology.open
    assert enter(topology, "engine-1", open_log("test")).entitlements.open


@pytest.mark.parametrize("host", ["10.0.0.1", "0.0.0.0", "example.org", "192.168.1.2"])
def test_no_other_cluster_is_open_or_plain(host: str):
    topology = cluster(host)
    assert not topology.open
    with pytest.raises(EnvironmentFault, match="certs init"):
        enter(topology, "engine-1", open_log("test"))


def test_one_address_that_others_reach_is_enough():
    far = Member(ProcessKind.FEED, 1, "10.0.0.1", 1009)
    topology = cluster("127.0.0.1", feeds=(far,))
    assert not topology.open


def test_plaintext_is_accepted_in_words_and_nobody_is_let_in_for_it(tmp_path: Path):
    access = Access(key_file=tmp_path / "cluster.key")
    topology = cluster("10.0.0.1", tls=Tls(plaintext=PLAINTEXT_WORDS), access=access)
    assert not enter(topology, "engine-1", open_log("test")).entitlements.open
    assert not (tmp_path / "cluster.key").exists(), "made on one host, and copied"


def test_never_is_never_on_loopback_too(tmp_path: Path):
    topology = cluster("127.0.0.1", access=Access(key_file=tmp_path / "cluster.key", anonymous="never"))
    assert not enter(topology, "engine-1", open_log("test")).entitlements.open
    assert (tmp_path / "cluster.key").exists()

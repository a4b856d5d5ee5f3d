"""A damaged journal: who else has what it held, and what its engine says where nobody does."""

from concurrent import futures
from pathlib import Path

import grpc
import pytest

from lockstep.replica.evidence import Tip
from lockstep.replica.rescue import PeerSays, advice, find_holder
from lockstep.replica.rocks import JournalDamaged
from lockstep.runtime.topology import Member, ProcessKind, Topology
from lockstep.v1 import cluster_pb2, cluster_pb2_grpc

DAMAGE = JournalDamaged(Path("data/engine-1/journal"), "it ends at seq 80 of epoch 3", Tip(3, 100), "u")


@pytest.mark.parametrize(
    ("peer", "holds"),
    [
        (PeerSays(2, Tip(3, 100), "u"), True),
        (PeerSays(2, Tip(4, 130), "u"), True),
        (PeerSays(2, Tip(3, 99), "u"), False),
        # A longer log of an earlier epoch may have a tail that no reign kept, and lack what was committed.
        (PeerSays(2, Tip(2, 140), "u"), False),
        (PeerSays(2, Tip(4, 90), "u"), False),
        (PeerSays(2, Tip(3, 100), "v"), False),
        (PeerSays(2, Tip(3, 100), "u", blank=True), False),
        (PeerSays(2, error="UNAVAILABLE"), False),
        (PeerSays(2, Tip(), "u"), False),
    ],
)
def test_peer_holds_it_only_with_a_joined_log_of_the_same_cluster_that_reaches_as_far(peer, holds):
    assert peer.holds(DAMAGE) is holds


def test_where_nothing_is_known_of_the_journal_an_empty_peer_is_still_no_holder():
    unknown = JournalDamaged(Path("j"), "its file CURRENT is missing")
    assert not PeerSays(2, Tip(), "u").holds(unknown)
    assert PeerSays(2, Tip(1, 1), "u").holds(unknown)


def test_advice_says_what_is_missing_what_each_peer_has_and_never_to_delete_anything():
    peers = (PeerSays(2, Tip(2, 60), "u"), PeerSays(3, error="UNAVAILABLE"), PeerSays(4, Tip(3, 7), "u", blank=True))
    text = advice(Path("data/engine-1"), 1, DAMAGE, peers)
    for part in (
        "it ends at seq 80 of epoch 3; it held seq 100 of epoch 3",
        "engine-2 ends at seq 60 of epoch 2",
        "engine-3 does not answer (UNAVAILABLE)",
        "engine-4 has a new journal that ends at seq 7 of epoch 3",
        "do not delete data/engine-1",
        "Put back a copy of the whole data directory",
        "lockstep cluster journal salvage data/engine-1",
        "--candidate engine-1 --force --accept-data-loss",
    ):
        assert part in text
    assert "move" not in text


def test_advice_of_a_lone_engine_names_no_peers():
    assert "there is no other engine" in advice(Path("d"), 1, DAMAGE, ())


@pytest.fixture
def peer_at():
    """Serve a GetStatus reply; gives the port."""
    servers = []

    def serve(reply: cluster_pb2.GetStatusReply) -> int:
        class Service(cluster_pb2_grpc.ClusterServicer):
            def GetStatus(self, _request, _context):  # noqa: N802
                return reply

        server = grpc.server(futures.ThreadPoolExecutor(2))
        cluster_pb2_grpc.add_ClusterServicer_to_server(Service(), server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        return port

    yield serve
    for server in servers:
        server.stop(None)


def topology_of(ports: dict[int, int]) -> Topology:
    engines = tuple(Member(ProcessKind.ENGINE, member, "127.0.0.1", port, 0) for member, port in ports.items())
    return Topology("t", (), Path("a"), (), engines, ())


def test_peers_are_asked_until_one_holds_it_or_nobody_waits_any_more(peer_at):
    short = peer_at(cluster_pb2.GetStatusReply(epoch=2, seq=60, cluster_uuid="u"))
    whole = peer_at(cluster_pb2.GetStatusReply(epoch=3, seq=101, cluster_uuid="u"))
    topology = topology_of({1: 1, 2: short, 3: whole})
    holder, said = find_holder(topology, topology.engines[0], DAMAGE, waiting=lambda: True)
    assert holder == said[1] == PeerSays(3, Tip(3, 101), "u")
    topology = topology_of({1: 1, 2: short})
    patience = iter((True, True, False))
    holder, said = find_holder(topology, topology.engines[0], DAMAGE, waiting=lambda: next(patience))
    assert (holder, [*patience]) == (None, []), "it asked until it had to wait no more"
    assert said == (PeerSays(2, Tip(2, 60), "u"),)


def test_lone_engine_does_not_wait_for_anybody():
    topology = topology_of({1: 1})
    assert find_holder(topology, topology.engines[0], DAMAGE, waiting=lambda: True) == (None, ())

"""The document with the secrets of the links' keys: how it changes, and what a process makes of what it is given."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from lockstep.ops.operator.link_rotation import Do, Rotation, Step, epochs_text, next_step
from lockstep.runtime.access.cluster_key import ClusterKeys, make_key
from lockstep.runtime.access.link_keys import (
    KeyRing,
    RingForged,
    announce,
    begin_anew,
    changed,
    decode,
    encode,
    first_ring,
    retire,
    use,
    without_secrets,
)
from lockstep.runtime.access.link_seals import LinkSeals, open_seals
from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.metrics.links import link_families
from lockstep.runtime.process_log import open_log
from lockstep.runtime.topology import Access, LinkKind, Member, ProcessKind, Tls, Topology
from lockstep.stream.sealing import Drop
from lockstep.v1 import cluster_pb2
from tests.everybody import NO_TRAIL

KEY, OTHER = b"k" * 32, b"o" * 32
FIRST = first_ring(b"1" * 32)
ANNOUNCED = changed(FIRST, announce(b"2" * 32), by="a", what="", now_ns=1)
USED = changed(ANNOUNCED, use(2), by="a", what="", now_ns=2)
RETIRED = changed(USED, retire(2), by="a", what="", now_ns=3)


def test_a_rotation_announces_uses_and_retires():
    rings = [FIRST, ANNOUNCED, USED, RETIRED]
    assert [(ring.sending, ring.epochs, ring.announced) for ring in rings] == [
        (1, (1,), 0), (1, (1, 2), 2), (2, (1, 2), 0), (2, (2,), 0)
    ]  # fmt: skip
    assert [ring.version for ring in rings] == [1, 2, 3, 4]
    assert sorted(rings, key=lambda ring: ring.rank) == rings


def test_an_edit_that_has_nothing_to_do_changes_nothing():
    for ring, edit in (
        (ANNOUNCED, announce(b"3" * 32)),
        (USED, use(2)),
        (USED, use(1)),
        (FIRST, use(7)),
        (ANNOUNCED, retire(2)),
        (RETIRED, retire(2)),
    ):
        assert changed(ring, edit, by="a", what="", now_ns=9) is ring


def test_the_document_is_its_writers_and_nobody_elses():
    raw = encode(USED, KEY, "c")
    assert decode(raw, KEY, "c") == USED
    for forged in (raw.replace(b"3131", b"3132", 1), raw[:-1], b"[]", b"{}", b"x", b"[" * 9999, bytes(20_000)):
        with pytest.raises(RingForged):
            decode(forged, KEY, "c")
    for key, cluster in ((OTHER, "c"), (KEY, "d")):
        with pytest.raises(RingForged):
            decode(raw, key, cluster)


@pytest.mark.parametrize(
    "odd",
    [
        replace(FIRST, sending=2),
        replace(FIRST, secrets=()),
        replace(FIRST, secrets=((1, "ab"),)),
        replace(USED, secrets=USED.secrets[::-1]),
        replace(FIRST, version=0),
        replace(FIRST, sending=2**32, secrets=((2**32, "11" * 32),)),
        KeyRing(1, 1, tuple((epoch, "11" * 32) for epoch in range(1, 5))),
    ],
)
def test_a_document_out_of_bounds_is_refused_though_it_was_written_with_the_key(odd: KeyRing):
    with pytest.raises(RingForged):
        decode(encode(odd, KEY, "c"), KEY, "c")


def test_no_secret_shows_in_what_is_printed():
    assert "3131" not in repr(FIRST)


# ---- a process -------------------------------------------------------------------------------------------------------


def topology(directory: Path, seal: str = "all", hosts: tuple[str, str] = ("127.0.0.1", "127.0.0.1")) -> Topology:
    def member(kind: ProcessKind, id: int, port: int, host: str = "127.0.0.1") -> Member:
        return Member(kind, id, host, port, port + 1, port + 2)

    return Topology(
        "c", ("127.0.0.1:1",), directory,
        sequencers=(member(ProcessKind.SEQUENCER, 1, 100, hosts[0]),),
        engines=tuple(member(ProcessKind.ENGINE, at, 200 + 10 * at, hosts[1]) for at in (1, 2)),
        gateways=(member(ProcessKind.GATEWAY, 1, 300, hosts[1]),),
        access=Access(key_file=directory / "cluster.key", audit_dir=directory / "audit"),
        tls=Tls(cert_dir=directory / "certs", seal=seal),
    )  # fmt: skip


def seals(wanted: Topology, member: Member | None = None, key: bytes = KEY, *others: bytes) -> LinkSeals:
    return LinkSeals(wanted, member or wanted.engines[0], ClusterKeys(key, others), open_log("test"), NO_TRAIL)


def raw(ring: KeyRing, key: bytes = KEY) -> bytes:
    return encode(ring, key, "c")


def test_the_newest_document_is_in_force_and_is_put_back(tmp_path: Path):
    found = seals(topology(tmp_path))
    assert not found.take(None), "it has none to put there"
    assert not found.take(raw(ANNOUNCED))
    assert (found.said().sending, list(found.said().believed)) == (1, [1, 2])
    assert not found.take(raw(ANNOUNCED))
    assert found.take(raw(FIRST))
    assert found.take(None)
    assert not found.take(b"rubbish")
    assert not found.take(raw(RETIRED, OTHER))
    assert found.said().version == 2
    found.take(raw(RETIRED))
    assert (found.said().sending, list(found.said().believed)) == (2, [2])


def test_what_was_known_is_known_after_a_restart_without_etcd_and_every_life_is_a_later_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    wanted = topology(tmp_path)
    before = seals(wanted)
    before._begin_life()
    before.take(raw(USED))
    before._keep()
    monkeypatch.setattr("time.time_ns", lambda: 5)
    after = seals(wanted)
    after.begin()
    assert (after.keys, after.said()) == (before.keys, before.said())
    assert after.incarnation == before.incarnation + 1
    assert after.take(None), "and is put back into an empty etcd"
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "audit").iterdir())


def test_a_process_that_knows_nothing_asks_etcd_and_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("lockstep.runtime.access.link_seals._START_S", 0.2)
    monkeypatch.setattr("lockstep.runtime.access.link_seals.etcd_options", lambda _: _dead())
    with pytest.raises(EnvironmentFault, match="start etcd first"):
        seals(topology(tmp_path)).begin()

    async def in_a_loop() -> None:
        seals(topology(tmp_path)).begin()

    with pytest.raises(EnvironmentFault, match="start etcd first"):
        asyncio.run(in_a_loop())


def _dead() -> object:
    from lockstep.runtime.etcd import EtcdOptions

    return EtcdOptions(endpoints=("127.0.0.1:1",))


def test_a_file_that_was_damaged_is_said_and_etcd_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    wanted = topology(tmp_path)
    (tmp_path / "audit").mkdir()
    for name in ("link-keys", "link-marks"):
        (tmp_path / "audit" / f"engine-1.{name}").write_text('{"links": 3, "roots": []}')
    found = seals(wanted)
    monkeypatch.setattr(found, "_fetch", lambda: _given(found))
    found.begin()
    assert found.said().sending == 1


async def _given(found: LinkSeals) -> None:
    found.take(raw(FIRST))


def test_after_a_change_of_the_clusters_key_members_keep_their_keys_until_they_are_written_anew(tmp_path: Path):
    wanted = topology(tmp_path)
    before = seals(wanted)
    before.take(raw(FIRST))
    before._keep()
    after = seals(wanted, key=OTHER)
    after.begin()
    assert after.keys == before.keys
    assert not after.take(None), "what it has was not written with the key in force"
    assert not after.take(raw(FIRST))
    anew = begin_anew(1, 1, b"9" * 32)
    after.take(raw(anew, OTHER))
    assert (after.said().sending, list(after.said().believed)) == (1, [1, 2])
    fresh = seals(topology(tmp_path / "another host"), key=OTHER)
    fresh.take(raw(anew, OTHER))
    assert fresh.said().sending == 2, "the one that everybody believes"
    assert fresh.keys.roots[2] == after.keys.roots[2]


def test_an_epoch_that_was_announced_before_is_not_taken_for_the_one_that_is_announced_anew():
    """A rotation was broken off, then the cluster's key was changed: the two have one number, and other secrets."""
    anew = begin_anew(2, 1, b"9" * 32, believed=(1, 2, 1, 2))
    assert (anew.version, anew.sending, anew.epochs, anew.announced) == (3, 1, (1, 2, 3), 3)
    stale = begin_anew(2, 1, b"9" * 32)
    assert stale.announced == 2
    for ring in (anew, stale):
        said = {"engine-1": cluster_pb2.LinkKeys(version=2, sending=1, believed=[1, 2])}
        assert next_step(ring, said, ring.announced).do is Do.WAIT
        said = {"engine-1": cluster_pb2.LinkKeys(version=3, sending=1, believed=list(ring.epochs))}
        assert next_step(ring, said, ring.announced).do is Do.USE
    many = begin_anew(9, 5, b"9" * 32, believed=range(2, 8))
    assert (many.sending, many.announced, len(many.epochs)) == (5, 8, 3)
    assert decode(raw(many), KEY, "c") == many


def test_a_member_that_is_behind_goes_on_with_what_it_has_until_all_have_heard(tmp_path: Path):
    """In the middle of a rotation: it does not use at once what is only announced."""
    behind, ahead = (seals(topology(tmp_path / name), key=OTHER) for name in ("a", "b"))
    for one, ring in ((behind, FIRST), (ahead, USED)):
        one.rekey(ClusterKeys(OTHER, (KEY,)))
        one.take(raw(ring))
    said = [one.said() for one in (behind, ahead)]
    anew = begin_anew(3, 2, b"9" * 32, [epoch for one in said for epoch in one.believed])
    for one in (behind, ahead):
        one.take(raw(anew, OTHER))
    assert [one.said().sending for one in (behind, ahead)] == [1, 2]
    assert 1 in ahead.said().believed, "so it hears the other"


def test_a_former_key_is_retired_when_what_it_sealed_has_come(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    done: list[object] = []
    ring = USED
    said = {"engine-1": cluster_pb2.LinkKeys(version=3, sending=2, believed=[1, 2])}
    make_key(tmp_path / "cluster.key")

    def do(_self: Rotation, step: Step) -> None:
        nonlocal ring
        done.append(step.do)
        ring = RETIRED

    monkeypatch.setattr("lockstep.ops.operator.link_rotation.said_by", lambda _: said)
    monkeypatch.setattr("lockstep.ops.operator.link_rotation.time.sleep", done.append)
    monkeypatch.setattr(Rotation, "_read", lambda _: ring)
    monkeypatch.setattr(Rotation, "_do", do)
    assert Rotation(replace(topology(tmp_path), tls=Tls()), print).run(1.0) == 2
    assert done == [1.0, Do.RETIRE]


def test_while_the_clusters_key_is_changed_a_rotation_needs_nothing_anew(tmp_path: Path):
    """Whichever of the two keys a document was written with, all make the same roots of it."""
    wanted = topology(tmp_path)
    old, new = seals(wanted, None, KEY, OTHER), seals(wanted, None, OTHER, KEY)
    for one in (old, new):
        one.take(raw(FIRST))
    assert old.keys == new.keys
    rotated = changed(FIRST, lambda ring: announce(b"2" * 32)(without_secrets(ring)), by="a", what="", now_ns=1)
    for one in (old, new):
        one.take(raw(rotated, OTHER))
    assert old.keys == new.keys
    assert (old.said().sending, list(old.said().believed)) == (1, [1, 2])


def test_a_document_that_was_refused_is_believed_when_its_key_is(tmp_path: Path):
    found = seals(topology(tmp_path))
    found.take(raw(FIRST, OTHER))
    assert found.said().sending == 0
    found.rekey(ClusterKeys(KEY, (OTHER,)))
    assert found.said().sending == 1


def pair(tmp_path: Path, seal: str, hosts: tuple[str, str]) -> tuple[LinkSeals, LinkSeals, Topology]:
    wanted = topology(tmp_path, seal, hosts)
    ends = seals(wanted, wanted.sequencers[0]), seals(wanted, wanted.engines[0])
    for end in ends:
        end._begin_life()
        end.take(raw(FIRST))
    return *ends, wanted


def test_links_between_hosts_are_sealed_and_those_in_memory_where_it_is_said(tmp_path: Path):
    for seal, hosts, expected in (
        ("hosts", ("127.0.0.1", "127.0.0.2"), True),
        ("hosts", ("127.0.0.1", "127.0.0.1"), False),
        ("all", ("127.0.0.1", "127.0.0.1"), True),
    ):
        sequencer, engine, wanted = pair(tmp_path, seal, hosts)
        link = wanted.link(LinkKind.STREAM, wanted.sequencers[0], wanted.engines[0])
        sealing, opening = sequencer.sealing(link), engine.opening(link)
        assert (sealing is not None, opening is not None) == (expected, expected)
        if sealing is not None and opening is not None:
            sealed = sealing((b"frame",)) + b"frame"
            assert opening(sealed) == b"frame"
            assert opening(sealed) is Drop.REPLAYED
            assert engine.drops[Drop.REPLAYED] == 1
        assert sequencer.sealing(replace(link, name="feed-1/line")) is None


def test_a_receiver_remembers_how_far_it_came(tmp_path: Path):
    sequencer, engine, wanted = pair(tmp_path, "all", ("127.0.0.1", "127.0.0.1"))
    link = wanted.link(LinkKind.STREAM, wanted.sequencers[0], wanted.engines[0])
    sealing, opening = sequencer.sealing(link), engine.opening(link)
    assert sealing is not None
    assert opening is not None
    first, second = (sealing((text,)) + text for text in (b"1", b"2"))
    assert opening(first) == b"1"
    engine.write_marks()
    again = seals(wanted)
    again._begin_life()
    again.take(raw(FIRST))
    reopened = again.opening(link)
    assert reopened is not None
    assert reopened(first) is Drop.REPLAYED
    assert reopened(second) == b"2"
    marks = json.loads((tmp_path / "audit" / "engine-1.link-marks").read_text())
    assert marks["incarnation"] == again.incarnation > engine.incarnation


def test_figures_are_there_whether_or_not_links_are_sealed(tmp_path: Path):
    found = seals(topology(tmp_path))
    found.take(raw(FIRST))
    for counted, epoch in (({}, 0), (found.drops, found.keys.sending)):
        drops, key = link_families(counted, epoch)
        assert {sample.labels["why"] for sample in drops.samples} >= {"forged", "replayed", "foreign", "truncated"}
        assert [sample.value for sample in key.samples] == [epoch]


def test_nothing_is_sealed_without_certificates_or_where_it_is_said(tmp_path: Path):
    wanted = topology(tmp_path, "none")
    for one in (wanted, replace(wanted, tls=Tls())):
        assert open_seals(one, one.engines[0], open_log("test"), NO_TRAIL) is None
    apart = topology(tmp_path, "hosts", ("192.0.2.1", "192.0.2.2"))
    with pytest.raises(EnvironmentFault, match=r"cluster\.key is missing"):
        open_seals(apart, apart.engines[0], open_log("test"), NO_TRAIL)


# ---- an operator's rotation ------------------------------------------------------------------------------------------


def says(sending: int, *believed: int) -> cluster_pb2.LinkKeys:
    return cluster_pb2.LinkKeys(version=2, sending=sending, believed=[sending, *believed])


def test_each_step_waits_until_every_member_has_heard_of_the_one_before():
    old, new, used = says(1), says(1, 2), says(2, 1)
    for ring, said, begun, expected in (
        (FIRST, {"a": old, "b": None}, 0, (Do.ANNOUNCE, 1, ())),
        (ANNOUNCED, {"a": new, "b": old}, 0, (Do.WAIT, 2, ("b",))),
        (ANNOUNCED, {"a": new, "b": None}, 2, (Do.WAIT, 2, ("b",))),
        (ANNOUNCED, {"a": new, "b": new}, 2, (Do.USE, 2, ())),
        (USED, {"a": used, "b": new}, 2, (Do.WAIT, 2, ("b",))),
        (USED, {"a": used, "b": used}, 2, (Do.RETIRE, 2, ())),
        (RETIRED, {"a": used, "b": used}, 2, (Do.DONE, 2, ())),
        (RETIRED, {"a": says(2), "b": says(2)}, 0, (Do.ANNOUNCE, 2, ())),
    ):
        step = next_step(ring, said, begun)
        assert (step.do, step.epoch, step.waiting) == expected
    assert next_step(ANNOUNCED, {"a": new, "b": None}, 2, {"b"}).do is Do.USE


def test_what_status_says_of_keys():
    assert not epochs_text({"a": None})
    assert epochs_text({"a": says(2), "b": says(2), "c": None}) == "links sealed with keys of epoch 2"
    assert epochs_text({"a": says(2), "b": says(1)}) == "links sealed with keys of epochs 2 (a), 1 (b)"

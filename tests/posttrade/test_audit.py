"""The audit trail: standard vectors, the same bytes from the same stream, kills at every step, tampering found."""

import json
import shutil
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lockstep.posttrade.audit import manifest, merkle
from lockstep.posttrade.audit.manifest import manifest_name
from lockstep.posttrade.audit.process import trail_key
from lockstep.posttrade.audit.records import decimal_text, stamp_text
from lockstep.posttrade.audit.trail import AuditTrail, leaves_name
from lockstep.posttrade.audit.uuid7 import record_id, uuid7
from lockstep.posttrade.audit.verify import NoSuchRecord, check_proof, head_of, prove, verify
from lockstep.posttrade.chunks import Position
from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.process_log import open_log
from lockstep.stream.digest import GENESIS, next_digest
from tests.posttrade.flows import history
from tests.posttrade.kill_steps import Step, kill_at_every_step

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SEED, BURSTS, SIZE, COMMANDS = 6, 300, 30, 200
STEPS = ["segment", "records", "leaves", "instruments", "manifest", "rename", "sealed"]

# RFC 6962 has no vectors of its own; these leaves and roots are those of its reference implementation.
LEAVES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_rfc_6962(size):
    hashes = [merkle.leaf_hash(leaf) for leaf in LEAVES[:size]]
    assert merkle.root_of(hashes).hex() == ROOTS[size]


def test_the_published_inclusion_proof_of_the_first_of_eight():
    hashes = [merkle.leaf_hash(leaf) for leaf in LEAVES]
    proof = [one.hex()[:8] for one in merkle.proof_of(hashes, 0)]
    assert proof == ["96a296d2", "5f083f0a", "6b47aaf2"]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 13, 64, 100])
def test_every_proof_leads_to_the_root_and_no_other_does(size):
    hashes = [merkle.leaf_hash(bytes([place])) for place in range(size)]
    root = merkle.root_of(hashes)
    for place in range(size):
        proof = merkle.proof_of(hashes, place)
        assert merkle.root_by(hashes[place], place, size, proof) == root
        assert merkle.root_by(merkle.leaf_hash(b"other"), place, size, proof) != root
        if size > 1:
            assert merkle.root_by(hashes[place], place, size, proof[:-1]) != root
            assert merkle.root_by(hashes[place], (place + 1) % size, size, proof) != root
        assert merkle.root_by(hashes[place], place, size, [*proof, root]) is None
    assert merkle.root_by(hashes[0], size, size, []) is None


def test_the_uuid_of_rfc_9562():
    made = uuid7(1645557742000, 0xCC3, 0x18C4DC0C0C07398F)
    assert made == UUID("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")
    assert made.version == 7


def test_record_ids_are_derived_unique_and_in_the_order_of_time():
    stamp = 1_645_557_742_000_000_000
    made = record_id("E", stamp, 3, 17, 2)
    assert made == record_id("E", stamp, 3, 17, 2)
    assert made.version == 7
    assert int(made) >> 80 == stamp // 10**6
    others = {record_id(kind, stamp, e, s, i) for kind in "CE" for e in (3, 4) for s in (17, 18) for i in (1, 2)}
    assert len(others) == 16
    assert record_id("C", stamp + 10**6, 1, 1, 0) > made


@pytest.mark.parametrize(
    ("micros", "text"),
    [(0, "0"), (1, "0.000001"), (-1_500_000, "-1.5"), (100 * 10**6, "100"), (10**18, "1" + "0" * 12)],
)
def test_amounts_are_decimal_text(micros, text):
    assert decimal_text(micros) == text


def test_times_are_written_to_the_microsecond():
    assert stamp_text(1_700_000_000_123_456_789) == "2023-11-14T22:13:20.123456Z"


def build(directory: Path, sizes, *, step: Step | None = None, made=None) -> AuditTrail:
    trail = AuditTrail(directory, KEY, step, segment_commands=COMMANDS)
    for chunk in (made or history(SEED, BURSTS)).chunks(sizes):
        trail.apply(chunk)
    trail.close()
    return trail


def sealed(directory: Path) -> dict[str, bytes]:
    """All files that a manifest seals, and the manifests."""
    found: dict[str, bytes] = {}
    for path in sorted(directory.glob("manifest-*.json")):
        raw = path.read_bytes()
        name = manifest.read(raw)[0]["segment"]
        found |= {path.name: raw, name: (directory / name).read_bytes()}
        found[leaves_name(name)] = (directory / leaves_name(name)).read_bytes()
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    directory = tmp_path_factory.mktemp("audit") / "whole"
    build(directory, SIZE)
    return directory


@pytest.fixture
def copied(whole, tmp_path):
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def test_the_trail_is_the_same_however_the_stream_is_cut_and_whenever_it_was_restarted(whole, tmp_path):
    build(tmp_path / "ones", 1)
    assert sealed(tmp_path / "ones") == sealed(whole)
    position = Position()
    while True:
        trail = AuditTrail(tmp_path / "restarted", KEY, segment_commands=COMMANDS)
        fresh = [chunk for chunk in history(SEED, BURSTS).chunks(1) if chunk.first_seq > trail.position().seq]
        for chunk in fresh[:90]:
            trail.apply(chunk)
        trail.close()
        again = AuditTrail(tmp_path / "restarted", KEY, segment_commands=COMMANDS).position()
        if again == position:
            break
        position = again
    assert sealed(tmp_path / "restarted") == sealed(whole)
    assert len(list(whole.glob("manifest-*.json"))) >= 4


def test_a_trail_verifies_from_its_files_alone_and_names_the_engines_digest(whole):
    verdict = verify(whole)
    assert verdict.findings == ()
    assert verdict.records > 1_000
    assert verdict.first_seq == 1
    assert verify(whole, fingerprint=verdict.fingerprint.upper()).findings == ()
    last = sorted(whole.glob("manifest-*.json"))[-1]
    body, _ = manifest.read(last.read_bytes())
    made, digest = history(SEED, BURSTS), GENESIS
    for batch, events in zip(made.batches, made.events, strict=True):
        digest = next_digest(digest, batch.raw, events.tobytes())
        if batch.last_seq == body["last_seq"]:
            break
    assert body["engine_digest"] == digest.hex()


def test_each_command_and_each_event_has_one_record(whole):
    made = history(SEED, BURSTS)
    lines = [json.loads(line) for path in sorted(whole.glob("*.jsonl")) for line in path.read_bytes().splitlines()]
    last = verify(whole).last_seq
    events = sum(int((part["seq"] <= last).sum()) for part in made.events)
    sealed_lines = [line for line in lines if line["seq"] <= last]
    assert len([line for line in sealed_lines if line["what"] == "command"]) == last
    assert len([line for line in sealed_lines if line["what"] == "event"]) == events
    assert len({line["id"] for line in lines}) == len(lines)
    assert not any("name" in line for line in lines if line["kind"] in ("DEFINE_ACCOUNT", "ACCOUNT_DEFINED"))
    order = next(line for line in lines if line["kind"] == "NEW_ORDER" and line.get("order_type") == "LIMIT")
    assert {"account", "instrument", "symbol", "side", "quantity", "price", "tif", "processed", "epoch"} <= order.keys()
    refused = next(line for line in lines if line["kind"] == "REJECTED")
    assert refused["outcome"] == "refused"
    assert refused["code"]


def first_segment(directory: Path) -> Path:
    return sorted(directory.glob("segment-*.jsonl"))[1]


def plant(directory: Path, what: str) -> str:
    """Tamper with a segment; the record that has to be named."""
    path = first_segment(directory)
    lines = path.read_bytes().splitlines()
    record = json.loads(lines[40])
    if what == "changed":
        lines[40] = lines[40].replace(b'"seq":', b'"Seq":') if b"quantity" not in lines[40] else lines[40] + b" "
    elif what == "dropped":
        record = json.loads(lines[39])
        del lines[40]
    elif what == "added":
        extra = dict(record, id="017f22e2-79b0-7cc3-98c4-dc0c0c07398f")
        lines.insert(41, manifest.canonical(extra))
        record = extra
    else:
        lines[40], lines[50] = lines[50], lines[40]
        record = json.loads(lines[40])
    path.write_bytes(b"\n".join(lines) + b"\n")
    return record["id"]


@pytest.mark.parametrize("what", ["changed", "dropped", "added", "reordered"])
def test_planted_tampering_of_each_kind_is_found_and_named(copied, what):
    named = plant(copied, what)
    verdict = verify(copied)
    assert {finding.what for finding in verdict.findings} == {what}
    assert all(finding.place.startswith(first_segment(copied).name) for finding in verdict.findings)
    assert "record 4" in verdict.findings[0].place
    if what != "changed":
        assert named in verdict.findings[0].text


def test_tampering_with_the_hashes_too_is_found(copied):
    plant(copied, "changed")
    path = first_segment(copied)
    hashes = [merkle.leaf_hash(line) for line in path.read_bytes().splitlines()]
    (copied / leaves_name(path.name)).write_bytes(b"".join(hashes))
    whats = [(finding.place, finding.what) for finding in verify(copied).findings]
    assert whats == [(leaves_name(path.name), "changed"), (path.name, "changed")]


def test_a_manifest_that_was_made_anew_by_another_is_found(copied):
    paths = sorted(copied.glob("manifest-*.json"))
    body, own = manifest.read(paths[1].read_bytes())
    other = Ed25519PrivateKey.generate()
    paths[1].write_bytes(manifest.sign(body, other))
    found = {finding.what for finding in verify(copied, fingerprint=own).findings}
    assert found == {"key", "chain"}


@pytest.mark.parametrize("at", [0, 1])
def test_a_manifest_that_is_missing_or_changed_is_found(copied, at):
    paths = sorted(copied.glob("manifest-*.json"))
    paths[at].unlink()
    assert "dropped" in {finding.what for finding in verify(copied).findings}
    raw = paths[at + 1].read_bytes()
    paths[at + 1].write_bytes(raw.replace(b'"records":', b'"records":1', 1))
    assert "its signature is wrong" in {finding.text for finding in verify(copied).findings}


@pytest.mark.parametrize("name", ["manifest-1.json", "manifest-9999999999.json", "manifest-x.json", "manifest-+1.json"])
def test_a_file_that_looks_like_a_manifest_hides_nothing(copied, name):
    (newest,) = sorted(copied.glob("segment-*.jsonl"))[-1:]
    newest.write_bytes(newest.read_bytes().replace(b'"', b"'", 1))
    before = verify(copied)
    (copied / name).write_bytes(b"")
    after = verify(copied)
    assert after.manifests >= before.manifests
    assert {finding.place for finding in before.findings} < {finding.place for finding in after.findings}
    assert len(after.findings) <= len(before.findings) + 2
    with pytest.raises(EnvironmentFault):
        build(copied, ())


def test_a_trail_goes_on_with_its_own_key_alone(copied):
    with pytest.raises(EnvironmentFault, match="restore that key"):
        AuditTrail(copied, Ed25519PrivateKey.generate())


def test_a_missing_segment_and_one_that_no_manifest_names_are_said(copied):
    first_segment(copied).unlink()
    (copied / "segment-99999999999999999999.jsonl").write_bytes(b"{}\n")
    verdict = verify(copied)
    assert [finding.what for finding in verdict.findings] == ["dropped"]
    assert "segment-99999999999999999999.jsonl" in verdict.unsealed


def test_a_record_is_proven_without_the_trail(whole):
    lines = first_segment(whole).read_bytes().splitlines()
    for line in (lines[0], lines[17], lines[-1]):
        record = json.loads(line)
        proof = json.loads(json.dumps(prove(whole, record["id"])))
        assert check_proof(proof) == (record, verify(whole).fingerprint)
        wrong = dict(proof, record=proof["record"].replace('"epoch":', '"epoch":1'))
        with pytest.raises(manifest.ManifestFault, match="root"):
            check_proof(wrong)
        with pytest.raises(manifest.ManifestFault, match="signature"):
            check_proof(dict(proof, manifest=proof["manifest"].replace('"records":', '"records":1')))
    record = json.loads(lines[17])
    name = f"{record['seq']}.{record['index']}" if record["what"] == "event" else str(record["seq"])
    assert json.loads(prove(whole, name)["record"]) == record
    with pytest.raises(NoSuchRecord, match="no sealed segment"):
        prove(whole, "10000000")


def open_trail(place: str, step: Step) -> AuditTrail:
    return AuditTrail(Path(place), KEY, step, segment_commands=COMMANDS)


def test_killed_at_every_step_it_seals_what_was_never_killed_has_sealed(whole, tmp_path):
    directory = tmp_path / "killed"
    expected = sealed(whole)

    def look() -> None:
        found = sealed(directory)
        assert found.items() <= expected.items()
        assert verify(directory).findings == () or not found

    died = kill_at_every_step(
        "tests.posttrade.test_audit:open_trail", str(directory), seed=SEED, bursts=BURSTS, size=1, look=look,
        steps=len(STEPS),
    )  # fmt: skip
    assert set(STEPS) <= set(died)
    assert sealed(directory) == expected


# ---- the end of a trail, and its key -----------------------------------------------------------------------------


def cut_tail(directory: Path, keep: int) -> None:
    """As somebody does it who has the directory: the last segments go, with all that names them."""
    for path in sorted(directory.glob("manifest-*.json"))[keep:]:
        name = manifest.read(path.read_bytes())[0]["segment"]
        for gone in (path, directory / name, directory / leaves_name(name)):
            gone.unlink()


def test_a_tail_that_was_cut_off_is_seen_by_who_knows_how_far_the_trail_went(copied):
    whole = head_of(copied)
    manifests = len(list(copied.glob("manifest-*.json")))
    assert (whole.number, whole.last_seq) == (manifests, verify(copied).last_seq)
    assert verify(copied).head == whole.hash
    assert verify(copied, head=whole.hash.upper(), last_seq=whole.last_seq).findings == ()
    cut_tail(copied, manifests - 2)
    assert verify(copied).findings == (), "nothing in the files shows it"
    found = verify(copied, head=whole.hash).findings
    assert [one.what for one in found] == ["cut"]
    assert f"no manifest has the hash {whole.hash}" in found[0].text
    shorter = head_of(copied)
    found = verify(copied, last_seq=shorter.last_seq + 1).findings
    assert [one.what for one in found] == ["cut"]
    assert f"ends at seq {shorter.last_seq}" in found[0].text
    # What was known at an earlier time stands in the middle of a longer trail.
    assert verify(copied, head=shorter.hash, last_seq=shorter.last_seq).findings == ()


def test_an_end_that_was_sealed_anew_is_another_end(copied):
    whole = head_of(copied)
    path = sorted(copied.glob("manifest-*.json"))[-1]
    body, _ = manifest.read(path.read_bytes())
    path.write_bytes(manifest.sign(body | {"software": "0.0"}, KEY))
    assert verify(copied).findings == ()
    assert [one.what for one in verify(copied, head=whole.hash).findings] == ["cut"]


def test_there_is_no_end_where_there_is_no_manifest(tmp_path):
    with pytest.raises(manifest.ManifestFault, match="no manifest"):
        head_of(tmp_path)


def test_a_key_lies_beside_the_trail_and_is_made_for_an_empty_one_alone(tmp_path):
    directory = tmp_path / "trail"
    directory.mkdir()
    log = open_log("audit")
    key = trail_key(directory, None, log)
    path = manifest.default_key(directory)
    assert path == tmp_path / "trail.key.pem"
    assert path.stat().st_mode & 0o777 == 0o600
    assert not list(directory.iterdir())
    assert trail_key(directory, None, log).private_bytes_raw() == key.private_bytes_raw()
    trail = AuditTrail(directory, key, segment_commands=COMMANDS)
    for chunk in history(SEED, 60).chunks(SIZE):
        trail.apply(chunk)
    trail.close()
    path.unlink()
    with pytest.raises(EnvironmentFault, match=r"trail\.key\.pem is missing, and there is a trail that it signed"):
        trail_key(directory, None, log)
    assert not path.exists(), "no other one was made in its place"


def test_a_key_inside_the_trail_is_used_with_a_warning_and_none_is_made_there(tmp_path, capsys):
    directory = tmp_path / "trail"
    directory.mkdir()
    log = open_log("audit")
    with pytest.raises(EnvironmentFault, match="would lie in the trail that it signs"):
        trail_key(directory, directory / "mine.pem", log)
    old = manifest.signing_key(manifest.old_key(directory))
    (directory / manifest_name(1)).write_bytes(b"{}")
    assert trail_key(directory, None, log).private_bytes_raw() == old.private_bytes_raw()
    said = capsys.readouterr().err
    assert "key_in_trail" in said
    assert str(manifest.default_key(directory)) in said
    # Moved, as the warning has it, it is the same key, and nothing is said.
    manifest.old_key(directory).rename(manifest.default_key(directory))
    assert trail_key(directory, None, log).private_bytes_raw() == old.private_bytes_raw()
    assert "key_in_trail" not in capsys.readouterr().err

"""The files of an audit trail: instruments, other bytes of a manifest, what is nested too deep, a full disk."""

import json
import os
import re

import pytest

from lockstep.posttrade.audit import manifest
from lockstep.posttrade.audit.manifest import manifest_name
from lockstep.posttrade.audit.sealed import sealed_records
from lockstep.posttrade.audit.trail import AuditTrail
from lockstep.posttrade.audit.verify import check_proof, head_of, prove, verify
from lockstep.runtime.faults import EnvironmentFault
from tests.posttrade.flows import history
from tests.posttrade.test_audit import BURSTS, COMMANDS, KEY, SEED, SIZE, build, copied, first_segment, whole

__all__ = ["copied", "whole"]


def fill(trail: AuditTrail) -> None:
    for chunk in history(SEED, 100).chunks(SIZE):
        trail.apply(chunk)


def test_instruments_that_were_changed_are_found_and_nothing_is_sealed_with_them(copied):
    path = copied / "instruments.json"
    raw = path.read_bytes()
    number, row = next(iter(json.loads(raw).items()))
    ahead = json.loads(raw) | {"4711": [1, 1, "LATER", verify(copied).last_seq + 1]}
    path.write_bytes(manifest.canonical(ahead))
    assert verify(copied).findings == ()
    AuditTrail(copied, KEY, segment_commands=COMMANDS).close()
    path.write_bytes(manifest.canonical(json.loads(raw) | {number: [row[0] * 10, row[1], "FALSE", row[3]]}))
    assert [(one.place, one.what) for one in verify(copied).findings] == [(path.name, "changed")]
    with pytest.raises(EnvironmentFault, match="not the one that manifest-"):
        AuditTrail(copied, KEY)
    path.write_bytes(b"[" * 100_000)
    assert [(one.place, one.what) for one in verify(copied).findings] == [(path.name, "changed")]
    with pytest.raises(EnvironmentFault, match="can't be read"):
        AuditTrail(copied, KEY)
    # Without it, the sealed records say the same.
    path.unlink()
    assert [(one.place, one.what) for one in verify(copied).findings] == [(path.name, "dropped")]
    AuditTrail(copied, KEY, segment_commands=COMMANDS).close()
    assert verify(copied).findings == ()


def test_a_trail_whose_manifests_name_no_instruments_goes_on_with_those_of_its_records(whole, copied):
    previous = manifest.NOTHING
    for at in sorted(copied.glob("manifest-*.json")):
        body, _ = manifest.read(at.read_bytes())
        del body["instruments"]
        at.write_bytes(manifest.sign(body | {"previous": previous}, KEY))
        previous = manifest.hash_of(at.read_bytes())
    (copied / "instruments.json").write_bytes(b'{"7":[1,1,"FALSE",1]}')
    made = history(SEED, BURSTS + 120)
    trail = AuditTrail(copied, KEY, segment_commands=COMMANDS)
    for chunk in made.chunks(1):
        if chunk.first_seq > trail.position().seq:
            trail.apply(chunk)
    trail.close()
    build(copied.parent / "whole", 1, made=made)
    segments = sorted(path.name for path in copied.glob("segment-*"))
    assert len(segments) > len(list(whole.glob("segment-*")))
    assert all((copied / name).read_bytes() == (copied.parent / "whole" / name).read_bytes() for name in segments)
    assert verify(copied).findings == ()


def again(raw: bytes, what: str) -> bytes:
    """Other bytes that say the same, under the same signature."""
    content = json.loads(raw)
    match what:
        case "newline":
            return raw + b"\n"
        case "twice":
            return raw.replace(b'{"body":', b'{"body":{},"body":', 1)
        case "more":
            return manifest.canonical(content | {"zzz": 1})
        case "blank":
            return json.dumps(content, sort_keys=True).encode()
    # Bits of the last digit that base64 does not use.
    return raw.replace(content["signature"].encode(), content["signature"].replace("A==", "B==").encode())


@pytest.mark.parametrize("what", ["newline", "twice", "more", "blank", "base64"])
def test_a_newest_manifest_of_other_bytes_is_found(copied, what):
    path = sorted(copied.glob("manifest-*.json"))[-1]
    body, _ = manifest.read(path.read_bytes())
    while what == "base64" and b'A=="' not in path.read_bytes():
        body["software"] += "."
        path.write_bytes(manifest.sign(body, KEY))
    changed = again(path.read_bytes(), what)
    assert changed != path.read_bytes()
    path.write_bytes(changed)
    assert (path.name, "manifest") in {(one.place, one.what) for one in verify(copied).findings}
    with pytest.raises(manifest.ManifestFault, match="not the ones that were sealed"):
        head_of(copied)


@pytest.mark.parametrize(
    "name", ["number", "previous", "segment", "sha256", "root", "records", "first_seq", "last_seq"]
)
@pytest.mark.parametrize("value", [None, [], {}, "../x", 1.5])
def test_a_manifest_that_a_key_has_signed_and_that_is_none_is_a_finding_and_no_traceback(copied, name, value):
    path = sorted(copied.glob("manifest-*.json"))[-1]
    body, _ = manifest.read(path.read_bytes())
    if value is None:
        del body[name]
    else:
        body[name] = value
    path.write_bytes(manifest.sign(body, KEY))
    assert verify(copied).findings
    with pytest.raises(manifest.ManifestFault):
        list(sealed_records(copied))
    if value in (None, [], {}):
        assert (path.name, "manifest") in {(one.place, one.what) for one in verify(copied).findings}
        with pytest.raises(manifest.ManifestFault, match=f"has no {name}"):
            head_of(copied)


def test_what_is_nested_too_deep_is_a_finding_and_no_proof(copied):
    deep = "[" * 100_000
    path = sorted(copied.glob("manifest-*.json"))[-1]
    path.write_text(deep)
    segment = first_segment(copied)
    lines = segment.read_bytes().splitlines()
    segment.write_bytes(b"\n".join([*lines[:3], deep.encode(), *lines[4:]]) + b"\n")
    places = {one.place for one in verify(copied).findings}
    assert {path.name, f"{segment.name} record 4"} <= places
    proof = prove(copied, "1")
    for name in ("record", "manifest"):
        with pytest.raises(manifest.ManifestFault):
            check_proof({**proof, name: deep})


def test_the_key_that_was_found_is_named_beside_the_one_that_was_wanted(copied):
    own, wanted = verify(copied).fingerprint, "0" * 64
    verdict = verify(copied, fingerprint=wanted)
    assert verdict.fingerprint == own
    assert {one.text for one in verdict.findings} == {f"signed by {own}, not by {wanted}"}
    assert {one.what for one in verify(copied, fingerprint="", head="").findings} == {"key", "cut"}


@pytest.mark.parametrize("name", ["segment-00000000000000000001.jsonl", "instruments.json.part", "manifest-"])
def test_a_full_disk_is_said_with_the_file_and_the_remedy(tmp_path, name):
    name = f"{manifest_name(1)}.part" if name == "manifest-" else name
    trail = AuditTrail(tmp_path, KEY, segment_commands=COMMANDS)
    (tmp_path / name).symlink_to("/dev/full")
    text = f"cannot write the audit trail's {tmp_path / name}: No space left on device; the disk is full: free room"
    with pytest.raises(EnvironmentFault, match=re.escape(text)):
        fill(trail)
    trail.close()
    assert not list(tmp_path.glob("manifest-*.json"))
    # With room it goes on.
    (tmp_path / name).unlink()
    build(tmp_path, SIZE)
    assert verify(tmp_path).findings == ()


@pytest.mark.parametrize("pattern", ["manifest-*2.json", "segment-*.jsonl", "instruments.json"])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_file_is_named_and_not_waited_for(copied, pattern, kind):
    path = sorted(copied.glob(pattern))[0]
    path.unlink()
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case _:
            path.mkdir()
    found = {(one.place, one.text.rpartition(": ")[2]) for one in verify(copied).findings}
    assert any(place == path.name and "it is no regular file" in text for place, text in found), found
    if path.name == "instruments.json":
        with pytest.raises(EnvironmentFault):
            AuditTrail(copied, KEY)
    else:
        with pytest.raises(manifest.ManifestFault):
            list(sealed_records(copied))


def test_a_newest_manifest_that_is_a_pipe_is_no_end_of_a_trail(copied):
    path = max(copied.glob("manifest-*.json"))
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(manifest.ManifestFault, match="no regular file"):
        head_of(copied)
    with pytest.raises(EnvironmentFault, match="no regular file"):
        AuditTrail(copied, KEY)


@pytest.mark.parametrize("raw", ["x", "[]", "7", "{}", "[" * 100_000])
def test_an_opening_that_can_not_be_read_is_said(tmp_path, raw):
    (tmp_path / "opening.json").write_text(raw)
    with pytest.raises(EnvironmentFault, match=r"opening\.json can't be read"):
        AuditTrail(tmp_path, KEY)

"""Checking an audit trail from its files alone, and proving that a record is in it.

Nothing of the cluster is needed, and no journal. What is found is named: which manifest, which segment, which record.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lockstep.posttrade.audit import manifest, merkle
from lockstep.posttrade.audit.known import INSTRUMENTS, known_from, known_hash
from lockstep.posttrade.audit.manifest import bytes_of, manifest_name, manifest_number
from lockstep.posttrade.audit.sealed import record_of
from lockstep.posttrade.audit.trail import OPENING, leaves_name

_HASH: Final = 32
_MOST_FINDINGS: Final = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was sealed."""

    place: str
    """Manifest or segment, and where in it."""
    what: str
    """`changed`, `dropped`, `added`, `reordered`, `cut`, or what is wrong with a manifest."""
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check of a trail came to."""

    manifests: int
    records: int
    first_seq: int
    last_seq: int
    fingerprint: str
    """Of the key that the first manifest is signed with."""
    findings: tuple[Finding, ...]
    unsealed: tuple[str, ...]
    """Segments without a manifest: not finished, and no part of what is proven."""
    head: str
    """Hash of the newest manifest: whoever keeps it elsewhere sees later whether the tail was cut off."""
    begins_behind: int
    """0: it begins with the first command. Else the seq of the snapshot that it begins with: what was before is not in
    this trail."""


class NoSuchRecord(LookupError):
    """No sealed segment has it."""


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a trail, as it is to be kept elsewhere."""

    number: int
    hash: str
    last_seq: int
    fingerprint: str


def head_of(directory: Path) -> Head:
    """From the newest manifest.

    Raises:
        ManifestFault: there is none, or it can't be believed.
    """
    numbers = [number for path in directory.glob("manifest-*.json") if (number := manifest_number(path.name))]
    if not numbers:
        raise manifest.ManifestFault(f"there is no manifest in {directory}")
    name = manifest_name(max(numbers))
    try:
        raw = bytes_of(directory / name)
    except OSError as error:
        raise manifest.ManifestFault(f"{name} can't be read: {error.strerror}") from error
    body, fingerprint = manifest.read_sealed(raw)
    return Head(int(body["number"]), manifest.hash_of(raw), int(body["last_seq"]), fingerprint)


def verify(directory: Path, *, fingerprint: str | None = None, head: str | None = None, last_seq: int = 0) -> Verdict:
    """Check signatures, the chain of manifests, and every record of every segment.

    A chain proves nothing about what was cut off at its end: that can only be seen by somebody who knows how far it
    went once.

    `fingerprint`: of the key that must have signed, known from elsewhere; None: that of the first manifest.
    `head`: hash of a manifest that has to be there (`head_of`), known from elsewhere. `last_seq`: it has to reach
    there.
    """
    found = _Check(directory, None if fingerprint is None else fingerprint.lower())
    found.run()
    found.reaches(None if head is None else head.lower(), last_seq)
    return Verdict(
        found.manifests, found.records, found.first_seq, found.last_seq, found.fingerprint,
        tuple(found.findings[:_MOST_FINDINGS]), found.unsealed(), found.head, found.begins_behind,
    )  # fmt: skip


class _Check:
    def __init__(self, directory: Path, wanted: str | None) -> None:
        self.directory = directory
        self.wanted = wanted
        self.fingerprint = ""
        self.manifests = self.records = self.first_seq = self.last_seq = 0
        self.findings: list[Finding] = []
        self.head = ""
        self.begins_behind = 0
        self._hashes: set[str] = set()
        self._previous = manifest.NOTHING
        self._opening: dict[str, Any] | None = None
        self._newest: dict[str, Any] = {}
        self._sealed: set[str] = set()

    def find(self, place: str, what: str, text: str) -> None:
        self.findings.append(Finding(place, what, text))

    def run(self) -> None:
        numbers = []
        for path in self.directory.glob("manifest-*.json"):
            number = manifest_number(path.name)
            if number is None:
                self.find(path.name, "manifest", "no manifest has this name")
            else:
                numbers.append(number)
        if not numbers:
            self.find(str(self.directory), "empty", "there is no manifest here")
        wanted = 1
        for number in sorted(numbers):
            if number > wanted:
                missing = f"manifest {wanted} is" if number == wanted + 1 else f"manifests {wanted} to {number - 1} are"
                self.find(manifest_name(wanted), "dropped", f"{missing} missing")
                self._previous = ""
            self._manifest(number, manifest_name(number))
            wanted = number + 1
        self._known()

    def reaches(self, head: str | None, last_seq: int) -> None:
        """Whether it goes as far as somebody has known it to go."""
        if head is not None and head not in self._hashes:
            text = f"no manifest has the hash {head}: what followed was cut off or replaced, or it is of another trail"
            self.find(str(self.directory), "cut", text)
        if self.last_seq < last_seq:
            text = f"it ends at seq {self.last_seq}, and has to reach seq {last_seq}: its tail was cut off"
            self.find(str(self.directory), "cut", text)

    def unsealed(self) -> tuple[str, ...]:
        there = {path.name for path in self.directory.glob("segment-*.jsonl")}
        return tuple(sorted(there - self._sealed))

    def _manifest(self, number: int, name: str) -> None:
        try:
            raw = bytes_of(self.directory / name)
        except OSError as error:
            self.find(name, "manifest", f"can't be read: {error.strerror}")
            self._previous = ""
            return
        try:
            body, fingerprint = manifest.read_sealed(raw)
        except manifest.ManifestFault as fault:
            self.find(name, "manifest", str(fault))
            self._previous = manifest.hash_of(raw)
            return
        self.fingerprint = self.fingerprint or fingerprint
        wanted = self.fingerprint if self.wanted is None else self.wanted
        if fingerprint != wanted:
            self.find(name, "key", f"signed by {fingerprint}, not by {wanted}")
        if body["number"] != number:
            self.find(name, "reordered", f"it is manifest {body['number']}")
        if self._previous and body["previous"] != self._previous:
            self.find(name, "chain", "the manifest before it is not the one that it names")
        if self.last_seq and body["first_seq"] != self.last_seq + 1:
            self.find(name, "chain", f"begins at seq {body['first_seq']}, the one before ended at {self.last_seq}")
        self._begins(number, name, body)
        self._previous = self.head = manifest.hash_of(raw)
        self._hashes.add(self.head)
        self.first_seq = self.first_seq or int(body["first_seq"])
        self.last_seq = int(body["last_seq"])
        self.manifests += 1
        self._newest = body
        self._segment(body)

    def _begins(self, number: int, name: str, body: dict[str, Any]) -> None:
        """Where the trail begins, and that every manifest says the same of it."""
        opening = body.get("opening")
        if number > 1:
            if self.manifests and opening != self._opening:
                self.find(name, "chain", "it says that the trail begins elsewhere than the manifests before it")
            return
        self._opening = opening
        self.begins_behind = int(opening["seq"]) if opening else 0
        if body["first_seq"] != self.begins_behind + 1:
            text = f"the trail begins at seq {body['first_seq']}, and nothing says what lies before it"
            self.find(name, "chain", text)
        if opening is None:
            return
        try:
            raw = bytes_of(self.directory / OPENING)
        except OSError as error:
            self.find(OPENING, "dropped", f"can't be read: {error.strerror}")
            return
        if hashlib.sha256(raw).hexdigest() != opening["sha256"]:
            self.find(OPENING, "changed", f"it is not the one that {name} names")

    def _known(self) -> None:
        """What the trail is continued with. A manifest of before names none: then it is made of the records."""
        wanted = self._newest.get("instruments")
        if wanted is None:
            return
        try:
            found = known_hash(known_from(bytes_of(self.directory / INSTRUMENTS), self.last_seq))
        except OSError as error:
            self.find(INSTRUMENTS, "dropped", f"can't be read: {error.strerror}")
        except ValueError as error:
            self.find(INSTRUMENTS, "changed", str(error))
        else:
            if found != wanted:
                self.find(INSTRUMENTS, "changed", "it is not the one that the newest manifest names")

    def _segment(self, body: dict[str, Any]) -> None:
        name = str(body["segment"])
        self._sealed.add(name)
        try:
            content = bytes_of(self.directory / name)
        except OSError as error:
            self.find(name, "dropped", f"the segment can't be read: {error.strerror}")
            return
        lines = content.split(b"\n")[:-1] if content.endswith(b"\n") else content.split(b"\n")
        self.records += len(lines)
        hashes = [merkle.leaf_hash(line) for line in lines]
        if merkle.root_of(hashes).hex() == body["root"] and hashlib.sha256(content).hexdigest() == body["sha256"]:
            return
        sealed = self._leaves(name, body)
        if sealed is None:
            self.find(name, "changed", "its records are not those that were sealed")
            return
        before = len(self.findings)
        for what, place, text in differences(sealed, hashes, lines):
            self.find(f"{name} record {place}", what, text)
        if len(self.findings) == before:
            self.find(name, "changed", "the file has other bytes around its records")

    def _leaves(self, name: str, body: dict[str, Any]) -> list[bytes] | None:
        """The hashes that were sealed, if they can still be believed: the root says so."""
        try:
            raw = bytes_of(self.directory / leaves_name(name))
        except OSError as error:
            self.find(leaves_name(name), "dropped", f"can't be read: {error.strerror}")
            return None
        leaves = [raw[at : at + _HASH] for at in range(0, len(raw), _HASH)]
        if merkle.root_of(leaves).hex() == body["root"]:
            return leaves
        self.find(leaves_name(name), "changed", "these are not the hashes that were sealed")
        return None


def name_of(line: bytes) -> str:
    """How a record is named: what it says of itself."""
    try:
        record = json.loads(line)
        return f"{record['what']} {record['seq']}.{record['index']} ({record['kind']}, id {record['id']})"
    except (ValueError, KeyError, TypeError, RecursionError):
        return "a record that can't be read"


def differences(sealed: list[bytes], found: list[bytes], lines: list[bytes]) -> Iterator[tuple[str, int, str]]:
    """(what, number of the record from 1, text) of each place where records are not as sealed."""
    missing, extra = Counter(sealed) - Counter(found), Counter(found) - Counter(sealed)
    if not missing and not extra:
        for place, (was, now) in enumerate(zip(sealed, found, strict=True), 1):
            if was != now:
                yield "reordered", place, f"{name_of(lines[place - 1])} stood at {sealed.index(now) + 1}"
        return
    one = other = 0
    while one < len(sealed) or other < len(found):
        gone = one < len(sealed) and missing[sealed[one]] > 0
        new = other < len(found) and extra[found[other]] > 0
        if gone and new:
            yield "changed", other + 1, f"{name_of(lines[other])} is not what was sealed there"
        elif gone:
            behind = name_of(lines[other - 1]) if other else "the beginning"
            yield "dropped", one + 1, f"a record is missing behind {behind}"
        elif new:
            yield "added", other + 1, f"{name_of(lines[other])} was never sealed"
        if gone:
            missing[sealed[one]] -= 1
        if new:
            extra[found[other]] -= 1
        one += gone or not new
        other += new or not gone


# ---- inclusion proofs --------------------------------------------------------------------------------------------


def prove(directory: Path, wanted: str) -> dict[str, Any]:
    """An inclusion proof of a record, which `check_proof` checks without the trail.

    `wanted`: the record's id, or `seq.index` of an event, or `seq` of a command.

    Raises:
        NoSuchRecord: no sealed segment has it.
    """
    for path in sorted(directory.glob("manifest-*.json")):
        raw = _believed(path)
        body, _ = manifest.read_sealed(raw)
        seq = wanted.split(".")[0]
        if seq.isdecimal() and not body["first_seq"] <= int(seq) <= body["last_seq"]:
            continue
        lines = _believed(directory / body["segment"]).split(b"\n")[:-1]
        for place, line in enumerate(lines):
            if seq.encode() in line and _is(record_of(line), wanted):
                leaves = [merkle.leaf_hash(one) for one in lines]
                return {
                    "record": line.decode(),
                    "place": place,
                    "size": len(lines),
                    "proof": [one.hex() for one in merkle.proof_of(leaves, place)],
                    "manifest": raw.decode(),
                }
    raise NoSuchRecord(f"no sealed segment in {directory} has the record {wanted}")


def _believed(path: Path) -> bytes:
    try:
        return bytes_of(path)
    except OSError as error:
        raise manifest.ManifestFault(f"{path.name} can't be read: {error.strerror}") from error


def _is(record: dict[str, Any], wanted: str) -> bool:
    if record.get("id") == wanted:
        return True
    seq, _, index = wanted.partition(".")
    what = "event" if index else "command"
    return (str(record.get("seq")), record.get("what"), str(record.get("index"))) == (seq, what, index or "0")


def check_proof(proof: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """(the record, fingerprint of the key that sealed it).

    Raises:
        ManifestFault: the manifest is none, or the proof does not lead to its root.
    """
    try:
        body, fingerprint = manifest.read_sealed(str(proof["manifest"]).encode())
        record: dict[str, Any] = json.loads(proof["record"])
        leaf = merkle.leaf_hash(str(proof["record"]).encode())
        hashes = [bytes.fromhex(one) for one in proof["proof"]]
        root = merkle.root_by(leaf, int(proof["place"]), int(proof["size"]), hashes)
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise manifest.ManifestFault(f"it is no proof: {error}") from error
    if root is None or root.hex() != body["root"] or proof["size"] != body["records"]:
        raise manifest.ManifestFault("it does not lead to the root that the manifest names")
    return record, fingerprint

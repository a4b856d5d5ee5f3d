"""The audit trail as a follower's sink: files in a directory, sealed segment by segment.

`segment-<first seq>.jsonl` holds records, one a line; `segment-<first seq>.leaves` the hash of each, so that a record
that was changed can be named; `manifest-<number>.json` seals both. The manifest is the transaction: it names the
position behind the segment, and it comes into its place by one rename when everything that it names is on the disk.
What is there without a manifest was not finished, and is written again.

Where the engines' journals begin behind a snapshot, so does the trail: `opening.json` has the state's place, the
engines' digest there and the instruments that records need, and every manifest names its hash. What lies before is not
in such a trail, and it says so.

A segment ends with the batch that brings it to `segment_commands` commands, or before the first batch that is stamped
in another hour: so segments follow from the stream alone.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lockstep.posttrade.audit import manifest, merkle
from lockstep.posttrade.audit.known import INSTRUMENTS, known_bytes, known_from, known_hash, learn_sealed
from lockstep.posttrade.audit.manifest import ManifestFault, manifest_name, manifest_number
from lockstep.posttrade.audit.pseudonyms import Pseudonyms
from lockstep.posttrade.audit.records import PLAIN, Instruments, encode, records_of
from lockstep.posttrade.audit.sealed import sealed_records
from lockstep.posttrade.chunks import Chunk, EpochBegin, Position
from lockstep.posttrade.follower import SinkAway
from lockstep.posttrade.opening import Opening
from lockstep.runtime.faults import EnvironmentFault, disk_text
from lockstep.stream.batch import Batch
from lockstep.stream.digest import GENESIS, Digest, next_digest
from lockstep.stream.records import Events

SEGMENT_COMMANDS: Final = 50_000
_HOUR_NS: Final = 3_600 * 10**9
_OPENING_VERSION: Final = 1
OPENING: Final = "opening.json"
BEGUN: Final = "opening-signed.json"
"""What `OPENING` holds, signed: for as long as no manifest names it."""


def segment_name(first_seq: int) -> str:
    """Of the segment that begins there."""
    return f"segment-{first_seq:020d}.jsonl"


def leaves_name(segment: str) -> str:
    """The file of a segment's leaf hashes."""
    return segment.removesuffix(".jsonl") + ".leaves"


def newest_body(directory: Path) -> dict[str, Any] | None:
    """What the newest manifest says; None: there is none, or it can't be believed."""
    numbers = [number for path in directory.glob("manifest-*.json") if (number := manifest_number(path.name))]
    try:
        return manifest.read_sealed((directory / manifest_name(max(numbers))).read_bytes())[0] if numbers else None
    except (OSError, ManifestFault):
        return None


def has_trail(directory: Path) -> bool:
    """Whether anything of a trail is there."""
    return any(path for pattern in ("manifest-*", "segment-*", OPENING) for path in directory.glob(pattern))


class AuditTrail:
    """See `posttrade.follower.Sink`. What is not sealed yet is read again after a restart.

    `names`: where pseudonyms come from; None: records have numbers of accounts and clients, as those of version 1.

    Raises:
        EnvironmentFault: the directory can't be used, or holds no trail that can be continued.
    """

    def __init__(
        self,
        directory: Path,
        key: Ed25519PrivateKey,
        step: Callable[[str], None] | None = None,
        *,
        segment_commands: int = SEGMENT_COMMANDS,
        names: Pseudonyms | None = None,
    ) -> None:
        self.directory = directory
        self._key = key
        self._names = names
        self._registered = False
        self._version = PLAIN if names is None else names.version
        self._step = step or (lambda _what: None)
        self._segment_commands = segment_commands
        self._number = 0
        self._previous = manifest.NOTHING
        self._digest: Digest = GENESIS
        self._position = Position()
        self._epochs: list[EpochBegin] = []
        self._instruments = Instruments()
        self._opening: dict[str, Any] | None = None
        """What manifests say of the snapshot that it begins behind."""
        self.rows = 0
        """Records written by this process."""
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._continue()
        except OSError as error:
            raise EnvironmentFault(disk_text("use", f"the audit trail {directory}", error)) from error
        self._file: IO[bytes] | None = None
        self._leaves: list[bytes] = []
        self._counts = {"commands": 0, "events": 0}
        self._first: Batch | None = None

    def _continue(self) -> None:
        self._open()
        found = [(manifest_number(path.name), path) for path in self.directory.glob("manifest-*.json")]
        if not found:
            if self._opening is not None:
                self._check_begun()
            return
        for number, path in found:
            if number is None:
                raise EnvironmentFault(f"{path}: no manifest has this name; move it out of the trail")
        number, newest = max(found, key=lambda one: one[0] or 0)
        raw = manifest.bytes_of(newest)
        try:
            body, fingerprint = manifest.read_sealed(raw)
            if body["number"] != number:
                raise manifest.ManifestFault(f"it is manifest {body['number']} under another name")
        except manifest.ManifestFault as fault:
            text = f"{newest}: {fault}; `lockstep audit verify {self.directory}` says what else is wrong"
            raise EnvironmentFault(text) from fault
        own = manifest.fingerprint_of(self._key.public_key().public_bytes_raw())
        if fingerprint != own:
            text = f"{self.directory} is signed with the key {fingerprint}, and this one is {own}"
            raise EnvironmentFault(f"{text}: restore that key (--key-file), or begin a new directory")
        if body["records_version"] != self._version:
            text = f"{self.directory} has records of version {body['records_version']}, not {self._version}"
            raise EnvironmentFault(f"{text}: begin a new directory")
        if self._names is not None and body["key_store"] != self._names.store.store_id:
            text = f"{self.directory} has pseudonyms of the key store {body['key_store']}"
            raise EnvironmentFault(f"{text}, and this one is {self._names.store.store_id}: name that one (--keys)")
        if body.get("opening") != self._opening:
            text = f"{self.directory / OPENING} is not the one that {newest.name} names"
            raise EnvironmentFault(f"{text}; restore it: nothing can be continued without")
        self._number, self._previous = int(body["number"]), manifest.hash_of(raw)
        self._digest = Digest(bytes.fromhex(body["engine_digest"]))
        self._position = Position(body["last_seq"], body["last_epoch"], body["last_ns"])
        self._epochs = [EpochBegin(*one) for one in body["epochs"]]
        self._know(newest.name, body.get("instruments"))

    def _check_begun(self) -> None:
        """That this trail's key has put its beginning down: no manifest names it yet, and anybody can make a file."""
        path = self.directory / BEGUN
        try:
            body, fingerprint = manifest.read(manifest.bytes_of(path))
        except (OSError, manifest.ManifestFault) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise EnvironmentFault(
                f"{self.directory / OPENING} says where this trail begins, and no manifest names it, nor does {path}: "
                f"{why}; move it away, and begin again (--from-snapshot)"
            ) from error
        own = manifest.fingerprint_of(self._key.public_key().public_bytes_raw())
        if fingerprint != own or body.get("begins") != self._opening:
            raise EnvironmentFault(
                f"{self.directory / OPENING} is not where a trail with this key ({own}) was begun; move it away, and "
                "begin again (--from-snapshot)"
            )

    def _know(self, newest: str, wanted: str | None) -> None:
        """Take what records need of instruments: what the newest manifest names, or what sealed records say."""
        path = self.directory / INSTRUMENTS
        anew = wanted is None or not path.exists()
        if anew:
            try:
                learn_sealed(self._instruments, sealed_records(self.directory))
            except ManifestFault as fault:
                raise EnvironmentFault(f"{path} can't be made anew: {fault}; restore it") from fault
        else:
            try:
                self._instruments = known_from(manifest.bytes_of(path), self._position.seq)
            except ValueError as error:
                raise EnvironmentFault(f"{path}: {error}; move it away: it is made anew from the records") from error
        if wanted is not None and known_hash(self._instruments) != wanted:
            text = f"{path} is not the one that {newest} names"
            raise EnvironmentFault(f"{text}; keep it for a look, move it away: it is made anew from the records")
        if anew:
            self._put(INSTRUMENTS, known_bytes(self._instruments))

    def _open(self) -> None:
        """Stand where `opening.json` says, if there is one."""
        try:
            raw = manifest.bytes_of(self.directory / OPENING)
        except FileNotFoundError:
            return
        try:
            said = json.loads(raw)
            self._opening = opening_entry(raw)
            self._position = Position(said["seq"], said["epoch"], said["timestamp_ns"])
            self._digest = Digest(bytes.fromhex(said["engine_digest"]))
            self._epochs = [EpochBegin(*one) for one in said["epochs"]]
            self._instruments.known = {int(number): tuple(row) for number, row in said["instruments"].items()}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise EnvironmentFault(f"{self.directory / OPENING} can't be read: {error}; restore it") from error
        self._instruments.defined = dict.fromkeys(self._instruments.known, self._position.seq)

    def begin(self, opening: Opening) -> Position:
        """See `Sink`. It is on the disk when this returns: the trail begins there, whenever it is started again."""
        assert self._position == Position(), f"this trail has begun: it is at seq {self._position.seq}"
        instruments = {
            str(row.instrument): [row.tick_micros, row.lot_units, row.symbol.decode("ascii")]
            for row in opening.image.instruments
        }
        said = {
            "version": _OPENING_VERSION,
            "seq": opening.position.seq,
            "epoch": opening.position.epoch,
            "timestamp_ns": opening.position.timestamp_ns,
            "engine_digest": opening.digest.hex(),
            "state_sum": opening.state_sum,
            "epochs": [[one.epoch, one.first_seq] for one in opening.epochs],
            "instruments": instruments,
        }
        raw = manifest.canonical(said)
        # First: an opening without it is nobody's.
        self._put(BEGUN, manifest.sign({"version": manifest.VERSION, "begins": opening_entry(raw)}, self._key))
        self._put(OPENING, raw)
        self._open()
        return self._position

    def position(self) -> Position:
        """See `Sink`."""
        return self._position

    def epochs(self) -> list[EpochBegin]:
        """See `Sink`."""
        return list(self._epochs)

    def apply(self, chunk: Chunk) -> Position:
        """See `Sink`."""
        if self._names is not None:
            if not self._registered:
                self._names.go_on(self._position.seq, from_beginning=self._position == Position())
                self._registered = True
            self._names.announce(chunk.through_seq)
        seqs = chunk.events["seq"]
        for batch in chunk.batches:
            if batch.last_seq <= self._position.seq:
                # The key store was away behind it, and the chunk comes again.
                continue
            if self._first is not None and batch.timestamp_ns // _HOUR_NS != self._first.timestamp_ns // _HOUR_NS:
                self._seal()
            begin, end = (int(np.searchsorted(seqs, at)) for at in (batch.first_seq, batch.last_seq + 1))
            self._add(batch, chunk.events[begin:end])
            if self._counts["commands"] >= self._segment_commands:
                self._seal()
        return self._position

    def _add(self, batch: Batch, events: Events) -> None:
        if self._file is None:
            self._step("segment")
            self._first = batch
            path = self.directory / segment_name(batch.first_seq)
            with _faults("write", path):
                self._file = path.open("wb")
        part = Chunk((batch,), events, batch.last_seq, batch.last_seq, batch.epoch)
        found = list(records_of(part, self._instruments))
        if self._names is not None:
            try:
                self._names.conceal(found)
            except SinkAway:
                # The batch comes again, and its records are made anew: a command knows what was before it.
                self._instruments.forget_from(batch.first_seq)
                raise
        with _faults("write", self._file.name):
            for _, record in found:
                line = encode(record)
                self._file.write(line + b"\n")
                self._leaves.append(merkle.leaf_hash(line))
        self._epochs += part.epochs()
        self._digest = next_digest(self._digest, batch.raw, events.tobytes())
        self._counts["commands"] += batch.count
        self._counts["events"] += len(events)
        self.rows += batch.count + len(events)
        self._position = part.end()

    def _seal(self) -> None:
        assert self._file is not None, "no segment was begun"
        assert self._first is not None, "no segment was begun"
        name = segment_name(self._first.first_seq)
        self._step("records")
        with _faults("write", self._file.name):
            _sync(self._file)
            self._file.close()
        self._step("leaves")
        self._put(leaves_name(name), b"".join(self._leaves))
        self._step("instruments")
        self._put(INSTRUMENTS, known_bytes(self._instruments))
        self._step("manifest")
        raw = manifest.sign(self._body(name), self._key)
        self._put(manifest_name(self._number + 1), raw, self._step)
        self._step("sealed")
        self._number, self._previous = self._number + 1, manifest.hash_of(raw)
        self._file, self._first, self._leaves = None, None, []
        self._counts = {"commands": 0, "events": 0}
        if self._names is not None:
            # Last: when the key store is away, all else is done, and the next seal says it.
            self._names.sealed(self._position.seq)
            self._step("keys")

    def _body(self, name: str) -> dict[str, Any]:
        assert self._first is not None, "no segment was begun"
        return {
            "version": manifest.VERSION,
            "records_version": self._version,
            "number": self._number + 1,
            "previous": self._previous,
            "segment": name,
            "sha256": self._hash_of(name),
            "root": merkle.root_of(self._leaves).hex(),
            "records": len(self._leaves),
            **self._counts,
            "first_seq": self._first.first_seq,
            "last_seq": self._position.seq,
            "last_epoch": self._position.epoch,
            "last_ns": self._position.timestamp_ns,
            "epochs": [[one.epoch, one.first_seq] for one in self._epochs],
            "engine_digest": self._digest.hex(),
            "instruments": known_hash(self._instruments),
            "software": metadata.version("lockstep-cluster"),
            **({} if self._names is None else {"key_store": self._names.store.store_id}),
            **({} if self._opening is None else {"opening": self._opening}),
        }

    def _hash_of(self, segment: str) -> str:
        path = self.directory / segment
        with _faults("read", path):
            return hashlib.sha256(path.read_bytes()).hexdigest()

    def _put(self, name: str, content: bytes, step: Callable[[str], None] | None = None) -> None:
        part = self.directory / f"{name}.part"
        with _faults("write", part), part.open("wb") as file:
            file.write(content)
            _sync(file)
        if step is not None:
            step("rename")
        with _faults("write", self.directory / name):
            part.replace(self.directory / name)
            handle = os.open(self.directory, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def close(self) -> None:
        """See `Sink`. What is not sealed stays unfinished."""
        if self._names is not None:
            self._names.store.close()
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None


def opening_entry(raw: bytes) -> dict[str, Any]:
    """What every manifest says of the file `opening.json`: behind which seq the trail begins, and the file's hash."""
    said = json.loads(raw)
    same = {name: said[name] for name in ("seq", "epoch", "engine_digest", "state_sum")}
    return {**same, "sha256": hashlib.sha256(raw).hexdigest()}


@contextmanager
def _faults(action: str, path: Path | str) -> Iterator[None]:
    """What the disk refuses, with the file and the remedy."""
    try:
        yield
    except OSError as error:
        raise EnvironmentFault(disk_text(action, f"the audit trail's {path}", error)) from error


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())

"""Stored files damaged one by one, and what the engine says when it is to start from them: `make damage`.

A pair of engines is written as a kill leaves it: tables and a log of the journal, of the derived data the same,
snapshots, the witness; so is a gateway's intake log, and the config record as etcd keeps it. Each trial takes a copy,
does one thing to one file (a flipped bit, a cut, a removal, another file in its place), and starts from it. What counts
as right: it refuses and says what is missing; or it mends what can be mended, and says so; or the damage lies where
nothing is read, and all that it holds is what it held. What starts with anything else is a *silent use*.
"""

import gc
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from lockstep.engine.contract import EngineType
from lockstep.engine.implementations import implementation
from lockstep.gateway.disconnects import Watch
from lockstep.gateway.intake import IntakeLog
from lockstep.replica.derived import note_doubt
from lockstep.replica.divergence import EpochEntry
from lockstep.replica.effects import JournalWrite, Notice
from lockstep.replica.journal import Journal
from lockstep.replica.marks import note_damage
from lockstep.replica.mend import mend
from lockstep.replica.replayer import Replayer
from lockstep.replica.restore import restore
from lockstep.replica.rocks import DerivedDamaged, JournalDamaged, JournalFault
from lockstep.replica.scrub import scrub
from lockstep.replica.settings import BrokenInvariant, ReplicaOptions
from lockstep.replica.snapshots import SnapshotStore
from lockstep.runtime.process import EnvironmentFault
from lockstep.sequencer.config_record import ConfigError, ConfigRecord, decode_config, encode_config
from lockstep.sequencer.window import control_record
from lockstep.stream.batch import Batch, stamp_batch
from lockstep.stream.records import CommandKind
from lockstep.trials.matching_flow import make_flow

_UUID: Final = "0b5e2c1a-7a3f-4f0e-9a63-5a1f0d3c2b11"
_BATCH: Final = 20
_COMMANDS: Final = 2_400
_PLACES: Final = (5, 30, 55, 80, 99)
"""Where in a file a bit is flipped, in percent of its length."""


@dataclass(frozen=True, slots=True)
class Held:
    """What an engine held before, and has to hold after."""

    batches: tuple[bytes, ...]
    events: tuple[tuple[int, bytes], ...]
    digest: bytes
    promised: int
    joined: bool


@dataclass(frozen=True, slots=True)
class Trial:
    """One thing done to one file of engine 1."""

    part: str
    """Kind of file: "journal log", "witness" and so on."""
    deed: str
    do: Callable[["Yard", Path], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the engine said."""

    trial: Trial
    says: str
    silent: bool
    """It started with something else than it held, and said nothing."""


class Yard:
    """The files of two engines as a kill leaves them, and of engine 1 as they were some time before."""

    def __init__(self, folder: Path) -> None:
        self.engine, self.other, self.earlier = folder / "engine-1", folder / "engine-2", folder / "earlier"
        self._make: EngineType = implementation("native")
        self.held = self._write(1, self.engine, self.earlier)
        self._write(2, self.other, None)
        self.gateway = folder / "gateway-1"
        self.taken = self._take_in(folder / "gateway-1.live")
        self.record = ConfigRecord(
            uuid=_UUID, epoch=3, sequencer=1, primary=1, in_sync=(1, 2), learners=(3,), attempt="s.1", known_seq=2_800
        )
        (self.gateway / "record").write_bytes(encode_config(self.record))

    def _write(self, member: int, target: Path, earlier: Path | None) -> Held:
        live = target.with_suffix(".live")
        journal, replayer, store = Journal(live, member), Replayer(self._make), SnapshotStore(live)
        stamped = tuple(_batches())
        for at, made in enumerate(stamped):
            epochs = (EpochEntry(made.epoch, made.first_seq),) if _opens(made) else ()
            promise = (made.epoch, 1) if epochs else None
            write = JournalWrite((made,), epochs, promise, "" if at else _UUID, made.first_seq - 1, joined=at == 0)
            journal.write(write, sync=True, applied=(replayer.seq, replayer.digest))
            journal.derived.keep((replayer.run(made),))
            if at in (len(stamped) // 3, 2 * len(stamped) // 3):
                journal.flush_tables()
                journal.derived.flush()
                store.write(replayer.snapshot(_UUID), replayer.seq, verified=True)
                store.note_startable(replayer.seq)
            if earlier is not None and at == len(stamped) // 2:
                shutil.copytree(live, earlier)
        journal.derived.flush()
        shutil.copytree(live, target)
        held = _holds(journal, replayer.digest)
        journal.close()
        return held

    def _take_in(self, live: Path) -> list[tuple[int, bytes]]:
        """An intake log with a table and a log."""
        intake = _intake(live / "intake")
        flow = make_flow(400, books=1, resting=10, seed=2).commands
        for key in range(1, 300):
            intake.write([(key, flow[key : key + 1])], key - 250 if key > 250 else 0, [Watch(key, 500, 1)])
            if key == 150:
                intake.flush_tables()
        shutil.copytree(live, self.gateway)
        held = _taken(intake)
        intake.close()
        return held

    def start_gateway(self, data_dir: Path) -> tuple[str, bool]:
        """Start from the intake log and the record there: what was said, and whether all is there that was.

        Raises:
            EnvironmentFault, ConfigError: it refuses.
        """
        record = decode_config((data_dir / "record").read_bytes())
        intake = _intake(data_dir / "intake")
        try:
            whole = _taken(intake) == self.taken and record == self.record
            return intake.damage, whole
        finally:
            intake.close()

    def start(self, data_dir: Path) -> tuple[list[Notice], Held]:
        """Start engine 1 there, and read all that it then holds.

        Raises:
            JournalFault, BrokenInvariant: it refuses.
        """
        notices: list[Notice] = []
        try:
            return self._start(data_dir, notices)
        except DerivedDamaged as damage:
            # As the process does.
            note_doubt(data_dir, damage.why)
            return self._start(data_dir, notices)
        except JournalDamaged as found:
            damaged = found.apart()
        gc.collect()  # as the process does: what it came through may still have the journal open
        mended = mend(data_dir, 1, damaged)
        if mended is None:
            raise damaged
        notices.append(Notice("journal_mended", f"it begins behind seq {mended.base_seq}: {damaged.why}"))
        return self._start(data_dir, notices)

    def _start(self, data_dir: Path, notices: list[Notice]) -> tuple[list[Notice], Held]:
        journal = Journal(data_dir, 1)
        try:
            notices += [Notice(event, text) for event, text in journal.notices]
            store = SnapshotStore(data_dir)
            notices += [Notice("snapshot_damaged", f"{path.name}: {why}") for path, why in store.unreadable()]
            machine = restore(journal, ReplicaOptions(1, (1, 2)), self._make, lambda: None, store, notices.append)
            damage = scrub(journal, machine.replica_state.applied_seq)
            if damage is not None:
                notices.append(Notice("scrub_found", damage.why))
                if not damage.derived:
                    # The only engine: it goes on with what it has in memory, and at its next start with what is whole.
                    note_damage(data_dir, damage.why)
                    raise JournalDamaged(journal.path, damage.why)
                return notices, self.held
            return notices, _holds(journal, machine.replica_state.digest)
        finally:
            journal.close()


def _intake(path: Path) -> IntakeLog:
    return IntakeLog(path, cluster="damage", gateway=1, now_s=1)


def _taken(intake: IntakeLog) -> list[tuple[int, bytes]]:
    watched = [(watch.session_id, repr(watch).encode()) for watch in intake.watched()]
    return [(key, records.tobytes()) for key, records in intake.unanswered()] + watched


def _opens(made: Batch) -> bool:
    return int(made.records["kind"][0]) == CommandKind.EPOCH_START


def _batches() -> Iterator[Batch]:
    """A stream of three epochs."""
    flow = make_flow(_COMMANDS, books=2, resting=200, seed=1)
    records = [flow.opening, flow.commands]
    seq = 1
    pieces = [part[at : at + _BATCH] for part in records for at in range(0, len(part), _BATCH)]
    for number, piece in enumerate(pieces):
        epoch = 1 + 3 * number // len(pieces)
        if number == 0 or epoch != 1 + 3 * (number - 1) // len(pieces):
            start = control_record(CommandKind.EPOCH_START, epoch=epoch, in_sync_bits=6, primary=1, sequencer=1)
            yield stamp_batch(start, epoch=epoch, first_seq=seq, timestamp_ns=seq)
            seq += 1
        yield stamp_batch(piece, epoch=epoch, first_seq=seq, timestamp_ns=seq)
        seq += len(piece)


def _holds(journal: Journal, digest: bytes) -> Held:
    summary = journal.summary()
    return Held(
        tuple(journal.raw_batches(1)),
        tuple(journal.derived.events_from(1)),
        digest,
        summary.promised,
        summary.joined,
    )


# ---- what is done to files ------------------------------------------------------------------------------------------


def _flip(path: Path, percent: int, bit: int = 0) -> None:
    raw = bytearray(path.read_bytes())
    at = min(len(raw) - 1, len(raw) * percent // 100)
    raw[at] ^= 1 << bit
    path.write_bytes(raw)


def _cut(path: Path, percent: int) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) * percent // 100])


def _zero_page(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    at = len(raw) // 3 // 4096 * 4096
    raw[at : at + 4096] = bytes(len(raw[at : at + 4096]))
    path.write_bytes(raw)


def _make_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _content_bytes(path: Path) -> int:
    """Up to the last byte that is not zero: logs are allocated beyond their end."""
    return len(path.read_bytes().rstrip(b"\0"))


def _flip_content(path: Path, percent: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[min(_content_bytes(path) - 1, _content_bytes(path) * percent // 100)] ^= 1
    path.write_bytes(raw)


def _each(folder: str, pattern: str, deed: Callable[[Path], None]) -> Callable[[Yard, Path], None]:
    """Do something to the newest file of a kind."""

    def do(_yard: Yard, data_dir: Path) -> None:
        found = sorted(path for path in (data_dir / folder).glob(pattern) if path.is_file())
        if not found:
            raise LookupError(f"{data_dir / folder} has no {pattern}")
        deed(found[-1])

    return do


def _oldest(folder: str, pattern: str, deed: Callable[[Path], None]) -> Callable[[Yard, Path], None]:
    def do(_yard: Yard, data_dir: Path) -> None:
        deed(min((data_dir / folder).glob(pattern)))

    return do


def _replace(name: str, source: str) -> Callable[[Yard, Path], None]:
    """Put another engine's part, or an earlier copy of it, in the place of one part."""

    def do(yard: Yard, data_dir: Path) -> None:
        theirs = (yard.other if source == "other" else yard.earlier) / name
        mine = data_dir / name
        if mine.is_dir():
            shutil.rmtree(mine)
            shutil.copytree(theirs, mine)
        else:
            shutil.copy(theirs, mine)

    return do


def _remove_part(name: str) -> Callable[[Yard, Path], None]:
    def do(_yard: Yard, data_dir: Path) -> None:
        path = data_dir / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return do


def _swap_snapshots(_yard: Yard, data_dir: Path) -> None:
    first, second = sorted((data_dir / "snapshots").glob("*.snapshot"))[:2]
    keep = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(keep)


def _swap_tables(_yard: Yard, data_dir: Path) -> None:
    first, second = sorted((data_dir / "journal").glob("*.sst"))[:2]
    keep = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(keep)


def _all_snapshots(deed: Callable[[Path], None]) -> Callable[[Yard, Path], None]:
    def do(_yard: Yard, data_dir: Path) -> None:
        for path in (data_dir / "snapshots").glob("*.snapshot"):
            deed(path)

    return do


def _database_trials(name: str, *, with_log: bool) -> Iterator[Trial]:
    kinds = [("table", "*.sst"), ("manifest", "MANIFEST-*"), ("CURRENT", "CURRENT"), ("OPTIONS", "OPTIONS-*")]
    if with_log:
        kinds.insert(0, ("log", "*.log"))
    for what, pattern in kinds:
        part = f"{name} {what}"
        for percent in _PLACES:
            yield Trial(
                part, f"bit flipped at {percent} %", _each(name, pattern, partial(_flip_content, percent=percent))
            )
        yield Trial(part, "cut to half", _each(name, pattern, lambda p: _cut(p, 50)))
        yield Trial(part, "cut to nothing", _each(name, pattern, lambda p: _cut(p, 0)))
        yield Trial(part, "removed", _each(name, pattern, Path.unlink))
    for percent in range(55, 100, 10):
        yield Trial(
            f"{name} manifest", f"cut to {percent} %", _each(name, "MANIFEST-*", partial(_cut, percent=percent))
        )
    yield Trial(f"{name} table", "oldest: bit flipped", _oldest(name, "*.sst", lambda p: _flip_content(p, 40)))
    yield Trial(f"{name} table", "oldest: a page zeroed", _oldest(name, "*.sst", _zero_page))
    yield Trial(f"{name} table", "oldest: a directory", _oldest(name, "*.sst", _make_directory))
    yield Trial(f"{name} table", "oldest: removed", _oldest(name, "*.sst", Path.unlink))
    yield Trial(f"{name} folder", "removed", _remove_part(name))
    yield Trial(f"{name} folder", "the other engine's", _replace(name, "other"))
    yield Trial(f"{name} folder", "an earlier copy", _replace(name, "earlier"))


def trials() -> tuple[Trial, ...]:
    """All of them."""
    found = [*_database_trials("journal", with_log=True), *_database_trials("derived", with_log=False)]
    found.append(Trial("journal table", "two swapped", _swap_tables))
    for percent in _PLACES:
        found.append(
            Trial(
                "snapshot",
                f"bit flipped at {percent} %",
                _each("snapshots", "*.snapshot", partial(_flip, percent=percent)),
            )
        )
    found += [
        Trial("snapshot", "cut to half", _each("snapshots", "*.snapshot", lambda p: _cut(p, 50))),
        Trial("snapshot", "cut to nothing", _each("snapshots", "*.snapshot", lambda p: _cut(p, 0))),
        Trial("snapshot", "removed", _each("snapshots", "*.snapshot", Path.unlink)),
        Trial("snapshot", "a directory", _each("snapshots", "*.snapshot", _make_directory)),
        Trial("snapshot", "two swapped", _swap_snapshots),
        Trial("snapshot", "all flipped", _all_snapshots(lambda p: _flip(p, 70))),
        Trial("snapshot folder", "removed", _remove_part("snapshots")),
        Trial("snapshot folder", "the other engine's", _replace("snapshots", "other")),
        Trial("startable note", "bit flipped", _each("snapshots", "startable", lambda p: _flip(p, 50, 1))),
        Trial("startable note", "removed", _each("snapshots", "startable", Path.unlink)),
        Trial("witness", "cut to half", _each("", "witness", lambda p: _cut(p, 50))),
        Trial("witness", "cut to nothing", _each("", "witness", lambda p: _cut(p, 0))),
        Trial("witness", "removed", _remove_part("witness")),
        Trial("witness", "the other engine's", _replace("witness", "other")),
        Trial("witness", "an earlier copy", _replace("witness", "earlier")),
    ]
    found += [
        Trial("witness", f"page {page}: bit flipped", _each("", "witness", partial(_flip_page, page=page)))
        for page in (0, 7, 23, 41)
    ]
    found += _gateway_trials()
    found.append(Trial("data directory", "the other engine's", _all_of("other")))
    found.append(Trial("data directory", "all but the derived data of an earlier copy", _all_of("earlier", "derived")))
    found.append(Trial("data directory", "journal and snapshots of an earlier copy", _all_of("earlier", "witness")))
    return tuple(found)


def _gateway_trials() -> Iterator[Trial]:
    for what, pattern in (("log", "*.log"), ("table", "*.sst"), ("manifest", "MANIFEST-*"), ("CURRENT", "CURRENT")):
        part = f"intake {what}"
        for percent in _PLACES:
            deed = partial(_flip_content, percent=percent)
            yield Trial(part, f"bit flipped at {percent} %", _each("intake", pattern, deed))
        yield Trial(part, "cut to half", _each("intake", pattern, lambda p: _cut(p, 50)))
        yield Trial(part, "removed", _each("intake", pattern, Path.unlink))
    for percent in range(55, 100, 10):
        deed = partial(_cut, percent=percent)
        yield Trial("intake manifest", f"cut to {percent} %", _each("intake", "MANIFEST-*", deed))
    yield Trial("intake mark", "bit flipped", _each("intake", "mark", lambda p: _flip(p, 30)))
    yield Trial("intake mark", "removed", _each("intake", "mark", Path.unlink))
    yield Trial("config record", "cut to half", _each("", "record", lambda p: _cut(p, 50)))
    for percent in range(2, 100, 8):
        yield Trial(
            "config record", f"bit flipped at {percent} %", _each("", "record", partial(_flip, percent=percent))
        )


def _flip_page(path: Path, page: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[page * 4096 + 40] ^= 4
    path.write_bytes(raw)


def _all_of(source: str, *but: str) -> Callable[[Yard, Path], None]:
    def do(yard: Yard, data_dir: Path) -> None:
        for part in ("journal", "derived", "snapshots", "witness"):
            if part not in but:
                _replace(part, source)(yard, data_dir)

    return do


# ---- running them ---------------------------------------------------------------------------------------------------


def run_trial(yard: Yard, trial: Trial, data_dir: Path) -> Outcome:
    """Do one trial in a copy of the yard's engine 1 at `data_dir`, which must not exist."""
    if trial.part.startswith(("intake", "config")):
        return _run_gateway_trial(yard, trial, data_dir)
    shutil.copytree(yard.engine, data_dir)
    trial.do(yard, data_dir)
    try:
        notices, holds = yard.start(data_dir)
    except (JournalFault, BrokenInvariant) as refusal:
        return Outcome(trial, f"refused: {refusal}", silent=False)
    except (ValueError, TypeError, LookupError, OSError, RuntimeError) as error:
        # A traceback is no answer to anybody.
        return Outcome(trial, f"{type(error).__name__}: {error}", silent=True)
    if any(one.event == "journal_mended" for one in notices) and holds.batches:
        # What comes before is in the snapshot that it begins at.
        holds = replace(holds, batches=yard.held.batches[: -len(holds.batches)] + holds.batches)
    if holds != yard.held:
        differ = [name for name in Held.__slots__ if getattr(holds, name) != getattr(yard.held, name)]
        said = "; ".join(notice.detail for notice in notices)
        return Outcome(trial, f"started with other {', '.join(differ)}: {said}", silent=True)
    if notices:
        found = any(one.event == "scrub_found" for one in notices)
        said = "; ".join(f"{one.event}: {one.detail}" for one in notices)
        return Outcome(trial, f"{'found' if found else 'mended'}: {said}", silent=False)
    return Outcome(trial, "holds all that it held", silent=False)


def _run_gateway_trial(yard: Yard, trial: Trial, data_dir: Path) -> Outcome:
    shutil.copytree(yard.gateway, data_dir)
    trial.do(yard, data_dir)
    try:
        says, whole = yard.start_gateway(data_dir)
    except (EnvironmentFault, ConfigError) as refusal:
        return Outcome(trial, f"refused: {refusal}", silent=False)
    if says:
        return Outcome(trial, f"goes on and says: {says}", silent=False)
    return Outcome(trial, "holds all that it held" if whole else "started with something else", silent=not whole)


def main() -> int:
    """Run all trials and print a table; 1 if one was silent."""
    with TemporaryDirectory(prefix="lockstep-damage-") as name:
        yard = Yard(Path(name))
        outcomes = [
            run_trial(yard, trial, Path(name) / f"trial-{number}") for number, trial in enumerate(trials(), start=1)
        ]
    for number, outcome in enumerate(outcomes, start=1):
        mark = "SILENT" if outcome.silent else "      "
        says = outcome.says.replace(name, "")
        sys.stdout.write(f"{number:3} {mark} {outcome.trial.part:16} {outcome.trial.deed:28} {says}\n")
    silent = sum(outcome.silent for outcome in outcomes)
    sys.stdout.write(f"{len(outcomes)} trials, {silent} silent\n")
    return 1 if silent else 0


if __name__ == "__main__":
    sys.exit(main())

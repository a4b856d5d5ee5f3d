"""Continuing a data directory: the config record is built again from the journals of engines that do not run.

The etcd of a local cluster is disposable, so that a start finds journals and no config record. Everything that the
record said can be had from the journals, if *all* of them are there: the engine whose log has the highest (epoch, seq)
at its end holds every committed command, because whoever was in sync in the last reign has its records, and a command
was committed only with the acknowledgement of each of those. That engine alone becomes in sync; the others catch up
as learners and drop what was never committed.

A journal that is damaged (`replica/evidence.py`) is none. It may have held the newest orders: then nothing is started,
unless another one holds all that it did. Where what is left of such a journal is the longest log, the cluster starts
and waits for an operator who accepts the loss. So it does where a gateway has noted that it delivered more than the
longest log holds: a directory is an older copy then.

A production cluster has an etcd that lasts and needs none of this.
"""

import asyncio
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lockstep.replica.evidence import Tip
from lockstep.replica.journal import JournalFault, JournalSummary, inspect
from lockstep.replica.marks import examine as examine_journal
from lockstep.replica.mend import finish, is_mendable
from lockstep.replica.rescue import PeerSays
from lockstep.replica.rocks import JournalDamaged
from lockstep.runtime import config
from lockstep.runtime.access.etcd_access import etcd_fault, etcd_options
from lockstep.runtime.delivery_mark_file import delivery_mark_path, read_delivery_mark
from lockstep.runtime.etcd import CasWon, EtcdStore, StoreError
from lockstep.runtime.faults import disk_text
from lockstep.runtime.process import EnvironmentFault
from lockstep.runtime.topology import Topology
from lockstep.sequencer.config_record import ConfigRecord, config_key, encode_config
from lockstep.stream.arrival import MAX_EPOCH

_WRITE_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Found:
    """What the journals of a stopped cluster say."""

    uuid: str
    epoch: int
    """No promise and no record is of a higher one."""
    primary: int
    """The engine with the longest log."""
    engines: tuple[int, ...]
    known_seq: int = 0
    """Last seq of that log, or the last that was delivered to clients, where that is beyond it: then nobody opens."""


def examine(data_dir: Path, *, engines: int) -> Found | None:
    """Read the journals in a data directory; None if there is nothing to continue.

    Args:
        data_dir: of the whole cluster.
        engines: how many engines are about to be started, numbered from 1.

    Raises:
        EnvironmentFault: journals are missing, can't be read, or are of different clusters.
    """
    found, damaged = _journals(data_dir)
    _refuse_loss(data_dir, found, damaged)
    known = {member: journal for member, journal in found.items() if journal.cluster_uuid}
    if not known:
        return None
    _require_all(data_dir, {*known, *damaged}, engines)
    uuids = {journal.cluster_uuid: member for member, journal in sorted(known.items(), reverse=True)}
    if len(uuids) > 1:
        first, second = sorted(uuids.values())[:2]
        raise EnvironmentFault(
            f"{data_dir}: the directories of engine {first} and engine {second} are of different clusters (a data "
            "directory of another cluster); put the right one back, or choose another --data-dir"
        )
    # A journal that was being filled after its disk was lost may look complete and not be.
    joined = [member for member in known if known[member].joined or known[member].disowned]
    if not joined:
        raise EnvironmentFault(
            f"{data_dir}: no engine's journal was ever taken into the cluster; choose another --data-dir"
        )
    longest = max(joined, key=lambda member: (known[member].tip_epoch, known[member].tip_seq, -member))
    # A promise that no cluster can reach is nobody's: its engine says so, and how to lower it.
    promised = [journal.promised for journal in known.values() if journal.promised <= MAX_EPOCH]
    epoch = max(*promised, 1, *(journal.tip_epoch for journal in known.values()))
    everybody = tuple(range(1, engines + 1))
    uuid = next(iter(uuids))
    seq = max(known[longest].tip_seq, _delivered_beyond(data_dir, uuid, known[longest]))
    return Found(uuid, epoch, longest, everybody, seq)


def _delivered_beyond(data_dir: Path, uuid: str, longest: JournalSummary) -> int:
    """Last seq that a gateway delivered and that the longest journal lacks; 0: there is none.

    Raises:
        EnvironmentFault: a gateway's note can't be read.
    """
    beyond = 0
    for directory in data_dir.glob("gateway-*"):
        try:
            cluster, delivered = read_delivery_mark(directory)
        except OSError as error:
            raise EnvironmentFault(disk_text("read", delivery_mark_path(directory), error)) from error
        if cluster == uuid and delivered.misses(longest.tip_epoch, longest.tip_seq):
            beyond = max(beyond, delivered.seq)
    return beyond


def _refuse_loss(data_dir: Path, found: dict[int, JournalSummary], damaged: dict[int, JournalDamaged]) -> None:
    """A damaged journal may be left to its engine only where another one has all that it held."""
    says = tuple(
        PeerSays(member, Tip(one.tip_epoch, one.tip_seq), one.cluster_uuid, not one.joined)
        for member, one in found.items()
    )
    for member, damage in damaged.items():
        if damage.needed.seq and any(one.holds(damage) for one in says):
            continue
        others = "; ".join(map(str, says)) or "there is no other whole journal"
        held = f"it held {damage.needed}" if damage.needed.seq else "what it held is not known"
        directory = data_dir / f"engine-{member}"
        raise EnvironmentFault(
            f"{damage}; {held}, and no other journal here is known to have that: {others}. Nothing was started or "
            f"changed; do not delete {directory}. Put back a copy of it that is not older than the damage; or, to lose "
            f"what can't be read, `lockstep cluster journal salvage {directory}` and then a forced failover to engine-"
            f"{member} (`lockstep cluster failover --force --accept-data-loss`)"
        )


def _journals(data_dir: Path) -> tuple[dict[int, JournalSummary], dict[int, JournalDamaged]]:
    """What whole journals say, and what is wrong with the others."""
    found: dict[int, JournalSummary] = {}
    damaged: dict[int, JournalDamaged] = {}
    for directory in sorted(data_dir.glob("engine-*")):
        match = re.fullmatch(r"engine-(\d+)", directory.name)
        if match is None or not directory.is_dir():
            continue
        try:
            finish(directory)
            try:
                examine_journal(directory, 0, inspect)
            except JournalDamaged as damage:
                if not is_mendable(directory, damage):
                    raise
                # Its engine has it begin behind the damage, and says so.
            summary = inspect(directory)
        except JournalDamaged as damage:
            damaged[int(match[1])] = damage
            continue
        except JournalFault as error:
            raise EnvironmentFault(str(error)) from error
        if summary is not None:
            if summary.member != int(match[1]):
                raise EnvironmentFault(
                    f"{directory} holds the journal of engine {summary.member}; put each engine's directory back in "
                    "its place, or choose another --data-dir"
                )
            found[summary.member] = summary
    return found, damaged


def _require_all(data_dir: Path, known: set[int], engines: int) -> None:
    beyond = sorted(member for member in known if member > engines)
    if beyond:
        raise EnvironmentFault(
            f"{data_dir} holds a cluster with engine {beyond[-1]}, and only {engines} would be started; "
            f"use --engines {beyond[-1]} or more, or another --data-dir"
        )
    old = data_dir / "cluster.toml"
    if not old.exists():
        return
    try:
        before = config.load(old)
    except config.ConfigError as error:
        raise EnvironmentFault(f"{error}; it is written by `lockstep up`: restore it, or remove it") from error
    missing = [engine.id for engine in before.engines if engine.id not in known]
    if missing:
        raise EnvironmentFault(
            f"{data_dir} lacks the journal of engine {missing[0]}, which may hold the newest orders; "
            "put its directory back, or choose another --data-dir"
        )


def restore(topology: Topology, found: Found) -> None:
    """Write the config record into the new, empty etcd.

    Raises:
        EnvironmentFault: etcd does not take it.
    """
    record = ConfigRecord(
        uuid=found.uuid,
        epoch=found.epoch,
        sequencer=topology.sequencers[0].id,
        primary=found.primary,
        in_sync=(found.primary,),
        learners=tuple(member for member in found.engines if member != found.primary),
        known_seq=found.known_seq,
        attempt=f"resume-{secrets.token_hex(8)}",
    )
    asyncio.run(_write(topology, record))


async def _write(topology: Topology, record: ConfigRecord) -> None:
    try:
        async with EtcdStore(etcd_options(topology)) as store:
            outcome = await store.compare_and_swap(
                config_key(topology.name), 0, encode_config(record), None, _WRITE_TIMEOUT_S
            )
    except StoreError as error:
        raise EnvironmentFault(f"the configuration can't be put into etcd: {etcd_fault(topology, error)}") from error
    if not isinstance(outcome, CasWon):
        raise EnvironmentFault(
            f"etcd at {topology.etcd_endpoints[0]} already holds a configuration; it is not the one just started: "
            "choose another --port"
        )

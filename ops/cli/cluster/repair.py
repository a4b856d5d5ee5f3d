"""`lockstep cluster repair-config` and `repair-promise`: what was stored and can't be used is put right."""

import asyncio
import secrets
from pathlib import Path
from typing import Final

import click

from lockstep.ops.cli.cluster.arguments import check_engine, engine_argument
from lockstep.ops.cli.cluster.steps import Refused, dry_run_option, open_work, operator_errors
from lockstep.ops.cli.options import Failure, config_option, json_option
from lockstep.replica.effects import JournalWrite
from lockstep.replica.journal import Journal
from lockstep.replica.rocks import JournalFault
from lockstep.runtime.access.etcd_access import etcd_options
from lockstep.runtime.config import load
from lockstep.runtime.etcd import CasWon, EtcdStore, StoreError
from lockstep.runtime.output import Output
from lockstep.runtime.topology import ProcessKind, Topology
from lockstep.sequencer.config_record import (
    ConfigError,
    ConfigRecord,
    config_key,
    decode_config_of,
    encode_config,
    plan_repair,
)
from lockstep.sequencer.store_link import last_good
from lockstep.stream.arrival import MAX_EPOCH

_TIMEOUT_S: Final = 5.0


@click.command("repair-config")
@config_option
@dry_run_option
@json_option
@operator_errors
def repair_config(config_path: Path, dry_run: bool, json_file: Output | None) -> int:
    """Write the last good config record to etcd again, where something else stands in its key.

    The record is the newest readable one of the key's own history in etcd, under an epoch above every one that a
    process speaks of; it is written only if the key still holds what was looked at. The sequencer that it names then
    takes over anew. Refused if the key holds a record that can be read, of the cluster whose processes run.
    """
    with open_work(config_path, json_file) as work:
        heard = [member.reply.epoch for member in work.status.members if member.reply is not None]
        highest = max((epoch for epoch in heard if epoch <= MAX_EPOCH), default=0)
        uuids = {member.reply.cluster_uuid for member in work.status.members if member.reply is not None} - {""}
        uuid = uuids.pop() if len(uuids) == 1 else ""
        try:
            record = asyncio.run(asyncio.wait_for(_repair(work.desk.topology, highest, uuid, dry_run), _TIMEOUT_S))
        except (StoreError, TimeoutError) as error:
            raise Failure(f"etcd does not answer, or not in time: {error}; look at it and try again") from error
        done = "would be" if dry_run else "is"
        text = f"the config record {done} that of epoch {record.epoch}: sequencer {record.sequencer}, in sync "
        return work.finish(text + str(list(record.in_sync)), epoch=record.epoch)


async def _repair(topology: Topology, highest: int, uuid: str, dry_run: bool) -> ConfigRecord:
    key, engines = config_key(topology.name), tuple(engine.id for engine in topology.engines)
    async with EtcdStore(etcd_options(topology)) as store:
        found = await store.get(key)
        if found is None:
            raise Refused("the config key does not exist: restore etcd's backup, or start a new cluster")
        try:
            stored = decode_config_of(found.value, engines)
        except ConfigError:
            pass
        else:
            if uuid in ("", stored.uuid):
                raise Refused("the config key holds a record of this cluster that can be read: nothing to repair")
        good = await last_good(store, key, found.mod_revision, engines, uuid)
        if good is None:
            raise Failure("etcd no longer knows a readable record of this cluster: restore etcd's backup")
        record = plan_repair(good[0], highest_heard=highest, attempt=f"repair-{secrets.token_hex(8)}")
        if not dry_run:
            outcome = await store.compare_and_swap(key, found.mod_revision, encode_config(record))
            if not isinstance(outcome, CasWon):
                raise Refused("the config key has changed in the meantime: look again")
        return record


@click.command("repair-promise")
@engine_argument
@config_option
@click.option("--epoch", type=click.IntRange(1, MAX_EPOCH), help="The cluster's epoch; default: as its processes say.")
@dry_run_option
@json_option
@operator_errors
def repair_promise(member: int, config_path: Path, epoch: int | None, dry_run: bool, json_file: Output | None) -> int:
    """Lower a stopped ENGINE's promise for an epoch that no cluster can reach, so that it obeys a leader again.

    The promise becomes the cluster's present epoch, so that every sequencer of before stays deposed. Refused where the
    promise may be true.
    """
    topology = load(config_path)
    check_engine(topology, member)
    with open_work(config_path, json_file) as work:
        heard = [one.reply.epoch for one in work.status.members if one.reply is not None]
        known = max((one for one in heard if one <= MAX_EPOCH), default=0) if epoch is None else epoch
        engine = topology.member(ProcessKind.ENGINE, member)
        try:
            before, after = lower_promise(engine.data_dir, member, known, dry_run=dry_run)
        except JournalFault as fault:
            raise Failure(str(fault)) from fault
        return work.finish(f"engine-{member}: promise {before} {'would be' if dry_run else 'is'} {after}", epoch=after)


def lower_promise(data_dir: Path, member: int, epoch: int, *, dry_run: bool = False) -> tuple[int, int]:
    """Replace an absurd promise by the cluster's epoch; returns what it was and is.

    Raises:
        Refused: it may be true, or the cluster's epoch is not known. JournalFault: the engine runs.
    """
    journal = Journal(data_dir, member)
    try:
        said = journal.summary()
        if said.promised <= MAX_EPOCH:
            raise Refused(f"engine-{member} has promised epoch {said.promised}, which may be true: nothing to repair")
        after = max(epoch, said.tip_epoch)
        if not epoch:
            raise Refused("no process of the cluster says which epoch it is in: give --epoch")
        if not dry_run:
            journal.write(JournalWrite(promise=(after, 0)), sync=True, applied=(0, b""))
        return said.promised, after
    finally:
        journal.close()

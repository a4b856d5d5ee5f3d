"""The newest snapshot that an engine has, checked against what the other engines say of the same place."""

import asyncio
from collections.abc import Sequence

from lockstep.posttrade.opening import Opening, opening_of
from lockstep.posttrade.reading import EngineReader
from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.process_log import ProcessLog
from lockstep.runtime.snapshot_reader import Snapshot, SnapshotUnreadable, read_snapshot


class NoOpening(EnvironmentFault):
    """No engine has a snapshot that can be begun with. The text says what each said, and what to do."""


async def fetch_opening(reader: EngineReader, engines: Sequence[int], log: ProcessLog) -> Opening:
    """The newest one. Its bytes are those that the engine wrote (checksums); its chain digest has to be that of every
    engine that still knows the digest there.

    Raises:
        NoOpening: there is none, or engines differ.
    """
    tips = {engine: await reader.snapshot_tip(engine) for engine in engines}
    said: list[str] = []
    for engine in sorted(engines, key=lambda one: -(tips[one] or 0)):
        seq = tips[engine]
        if not seq:
            said.append(f"engine {engine} has none, or does not answer")
            continue
        raw = await reader.snapshot(engine, seq)
        try:
            snapshot = await asyncio.to_thread(read_snapshot, raw)
        except SnapshotUnreadable as error:
            said.append(f"engine {engine}: {error}")
            continue
        await _confirm(reader, engine, [one for one in engines if one != engine], snapshot, log)
        return opening_of(snapshot)
    raise NoOpening(
        f"no engine has a snapshot to begin with ({'; '.join(said)}): `lockstep cluster snapshot` takes one, "
        "then try again"
    )


async def _confirm(
    reader: EngineReader, engine: int, others: Sequence[int], snapshot: Snapshot, log: ProcessLog
) -> None:
    confirmed = []
    for other in others:
        digest = await reader.digest_at(other, snapshot.seq)
        if digest is None:
            continue
        if digest != snapshot.digest:
            raise NoOpening(
                f"engines {engine} and {other} differ at seq {snapshot.seq}: chain digests {snapshot.digest.hex()} and "
                f"{digest.hex()}; find out which is right (`lockstep reconcile`) before anything begins there"
            )
        confirmed.append(other)
    log.info(
        "opening", seq=snapshot.seq, epoch=snapshot.epoch, of_engine=engine, confirmed_by=confirmed,
        state=snapshot.state_sum,
    )  # fmt: skip

"""The one etcd value that says who may do what, `/lockstep/<cluster>/config`, and every legal step to the next.

All authority in a cluster is in this record; it changes only by compare-and-swap on its mod revision. So the rules that
must not be broken whatever a sequencer believes are checked here, in the functions that make the next record: the last
in-sync engine is never removed, only an in-sync engine becomes primary, an epoch never falls. The one exception, an
operator's `plan_force`, says so in the record until the stream has said it.

Pure: a `plan_*` function returns the next record or raises `PlanRefused`.
"""

import json
from dataclasses import dataclass, replace
from typing import Any, Final

from crc32c import crc32c

from lockstep.stream.arrival import MAX_STORED_EPOCH
from lockstep.stream.delivery_mark import DeliveryMark
from lockstep.stream.identity import split_uuid
from lockstep.stream.records import MAX_MEMBER, AckPolicy

_FIELDS: Final = {
    "uuid": str,
    "epoch": int,
    "sequencer": int,
    "primary": int,
    "in_sync": list,
    "learners": list,
    "attempt": str,
}
# Later additions: a record written before them reads as if they had these values.
_OPTIONAL: Final[dict[str, Any]] = {
    "ack_policy": "synced",
    "paused": False,
    "fenced": [],
    "founding": False,
    "data_loss": False,
    "known_seq": 0,
    "lost_epoch": 0,
    "lost_seq": 0,
    "accepted_epoch": 0,
}


_SUM: Final = "crc32c"


class ConfigError(ValueError):
    """The stored value is not a config record, or a record contradicts itself. The text says where."""


class PlanRefused(ValueError):
    """The step would break a rule of the protocol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigRecord:
    """The config key's value.

    Raises:
        ConfigError: a field is outside its bounds.
    """

    uuid: str
    """Identity of the cluster, made once; guards against a foreign or wiped etcd."""
    epoch: int
    """>= 1; never falls."""
    sequencer: int
    """1..63: the only sequencer that may stamp under `epoch`."""
    primary: int
    """A member of `in_sync`."""
    in_sync: tuple[int, ...]
    """Ascending, never empty: engines that hold every committed command."""
    learners: tuple[int, ...]
    """Ascending, disjoint from `in_sync`."""
    attempt: str
    """Unique to the write that made this value, so that a writer recognises its own."""
    ack_policy: AckPolicy = AckPolicy.SYNCED
    """When an engine may acknowledge; the stream says from which seq on."""
    paused: bool = False
    """Automatic failover is off: nobody but the same sequencer takes over, no engine is removed for being lost."""
    fenced: tuple[int, ...] = ()
    """Ascending, disjoint from `in_sync`: engines that are kept out until an operator lets them in again."""
    founding: bool = False
    """No reign has been opened yet: an engine with a blank journal has lost nothing."""
    data_loss: bool = False
    """An operator discarded commands that an engine outside may hold, and no EPOCH_START has said so yet."""
    known_seq: int = 0
    """0..2^63: at least so much was committed when this was written; an in-sync log that ends before it lacks some."""

    lost_epoch: int = 0
    lost_seq: int = 0
    """Clients have reports of commands up to there, and a reign was opened on a log that lacks some of them: from then
    on only a log that has them counts. 0: nothing is known to be lost."""
    accepted_epoch: int = 0
    """Epoch of the newest forced failover: what was delivered under epochs before is nobody's claim any more."""

    def __post_init__(self) -> None:
        try:
            split_uuid(self.uuid)
        except ValueError as error:
            raise ConfigError(f"config record: uuid: {error}") from error
        if not self.attempt:
            raise ConfigError("config record: attempt must not be empty")
        # A little above what engines promise, so that the next record of any that can be read can be written.
        if not 1 <= self.epoch < 2**49:
            raise ConfigError(f"config record: epoch {self.epoch} is outside 1..2^49")
        if not 1 <= self.sequencer <= MAX_MEMBER:
            raise ConfigError(f"config record: sequencer {self.sequencer} is outside 1..{MAX_MEMBER}")
        for name in ("known_seq", "lost_epoch", "lost_seq", "accepted_epoch"):
            if not 0 <= getattr(self, name) < 2**63:
                raise ConfigError(f"config record: {name} {getattr(self, name)} is outside 0..2^63")
        if not self.in_sync:
            raise ConfigError("config record: in_sync is empty")
        for name in ("in_sync", "learners", "fenced"):
            members = getattr(self, name)
            if list(members) != sorted(set(members)) or any(not 1 <= member <= MAX_MEMBER for member in members):
                raise ConfigError(f"config record: {name} {members} must be ascending, unique, in 1..{MAX_MEMBER}")
        if self.primary not in self.in_sync:
            raise ConfigError(f"config record: primary {self.primary} is not among in_sync {self.in_sync}")
        for name in ("learners", "fenced"):
            members = getattr(self, name)
            if any(member in self.in_sync for member in members):
                raise ConfigError(f"config record: in_sync {self.in_sync} and {name} {members} overlap")


def config_key(cluster: str) -> bytes:
    """Key of the config record."""
    return f"/lockstep/{cluster}/config".encode()


def presence_key(cluster: str, sequencer: int) -> bytes:
    """Key that a live sequencer keeps under a lease. Evidence for humans and late starters, never authority."""
    return f"/lockstep/{cluster}/presence/sequencer-{sequencer}".encode()


def encode_config(record: ConfigRecord) -> bytes:
    """The record as JSON, with a checksum of it: one that a person writes may do without."""
    fields = {name: getattr(record, name) for name in (*_FIELDS, *_OPTIONAL)}
    fields["ack_policy"] = record.ack_policy.name.lower()
    return json.dumps({**fields, _SUM: _checksum(fields)}).encode()


def _checksum(fields: dict[str, Any]) -> str:
    return f"{crc32c(json.dumps(fields, sort_keys=True).encode()):08x}"


def decode_config(value: bytes) -> ConfigRecord:
    """Read a stored value.

    Raises:
        ConfigError: it is not JSON, a field is missing or of the wrong type, or the record contradicts itself.
    """
    try:
        fields: Any = json.loads(value)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"config record is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise ConfigError("config record is not a JSON object")
    stored = fields.pop(_SUM, None)
    if stored is not None and stored != _checksum(fields):
        raise ConfigError(
            f"config record: its checksum is wrong: no sequencer wrote this; by hand, write it without {_SUM!r}"
        )
    fields = {**_OPTIONAL, **fields}
    for name, kind in (_FIELDS | {name: type(value) for name, value in _OPTIONAL.items()}).items():
        if type(fields.get(name)) is not kind:
            raise ConfigError(f"config record: field {name!r} is missing or not of type {kind.__name__}")
    if fields["ack_policy"].upper() not in AckPolicy.__members__:
        raise ConfigError(f"config record: ack_policy {fields['ack_policy']!r} is unknown")
    for name in ("in_sync", "learners", "fenced"):
        if any(type(member) is not int for member in fields[name]):
            raise ConfigError(f"config record: {name} holds something else than integers")
    return ConfigRecord(
        uuid=fields["uuid"],
        epoch=fields["epoch"],
        sequencer=fields["sequencer"],
        primary=fields["primary"],
        in_sync=tuple(fields["in_sync"]),
        learners=tuple(fields["learners"]),
        attempt=fields["attempt"],
        ack_policy=AckPolicy[fields["ack_policy"].upper()],
        paused=fields["paused"],
        fenced=tuple(fields["fenced"]),
        founding=fields["founding"],
        data_loss=fields["data_loss"],
        known_seq=fields["known_seq"],
        lost_epoch=fields["lost_epoch"],
        lost_seq=fields["lost_seq"],
        accepted_epoch=fields["accepted_epoch"],
    )


def decode_config_of(value: bytes, engines: tuple[int, ...]) -> ConfigRecord:
    """As `decode_config`, of a cluster with these engines.

    Raises:
        ConfigError: also where an engine is in sync that the cluster does not have, and where the epoch leaves no room
            for later ones: engines would refuse every sequencer from then on.
    """
    record = decode_config(value)
    if record.epoch > MAX_STORED_EPOCH:
        raise ConfigError(f"config record: epoch {record.epoch} is none that a cluster can have reached")
    unknown = [member for member in record.in_sync if member not in engines]
    if unknown:
        raise ConfigError(f"config record: in_sync names engines {unknown}, which the configuration lacks")
    return record


def history_key(cluster: str, epoch: int = 0) -> bytes:
    """Key of one epoch's line of history; without an epoch, the prefix of them all. A record for people only."""
    prefix = f"/lockstep/{cluster}/history/"
    return (prefix + f"{epoch:020d}" if epoch else prefix).encode()


def plan_bootstrap(
    *,
    uuid: str,
    engines: tuple[int, ...],
    sequencer: int,
    highest_promised: int,
    attempt: str,
    ack_policy: AckPolicy = AckPolicy.SYNCED,
) -> ConfigRecord:
    """The first record: every configured engine is in sync until it fails to come."""
    members = tuple(sorted(engines))
    if not members:
        raise PlanRefused("a cluster needs at least one configured engine")
    return ConfigRecord(
        uuid=uuid,
        epoch=highest_promised + 1,
        sequencer=sequencer,
        primary=members[0],
        in_sync=members,
        learners=(),
        attempt=attempt,
        ack_policy=ack_policy,
        founding=True,
    )


def plan_takeover(config: ConfigRecord, *, sequencer: int, highest_promised: int, attempt: str) -> ConfigRecord:
    """A new reign: a higher epoch than any stored or promised, everything else as it was."""
    return replace(config, epoch=max(config.epoch, highest_promised) + 1, sequencer=sequencer, attempt=attempt)


def plan_fence_result(
    config: ConfigRecord, *, answered: tuple[int, ...], attempt: str, odd: tuple[int, ...] = (),
    prefer: tuple[int, ...] = (),
) -> ConfigRecord:  # fmt: skip
    """Remove the engines that did not answer the fence, keep the `odd` ones out for good, and end the founding.

    A removed primary's role goes to the first of `prefer` that stays. The epoch stays: nothing was opened under it.
    """
    kept = tuple(member for member in config.in_sync if member in answered)
    primary = next((member for member in (config.primary, *prefer) if member in kept), 0)
    narrowed = _without(config, kept, primary, config.epoch, attempt)
    return replace(narrowed, founding=False, fenced=tuple(sorted({*config.fenced, *odd})))


def plan_shrink(config: ConfigRecord, *, lost: tuple[int, ...], prefer: tuple[int, ...], attempt: str) -> ConfigRecord:
    """Remove lost engines under a new epoch. A lost primary's role goes to the first of `prefer` that stays in sync."""
    if not any(member in config.in_sync for member in lost):
        raise PlanRefused(f"engines {lost} are not in sync: nothing to remove")
    kept = tuple(member for member in config.in_sync if member not in lost)
    primary = config.primary
    if primary not in kept:
        primary = next((member for member in prefer if member in kept), 0)
    return _without(config, kept, primary, config.epoch + 1, attempt)


def plan_promote(config: ConfigRecord, *, primary: int, attempt: str) -> ConfigRecord:
    """Hand the primary role to another in-sync engine under a new epoch."""
    if primary not in config.in_sync:
        raise PlanRefused(f"engine {primary} is not in sync (in sync: {_names(config.in_sync)})")
    if primary == config.primary:
        raise PlanRefused(f"engine {primary} is the primary already")
    return replace(config, epoch=config.epoch + 1, primary=primary, attempt=attempt)


def plan_grow(config: ConfigRecord, *, member: int, attempt: str) -> ConfigRecord:
    """Admit a learner, once the stream has announced it and it has acknowledged that. The epoch stays."""
    if member in config.in_sync:
        raise PlanRefused(f"engine {member} is in sync already")
    if member in config.fenced:
        raise PlanRefused(f"engine {member} is fenced")
    return replace(
        config,
        in_sync=tuple(sorted((*config.in_sync, member))),
        learners=tuple(learner for learner in config.learners if learner != member),
        attempt=attempt,
    )


def plan_evict(config: ConfigRecord, *, members: tuple[int, ...], attempt: str) -> ConfigRecord:
    """Remove engines under a new epoch and keep them out: an operator's order, or the minority of a contradiction."""
    shrunk = plan_shrink(config, lost=members, prefer=config.in_sync, attempt=attempt)
    return replace(shrunk, fenced=tuple(sorted({*config.fenced, *members})))


def plan_fenced(config: ConfigRecord, *, member: int, fenced: bool, attempt: str) -> ConfigRecord:
    """Keep an engine out that is not in sync, or let one in again. The epoch stays."""
    if fenced and member in config.in_sync:
        raise PlanRefused(f"engine {member} is in sync: it has to be evicted")
    members = {*config.fenced, member} if fenced else {*config.fenced} - {member}
    return replace(config, fenced=tuple(sorted(members)), attempt=attempt)


def plan_paused(config: ConfigRecord, *, paused: bool, attempt: str) -> ConfigRecord:
    """Switch automatic failover off or on. The epoch stays."""
    return replace(config, paused=paused, attempt=attempt)


def plan_policy(config: ConfigRecord, *, policy: AckPolicy, attempt: str) -> ConfigRecord:
    """Acknowledge in another way, under a new epoch."""
    return replace(config, epoch=config.epoch + 1, ack_policy=policy, attempt=attempt)


def plan_settled(config: ConfigRecord, *, attempt: str) -> ConfigRecord:
    """The stream has reported the data loss. The epoch stays."""
    return replace(config, data_loss=False, attempt=attempt)


def note_known(record: ConfigRecord, committed_seq: int) -> ConfigRecord:
    """The next record, with what is known to be committed when it is written."""
    return replace(record, known_seq=max(record.known_seq, committed_seq))


def plan_lost(config: ConfigRecord, *, lost: DeliveryMark, attempt: str) -> ConfigRecord:
    """Clients have reports of what this reign's log lacks (seq 0: it is found again). The epoch stays."""
    return replace(config, lost_epoch=lost.epoch, lost_seq=lost.seq, attempt=attempt)


def plan_repair(last_good: ConfigRecord, *, highest_heard: int, attempt: str) -> ConfigRecord:
    """The last good record again, above every epoch that was heard of: its sequencer takes over anew under it."""
    return replace(last_good, epoch=max(last_good.epoch, highest_heard) + 1, attempt=attempt)


def plan_force(config: ConfigRecord, *, to: int, sequencer: int, highest_promised: int, attempt: str) -> ConfigRecord:
    """A new reign of one engine alone, whatever it lacks: only on an operator's word that data may be lost."""
    others = {*config.in_sync, *config.learners} - {to}
    return replace(
        config,
        epoch=max(config.epoch, highest_promised) + 1,
        sequencer=sequencer,
        primary=to,
        in_sync=(to,),
        learners=tuple(sorted(others)),
        fenced=tuple(member for member in config.fenced if member != to),
        attempt=attempt,
        founding=False,
        data_loss=True,
        known_seq=0,
        lost_epoch=0,
        lost_seq=0,
        accepted_epoch=max(config.epoch, highest_promised) + 1,
    )


def _without(config: ConfigRecord, kept: tuple[int, ...], primary: int, epoch: int, attempt: str) -> ConfigRecord:
    if not kept:
        raise PlanRefused(f"the last in-sync engine is never removed (in sync: {_names(config.in_sync)})")
    removed = tuple(member for member in config.in_sync if member not in kept)
    return replace(
        config,
        epoch=epoch,
        primary=primary or kept[0],
        in_sync=kept,
        learners=tuple(sorted({*config.learners, *removed})),
        attempt=attempt,
    )


def _names(members: tuple[int, ...]) -> str:
    return ", ".join(str(member) for member in members)

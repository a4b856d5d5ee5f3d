from lockstep.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AckPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACK_POLICY_SYNCED: _ClassVar[AckPolicy]
    ACK_POLICY_REPLICATED: _ClassVar[AckPolicy]

class ProcessKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PROCESS_KIND_UNSPECIFIED: _ClassVar[ProcessKind]
    PROCESS_KIND_SEQUENCER: _ClassVar[ProcessKind]
    PROCESS_KIND_ENGINE: _ClassVar[ProcessKind]
    PROCESS_KIND_GATEWAY: _ClassVar[ProcessKind]
    PROCESS_KIND_FEED: _ClassVar[ProcessKind]

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_UNSPECIFIED: _ClassVar[Role]
    ROLE_CANDIDATE: _ClassVar[Role]
    ROLE_TAKING_OVER: _ClassVar[Role]
    ROLE_LEADER: _ClassVar[Role]
    ROLE_LEARNER: _ClassVar[Role]
    ROLE_STANDBY: _ClassVar[Role]
    ROLE_PRIMARY: _ClassVar[Role]
    ROLE_DIVERGED: _ClassVar[Role]
    ROLE_SERVING: _ClassVar[Role]
    ROLE_WAITING: _ClassVar[Role]
ACK_POLICY_SYNCED: AckPolicy
ACK_POLICY_REPLICATED: AckPolicy
PROCESS_KIND_UNSPECIFIED: ProcessKind
PROCESS_KIND_SEQUENCER: ProcessKind
PROCESS_KIND_ENGINE: ProcessKind
PROCESS_KIND_GATEWAY: ProcessKind
PROCESS_KIND_FEED: ProcessKind
ROLE_UNSPECIFIED: Role
ROLE_CANDIDATE: Role
ROLE_TAKING_OVER: Role
ROLE_LEADER: Role
ROLE_LEARNER: Role
ROLE_STANDBY: Role
ROLE_PRIMARY: Role
ROLE_DIVERGED: Role
ROLE_SERVING: Role
ROLE_WAITING: Role

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStatusReply(_message.Message):
    __slots__ = ("kind", "member", "role", "epoch", "seq", "committed_seq", "digest", "primary", "in_sync", "learners", "incarnation", "pid", "cluster_uuid", "counters", "why", "ack_policy", "paused", "fenced", "engines", "journal", "clock_ns", "stamped_time", "no_failover", "link_keys")
    class CountersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    KIND_FIELD_NUMBER: _ClassVar[int]
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_SEQ_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    PRIMARY_FIELD_NUMBER: _ClassVar[int]
    IN_SYNC_FIELD_NUMBER: _ClassVar[int]
    LEARNERS_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_UUID_FIELD_NUMBER: _ClassVar[int]
    COUNTERS_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    ACK_POLICY_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    FENCED_FIELD_NUMBER: _ClassVar[int]
    ENGINES_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_FIELD_NUMBER: _ClassVar[int]
    CLOCK_NS_FIELD_NUMBER: _ClassVar[int]
    STAMPED_TIME_FIELD_NUMBER: _ClassVar[int]
    NO_FAILOVER_FIELD_NUMBER: _ClassVar[int]
    LINK_KEYS_FIELD_NUMBER: _ClassVar[int]
    kind: ProcessKind
    member: int
    role: Role
    epoch: int
    seq: int
    committed_seq: int
    digest: bytes
    primary: int
    in_sync: _containers.RepeatedScalarFieldContainer[int]
    learners: _containers.RepeatedScalarFieldContainer[int]
    incarnation: int
    pid: int
    cluster_uuid: str
    counters: _containers.ScalarMap[str, int]
    why: str
    ack_policy: AckPolicy
    paused: bool
    fenced: _containers.RepeatedScalarFieldContainer[int]
    engines: _containers.RepeatedCompositeFieldContainer[EngineView]
    journal: JournalState
    clock_ns: int
    stamped_time: StampedTime
    no_failover: str
    link_keys: LinkKeys
    def __init__(self, kind: _Optional[_Union[ProcessKind, str]] = ..., member: _Optional[int] = ..., role: _Optional[_Union[Role, str]] = ..., epoch: _Optional[int] = ..., seq: _Optional[int] = ..., committed_seq: _Optional[int] = ..., digest: _Optional[bytes] = ..., primary: _Optional[int] = ..., in_sync: _Optional[_Iterable[int]] = ..., learners: _Optional[_Iterable[int]] = ..., incarnation: _Optional[int] = ..., pid: _Optional[int] = ..., cluster_uuid: _Optional[str] = ..., counters: _Optional[_Mapping[str, int]] = ..., why: _Optional[str] = ..., ack_policy: _Optional[_Union[AckPolicy, str]] = ..., paused: bool = ..., fenced: _Optional[_Iterable[int]] = ..., engines: _Optional[_Iterable[_Union[EngineView, _Mapping]]] = ..., journal: _Optional[_Union[JournalState, _Mapping]] = ..., clock_ns: _Optional[int] = ..., stamped_time: _Optional[_Union[StampedTime, _Mapping]] = ..., no_failover: _Optional[str] = ..., link_keys: _Optional[_Union[LinkKeys, _Mapping]] = ...) -> None: ...

class LinkKeys(_message.Message):
    __slots__ = ("version", "sending", "believed")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SENDING_FIELD_NUMBER: _ClassVar[int]
    BELIEVED_FIELD_NUMBER: _ClassVar[int]
    version: int
    sending: int
    believed: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, version: _Optional[int] = ..., sending: _Optional[int] = ..., believed: _Optional[_Iterable[int]] = ...) -> None: ...

class StampedTime(_message.Message):
    __slots__ = ("last_ns", "next_ns", "clock_ahead_ns", "why")
    LAST_NS_FIELD_NUMBER: _ClassVar[int]
    NEXT_NS_FIELD_NUMBER: _ClassVar[int]
    CLOCK_AHEAD_NS_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    last_ns: int
    next_ns: int
    clock_ahead_ns: int
    why: str
    def __init__(self, last_ns: _Optional[int] = ..., next_ns: _Optional[int] = ..., clock_ahead_ns: _Optional[int] = ..., why: _Optional[str] = ...) -> None: ...

class EngineView(_message.Message):
    __slots__ = ("member", "up", "acked_seq", "digest_equal", "why_not_eligible", "silent_ns")
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    UP_FIELD_NUMBER: _ClassVar[int]
    ACKED_SEQ_FIELD_NUMBER: _ClassVar[int]
    DIGEST_EQUAL_FIELD_NUMBER: _ClassVar[int]
    WHY_NOT_ELIGIBLE_FIELD_NUMBER: _ClassVar[int]
    SILENT_NS_FIELD_NUMBER: _ClassVar[int]
    member: int
    up: bool
    acked_seq: int
    digest_equal: bool
    why_not_eligible: str
    silent_ns: int
    def __init__(self, member: _Optional[int] = ..., up: bool = ..., acked_seq: _Optional[int] = ..., digest_equal: bool = ..., why_not_eligible: _Optional[str] = ..., silent_ns: _Optional[int] = ...) -> None: ...

class JournalState(_message.Message):
    __slots__ = ("first_seq", "snapshot_seq", "restore_bytes", "restore_total_bytes", "oldest_snapshot_seq", "blank", "replayed_seq", "replay_to_seq", "damage")
    FIRST_SEQ_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_SEQ_FIELD_NUMBER: _ClassVar[int]
    RESTORE_BYTES_FIELD_NUMBER: _ClassVar[int]
    RESTORE_TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    OLDEST_SNAPSHOT_SEQ_FIELD_NUMBER: _ClassVar[int]
    BLANK_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_SEQ_FIELD_NUMBER: _ClassVar[int]
    REPLAY_TO_SEQ_FIELD_NUMBER: _ClassVar[int]
    DAMAGE_FIELD_NUMBER: _ClassVar[int]
    first_seq: int
    snapshot_seq: int
    restore_bytes: int
    restore_total_bytes: int
    oldest_snapshot_seq: int
    blank: bool
    replayed_seq: int
    replay_to_seq: int
    damage: str
    def __init__(self, first_seq: _Optional[int] = ..., snapshot_seq: _Optional[int] = ..., restore_bytes: _Optional[int] = ..., restore_total_bytes: _Optional[int] = ..., oldest_snapshot_seq: _Optional[int] = ..., blank: bool = ..., replayed_seq: _Optional[int] = ..., replay_to_seq: _Optional[int] = ..., damage: _Optional[str] = ...) -> None: ...

class SetAutomaticFailoverRequest(_message.Message):
    __slots__ = ("enabled",)
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    def __init__(self, enabled: bool = ...) -> None: ...

class SetAckPolicyRequest(_message.Message):
    __slots__ = ("policy",)
    POLICY_FIELD_NUMBER: _ClassVar[int]
    policy: AckPolicy
    def __init__(self, policy: _Optional[_Union[AckPolicy, str]] = ...) -> None: ...

class FenceMemberRequest(_message.Message):
    __slots__ = ("member", "fenced")
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    FENCED_FIELD_NUMBER: _ClassVar[int]
    member: int
    fenced: bool
    def __init__(self, member: _Optional[int] = ..., fenced: bool = ...) -> None: ...

class ForceFailoverRequest(_message.Message):
    __slots__ = ("to", "accept_data_loss")
    TO_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_DATA_LOSS_FIELD_NUMBER: _ClassVar[int]
    to: int
    accept_data_loss: bool
    def __init__(self, to: _Optional[int] = ..., accept_data_loss: bool = ...) -> None: ...

class OperatorReply(_message.Message):
    __slots__ = ("epoch", "seq")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    seq: int
    def __init__(self, epoch: _Optional[int] = ..., seq: _Optional[int] = ...) -> None: ...

class GetHistoryRequest(_message.Message):
    __slots__ = ("from_epoch",)
    FROM_EPOCH_FIELD_NUMBER: _ClassVar[int]
    from_epoch: int
    def __init__(self, from_epoch: _Optional[int] = ...) -> None: ...

class GetHistoryReply(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[HistoryEntry]
    def __init__(self, entries: _Optional[_Iterable[_Union[HistoryEntry, _Mapping]]] = ...) -> None: ...

class HistoryEntry(_message.Message):
    __slots__ = ("epoch", "first_seq", "timestamp_ns", "cause", "sequencer", "primary", "in_sync", "gap_ns")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEQ_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_NS_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    SEQUENCER_FIELD_NUMBER: _ClassVar[int]
    PRIMARY_FIELD_NUMBER: _ClassVar[int]
    IN_SYNC_FIELD_NUMBER: _ClassVar[int]
    GAP_NS_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    first_seq: int
    timestamp_ns: int
    cause: str
    sequencer: int
    primary: int
    in_sync: _containers.RepeatedScalarFieldContainer[int]
    gap_ns: int
    def __init__(self, epoch: _Optional[int] = ..., first_seq: _Optional[int] = ..., timestamp_ns: _Optional[int] = ..., cause: _Optional[str] = ..., sequencer: _Optional[int] = ..., primary: _Optional[int] = ..., in_sync: _Optional[_Iterable[int]] = ..., gap_ns: _Optional[int] = ...) -> None: ...

class ReinitRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TakeSnapshotRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TakeSnapshotReply(_message.Message):
    __slots__ = ("snapshot",)
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    snapshot: Snapshot
    def __init__(self, snapshot: _Optional[_Union[Snapshot, _Mapping]] = ...) -> None: ...

class ListSnapshotsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListSnapshotsReply(_message.Message):
    __slots__ = ("snapshots",)
    SNAPSHOTS_FIELD_NUMBER: _ClassVar[int]
    snapshots: _containers.RepeatedCompositeFieldContainer[Snapshot]
    def __init__(self, snapshots: _Optional[_Iterable[_Union[Snapshot, _Mapping]]] = ...) -> None: ...

class Snapshot(_message.Message):
    __slots__ = ("seq", "epoch", "digest", "size_bytes", "taken_ns", "verified")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    TAKEN_NS_FIELD_NUMBER: _ClassVar[int]
    VERIFIED_FIELD_NUMBER: _ClassVar[int]
    seq: int
    epoch: int
    digest: bytes
    size_bytes: int
    taken_ns: int
    verified: bool
    def __init__(self, seq: _Optional[int] = ..., epoch: _Optional[int] = ..., digest: _Optional[bytes] = ..., size_bytes: _Optional[int] = ..., taken_ns: _Optional[int] = ..., verified: bool = ...) -> None: ...

class SwitchPrimaryRequest(_message.Message):
    __slots__ = ("to",)
    TO_FIELD_NUMBER: _ClassVar[int]
    to: int
    def __init__(self, to: _Optional[int] = ...) -> None: ...

class SwitchPrimaryReply(_message.Message):
    __slots__ = ("stamp", "primary")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    PRIMARY_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.Stamp
    primary: int
    def __init__(self, stamp: _Optional[_Union[_common_pb2.Stamp, _Mapping]] = ..., primary: _Optional[int] = ...) -> None: ...

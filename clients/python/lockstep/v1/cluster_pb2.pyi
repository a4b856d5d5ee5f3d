from lockstep.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ProcessKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PROCESS_KIND_UNSPECIFIED: _ClassVar[ProcessKind]
    PROCESS_KIND_SEQUENCER: _ClassVar[ProcessKind]
    PROCESS_KIND_ENGINE: _ClassVar[ProcessKind]
    PROCESS_KIND_GATEWAY: _ClassVar[ProcessKind]

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
PROCESS_KIND_UNSPECIFIED: ProcessKind
PROCESS_KIND_SEQUENCER: ProcessKind
PROCESS_KIND_ENGINE: ProcessKind
PROCESS_KIND_GATEWAY: ProcessKind
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
    __slots__ = ("kind", "member", "role", "epoch", "seq", "committed_seq", "digest", "primary", "in_sync", "learners", "incarnation", "pid", "cluster_uuid", "counters", "why")
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
    def __init__(self, kind: _Optional[_Union[ProcessKind, str]] = ..., member: _Optional[int] = ..., role: _Optional[_Union[Role, str]] = ..., epoch: _Optional[int] = ..., seq: _Optional[int] = ..., committed_seq: _Optional[int] = ..., digest: _Optional[bytes] = ..., primary: _Optional[int] = ..., in_sync: _Optional[_Iterable[int]] = ..., learners: _Optional[_Iterable[int]] = ..., incarnation: _Optional[int] = ..., pid: _Optional[int] = ..., cluster_uuid: _Optional[str] = ..., counters: _Optional[_Mapping[str, int]] = ..., why: _Optional[str] = ...) -> None: ...

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

from lockstep.v1 import accounts_pb2 as _accounts_pb2
from lockstep.v1 import common_pb2 as _common_pb2
from lockstep.v1 import feed_pb2 as _feed_pb2
from lockstep.v1 import orders_pb2 as _orders_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PageRequest(_message.Message):
    __slots__ = ("sign_in", "feed", "session", "leave_session", "question")
    SIGN_IN_FIELD_NUMBER: _ClassVar[int]
    FEED_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    LEAVE_SESSION_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    sign_in: SignIn
    feed: _feed_pb2.FeedRequest
    session: _orders_pb2.SessionRequest
    leave_session: LeaveSession
    question: Question
    def __init__(self, sign_in: _Optional[_Union[SignIn, _Mapping]] = ..., feed: _Optional[_Union[_feed_pb2.FeedRequest, _Mapping]] = ..., session: _Optional[_Union[_orders_pb2.SessionRequest, _Mapping]] = ..., leave_session: _Optional[_Union[LeaveSession, _Mapping]] = ..., question: _Optional[_Union[Question, _Mapping]] = ...) -> None: ...

class SignIn(_message.Message):
    __slots__ = ("token",)
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    token: str
    def __init__(self, token: _Optional[str] = ...) -> None: ...

class LeaveSession(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Question(_message.Message):
    __slots__ = ("id", "account", "accounts", "open_orders", "candles")
    ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    OPEN_ORDERS_FIELD_NUMBER: _ClassVar[int]
    CANDLES_FIELD_NUMBER: _ClassVar[int]
    id: int
    account: _accounts_pb2.GetAccountRequest
    accounts: _accounts_pb2.ListAccountsRequest
    open_orders: _accounts_pb2.ListOpenOrdersRequest
    candles: _feed_pb2.ListCandlesRequest
    def __init__(self, id: _Optional[int] = ..., account: _Optional[_Union[_accounts_pb2.GetAccountRequest, _Mapping]] = ..., accounts: _Optional[_Union[_accounts_pb2.ListAccountsRequest, _Mapping]] = ..., open_orders: _Optional[_Union[_accounts_pb2.ListOpenOrdersRequest, _Mapping]] = ..., candles: _Optional[_Union[_feed_pb2.ListCandlesRequest, _Mapping]] = ...) -> None: ...

class PageFrame(_message.Message):
    __slots__ = ("greeting", "feed", "session", "session_ended", "answer", "cluster", "signed_in")
    GREETING_FIELD_NUMBER: _ClassVar[int]
    FEED_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SESSION_ENDED_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    SIGNED_IN_FIELD_NUMBER: _ClassVar[int]
    greeting: Greeting
    feed: _feed_pb2.FeedFrame
    session: _orders_pb2.SessionResponse
    session_ended: SessionEnded
    answer: Answer
    cluster: ClusterState
    signed_in: SignedIn
    def __init__(self, greeting: _Optional[_Union[Greeting, _Mapping]] = ..., feed: _Optional[_Union[_feed_pb2.FeedFrame, _Mapping]] = ..., session: _Optional[_Union[_orders_pb2.SessionResponse, _Mapping]] = ..., session_ended: _Optional[_Union[SessionEnded, _Mapping]] = ..., answer: _Optional[_Union[Answer, _Mapping]] = ..., cluster: _Optional[_Union[ClusterState, _Mapping]] = ..., signed_in: _Optional[_Union[SignedIn, _Mapping]] = ...) -> None: ...

class Greeting(_message.Message):
    __slots__ = ("cluster", "needs_token", "feed")
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    NEEDS_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FEED_FIELD_NUMBER: _ClassVar[int]
    cluster: str
    needs_token: bool
    feed: str
    def __init__(self, cluster: _Optional[str] = ..., needs_token: bool = ..., feed: _Optional[str] = ...) -> None: ...

class SignedIn(_message.Message):
    __slots__ = ("name", "client_number", "any_number")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CLIENT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    ANY_NUMBER_FIELD_NUMBER: _ClassVar[int]
    name: str
    client_number: int
    any_number: bool
    def __init__(self, name: _Optional[str] = ..., client_number: _Optional[int] = ..., any_number: bool = ...) -> None: ...

class SessionEnded(_message.Message):
    __slots__ = ("status", "code", "text", "retry_after_ms")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    status: str
    code: _common_pb2.Code
    text: str
    retry_after_ms: int
    def __init__(self, status: _Optional[str] = ..., code: _Optional[_Union[_common_pb2.Code, str]] = ..., text: _Optional[str] = ..., retry_after_ms: _Optional[int] = ...) -> None: ...

class Answer(_message.Message):
    __slots__ = ("id", "account", "accounts", "open_orders", "candles", "failure")
    ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    OPEN_ORDERS_FIELD_NUMBER: _ClassVar[int]
    CANDLES_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    id: int
    account: _accounts_pb2.GetAccountReply
    accounts: _accounts_pb2.ListAccountsReply
    open_orders: _accounts_pb2.ListOpenOrdersReply
    candles: _feed_pb2.ListCandlesReply
    failure: Failure
    def __init__(self, id: _Optional[int] = ..., account: _Optional[_Union[_accounts_pb2.GetAccountReply, _Mapping]] = ..., accounts: _Optional[_Union[_accounts_pb2.ListAccountsReply, _Mapping]] = ..., open_orders: _Optional[_Union[_accounts_pb2.ListOpenOrdersReply, _Mapping]] = ..., candles: _Optional[_Union[_feed_pb2.ListCandlesReply, _Mapping]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("code", "text", "retry_after_ms")
    CODE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    code: _common_pb2.Code
    text: str
    retry_after_ms: int
    def __init__(self, code: _Optional[_Union[_common_pb2.Code, str]] = ..., text: _Optional[str] = ..., retry_after_ms: _Optional[int] = ...) -> None: ...

class ClusterState(_message.Message):
    __slots__ = ("cluster_uuid", "epoch", "members", "lacks", "failover")
    CLUSTER_UUID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    LACKS_FIELD_NUMBER: _ClassVar[int]
    FAILOVER_FIELD_NUMBER: _ClassVar[int]
    cluster_uuid: str
    epoch: int
    members: _containers.RepeatedCompositeFieldContainer[MemberState]
    lacks: _containers.RepeatedScalarFieldContainer[str]
    failover: Failover
    def __init__(self, cluster_uuid: _Optional[str] = ..., epoch: _Optional[int] = ..., members: _Optional[_Iterable[_Union[MemberState, _Mapping]]] = ..., lacks: _Optional[_Iterable[str]] = ..., failover: _Optional[_Union[Failover, _Mapping]] = ...) -> None: ...

class MemberState(_message.Message):
    __slots__ = ("name", "role", "in_sync", "pid", "why")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    IN_SYNC_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    name: str
    role: str
    in_sync: bool
    pid: int
    why: str
    def __init__(self, name: _Optional[str] = ..., role: _Optional[str] = ..., in_sync: bool = ..., pid: _Optional[int] = ..., why: _Optional[str] = ...) -> None: ...

class Failover(_message.Message):
    __slots__ = ("from_epoch", "to_epoch", "gap_us", "at_ns")
    FROM_EPOCH_FIELD_NUMBER: _ClassVar[int]
    TO_EPOCH_FIELD_NUMBER: _ClassVar[int]
    GAP_US_FIELD_NUMBER: _ClassVar[int]
    AT_NS_FIELD_NUMBER: _ClassVar[int]
    from_epoch: int
    to_epoch: int
    gap_us: int
    at_ns: int
    def __init__(self, from_epoch: _Optional[int] = ..., to_epoch: _Optional[int] = ..., gap_us: _Optional[int] = ..., at_ns: _Optional[int] = ...) -> None: ...

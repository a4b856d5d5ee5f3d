"""The public protocol and the stream use one vocabulary: same names, same numbers."""

from enum import IntEnum

import pytest
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

from lockstep.runtime import topology
from lockstep.stream import codes, records
from lockstep.v1 import cluster_pb2, common_pb2


def _public(wrapper: EnumTypeWrapper, prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): number for name, number in wrapper.items() if not name.endswith("UNSPECIFIED")}


@pytest.mark.parametrize(
    ("public", "prefix", "internal"),
    [
        (common_pb2.Code, "CODE_", codes.Code),
        (common_pb2.Side, "SIDE_", records.Side),
        (common_pb2.OrderType, "ORDER_TYPE_", records.OrderType),
        (common_pb2.TimeInForce, "TIME_IN_FORCE_", records.TimeInForce),
        (common_pb2.SelfTradePrevention, "SELF_TRADE_PREVENTION_", records.SelfTradePrevention),
        (common_pb2.Phase, "PHASE_", records.Phase),
        (common_pb2.AccountStatus, "ACCOUNT_STATUS_", records.AccountStatus),
        (common_pb2.EventKind, "EVENT_KIND_", records.EventKind),
        (cluster_pb2.ProcessKind, "PROCESS_KIND_", topology.ProcessKind),
    ],
)
def test_public_enum_equals_the_stream_s(public: EnumTypeWrapper, prefix: str, internal: type[IntEnum]) -> None:
    assert _public(public, prefix) == {member.name: member.value for member in internal}


def test_public_command_kinds_are_the_order_kinds_of_the_stream() -> None:
    public = _public(common_pb2.CommandKind, "COMMAND_KIND_")
    assert public
    assert all(records.CommandKind[name] == number for name, number in public.items())


def test_retryable_codes_are_exactly_those_that_use_no_session_number() -> None:
    retryable = {code.name for code in codes.Code if codes.is_retryable(code)}
    assert retryable == {
        "SESSION_GAP", "BUSY", "UNAVAILABLE", "SHUTTING_DOWN", "STALE_CONNECTION",
        "NOT_LEADER", "WINDOW_FULL", "STALE_EPOCH", "LINK_GAP",
    }  # fmt: skip

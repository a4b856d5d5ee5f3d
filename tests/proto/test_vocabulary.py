"""Words of the public protocol that are not of the schema, and what its codes mean."""

from lockstep.runtime import topology
from lockstep.stream import codes
from lockstep.v1 import cluster_pb2


def test_process_kinds_are_those_of_the_topology() -> None:
    public = {name.removeprefix("PROCESS_KIND_"): number for name, number in cluster_pb2.ProcessKind.items()}
    assert public == {"UNSPECIFIED": 0} | {kind.name: kind.value for kind in topology.ProcessKind}


def test_retryable_codes_are_exactly_those_that_use_no_session_number() -> None:
    retryable = {code.name for code in codes.Code if codes.is_retryable(code)}
    assert retryable == {
        "SESSION_GAP", "BUSY", "UNAVAILABLE", "SHUTTING_DOWN", "STALE_CONNECTION",
        "NOT_LEADER", "WINDOW_FULL", "STALE_EPOCH", "LINK_GAP",
    }  # fmt: skip

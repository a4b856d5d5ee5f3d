"""What a refused gRPC call says in the standard form: `google.rpc` details, which libraries of all languages read.

Beside our own metadata, which says the same to those who have no such library.
"""

from typing import Final

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import QuotaFailure, RetryInfo
from google.rpc.status_pb2 import Status

KEY: Final = "grpc-status-details-bin"


def details(status: grpc.StatusCode, text: str, pause_ms: int, subject: str = "") -> tuple[str, bytes]:
    """Trailing metadata of a call that may come again in `pause_ms`. `subject`: whose budget is used up, if one is."""
    said = Status(code=status.value[0], message=text)
    said.details.add().Pack(
        RetryInfo(retry_delay=Duration(seconds=pause_ms // 1000, nanos=pause_ms % 1000 * 1_000_000))
    )
    if subject:
        said.details.add().Pack(QuotaFailure(violations=[QuotaFailure.Violation(subject=subject, description=text)]))
    return KEY, said.SerializeToString()

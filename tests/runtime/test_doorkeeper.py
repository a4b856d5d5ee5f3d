"""Who it is comes first, and what can't be decoded is the caller's fault."""

import asyncio

import grpc
import pytest

from lockstep.ops.local.ports import free_ports
from lockstep.runtime.doorkeeper import Doorkeeper
from lockstep.runtime.process import MAX_REQUEST_BYTES, start_aio_grpc_server
from lockstep.runtime.tokens import Entitlements
from lockstep.runtime.topology import Client
from lockstep.stream.codes import Code
from lockstep.v1 import accounts_pb2, accounts_pb2_grpc, cluster_pb2

CLIENT = Client(name="a", token="secret", number=1, accounts=(), admin=False)
ALLOWED = (("authorization", "Bearer secret"),)
METHOD = "/lockstep.v1.Accounts/GetAccount"


class Accounts(accounts_pb2_grpc.AccountsServicer):
    async def GetAccount(self, _request, _context):  # noqa: N802
        return accounts_pb2.GetAccountReply()


def call(raw: bytes, metadata) -> tuple[grpc.StatusCode, str]:
    """Status and code of one call with these bytes as its request."""

    async def run():
        keeper = Doorkeeper(Entitlements((CLIENT,)), ("lockstep.v1.Accounts",))
        address = f"127.0.0.1:{free_ports(1)[0]}"

        def register(target):
            accounts_pb2_grpc.add_AccountsServicer_to_server(Accounts(), target)

        server, _ = await start_aio_grpc_server(
            address, register, ("lockstep.v1.Accounts",), cluster_pb2.GetStatusReply, interceptors=(keeper,)
        )
        try:
            async with grpc.aio.insecure_channel(address) as channel:
                await channel.unary_unary(METHOD)(raw, metadata=metadata, timeout=30)
        except grpc.aio.AioRpcError as error:
            return error.code(), dict(error.trailing_metadata()).get("lockstep-code", "")
        finally:
            await server.stop(0)
        return grpc.StatusCode.OK, ""

    return asyncio.run(run())


@pytest.mark.parametrize("raw", [b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x07" * 100])
def test_bytes_that_are_no_message_are_an_invalid_argument_with_a_code(raw):
    assert call(raw, ALLOWED) == (grpc.StatusCode.INVALID_ARGUMENT, str(int(Code.MALFORMED_BATCH)))


@pytest.mark.parametrize("metadata", [(), (("authorization", "Bearer wrong"),), (("authorization", "secret"),)])
@pytest.mark.parametrize("raw", [b"", b"\xff"])
def test_who_it_is_is_looked_at_before_what_is_asked(raw, metadata):
    assert call(raw, metadata)[0] is grpc.StatusCode.UNAUTHENTICATED


def test_a_request_beyond_the_limit_is_not_taken():
    assert call(b"\x00" * (MAX_REQUEST_BYTES + 1), ALLOWED)[0] is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_an_honest_call_is_served():
    assert call(b"", ALLOWED)[0] is grpc.StatusCode.OK

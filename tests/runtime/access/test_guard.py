"""Who it is comes first, then whether it may; and what can't be decoded is the caller's fault."""

import asyncio
import json
import time
from pathlib import Path

import grpc
import pytest
from google.rpc.error_details_pb2 import QuotaFailure, RetryInfo
from google.rpc.status_pb2 import Status

from lockstep import AsyncClient, Unavailable
from lockstep.ops.local.ports import free_ports
from lockstep.runtime import budget, process
from lockstep.runtime.access.guard import AccessGuard, caller
from lockstep.runtime.access.roles import Role
from lockstep.runtime.access.trail import Trail
from lockstep.runtime.budget import Budgets
from lockstep.runtime.process import MAX_REQUEST_BYTES, start_aio_grpc_server, start_grpc_server
from lockstep.runtime.tokens import Entitlements, PrincipalsUnknown, TooManyLogins
from lockstep.runtime.topology import Principal
from lockstep.stream.codes import Code
from lockstep.v1 import accounts_pb2, accounts_pb2_grpc, cluster_pb2, cluster_pb2_grpc

TRADER = Principal(name="a", token="secret", number=1)
READER = Principal(name="reader", token="reads", number=2, roles=(Role.MARKET_DATA,))
OPERATOR = Principal(name="ada", token="runs", number=3, roles=(Role.OPERATOR,))
KNOWN = Entitlements((TRADER, READER, OPERATOR))
ALLOWED = (("authorization", "Bearer secret"),)
METHOD = "/lockstep.v1.Accounts/GetAccount"


class Accounts(accounts_pb2_grpc.AccountsServicer):
    async def GetAccount(self, _request, _context):  # noqa: N802
        assert caller() is TRADER
        return accounts_pb2.GetAccountReply()


async def serving(run, known: Entitlements = KNOWN, trail: Path = Path()):
    """What `run(address)` returns, beside a server."""
    address = f"127.0.0.1:{free_ports(1)[0]}"

    def register(target):
        accounts_pb2_grpc.add_AccountsServicer_to_server(Accounts(), target)

    server, _ = await start_aio_grpc_server(
        address,
        register,
        ("lockstep.v1.Accounts",),
        cluster_pb2.GetStatusReply,
        access=AccessGuard(known, Trail(trail, "gateway-1")),
    )
    try:
        return await run(address)
    finally:
        await server.stop(0)


def call(
    raw: bytes, metadata, method: str = METHOD, trail: Path = Path(), compression: grpc.Compression | None = None
) -> tuple[grpc.StatusCode, str]:
    """Status and code of one call with these bytes as its request."""

    async def run(address: str) -> tuple[grpc.StatusCode, str]:
        try:
            async with grpc.aio.insecure_channel(address) as channel:
                await channel.unary_unary(method)(raw, metadata=metadata, timeout=30, compression=compression)
        except grpc.aio.AioRpcError as error:
            return error.code(), dict(error.trailing_metadata()).get("lockstep-code", "")
        return grpc.StatusCode.OK, ""

    return asyncio.run(serving(run, trail=trail))


@pytest.mark.parametrize("raw", [b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x07" * 100])
def test_bytes_that_are_no_message_are_an_invalid_argument_with_a_code(raw):
    assert call(raw, ALLOWED) == (grpc.StatusCode.INVALID_ARGUMENT, str(int(Code.MALFORMED_BATCH)))


@pytest.mark.parametrize("metadata", [(), (("authorization", "Bearer wrong"),), (("authorization", "secret"),)])
@pytest.mark.parametrize("raw", [b"", b"\xff"])
def test_who_it_is_is_looked_at_before_what_is_asked(raw, metadata):
    assert call(raw, metadata)[0] is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("raw", [b"", b"\xff"])
def test_a_wrong_role_is_denied_before_what_is_asked_is_read(raw):
    denied = call(raw, (("authorization", "Bearer reads"),))
    assert denied == (grpc.StatusCode.PERMISSION_DENIED, str(int(Code.NOT_ENTITLED)))


def test_who_can_not_be_verified_now_is_no_unknown_caller(monkeypatch):
    async def unknown(_self, _authorization):
        raise PrincipalsUnknown

    monkeypatch.setattr(Entitlements, "identify", unknown)
    assert call(b"", ALLOWED) == (grpc.StatusCode.UNAVAILABLE, str(int(Code.UNAVAILABLE)))


def test_too_many_logins_are_no_unknown_caller_and_say_when_to_come_again(monkeypatch):
    async def identify(_authorization: str | None) -> Principal:
        raise TooManyLogins

    monkeypatch.setattr(KNOWN, "identify", identify)
    assert call(b"", ALLOWED) == (grpc.StatusCode.RESOURCE_EXHAUSTED, str(int(Code.BUSY)))


def test_a_method_that_nobody_knows_is_unimplemented_for_everybody():
    for metadata in ((), ALLOWED):
        assert call(b"", metadata, "/lockstep.v1.Accounts/Steal")[0] is grpc.StatusCode.UNIMPLEMENTED


def test_a_request_beyond_the_limit_is_not_taken():
    assert call(b"\x00" * (MAX_REQUEST_BYTES + 1), ALLOWED)[0] is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_request_that_is_beyond_the_limit_only_when_it_is_unpacked_is_not_taken():
    """64 MiB of nothing are 64 KiB on the wire."""
    bomb = b"\x00" * (64 << 20)
    assert call(bomb, ALLOWED, compression=grpc.Compression.Gzip)[0] is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_metadata_has_a_bound():
    for metadata in ((*ALLOWED, ("x", "a" * 100_000)), (*ALLOWED, *((f"x{number}", "a") for number in range(2_000)))):
        assert call(b"", metadata)[0] is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_an_honest_call_is_served():
    assert call(b"", ALLOWED)[0] is grpc.StatusCode.OK


def test_a_call_beyond_its_callers_budget_is_refused_with_details_that_others_libraries_read(monkeypatch):
    # Slow: what comes back while a busy machine takes its time is nothing.
    monkeypatch.setattr(budget, "SECONDS_AT_ONCE", 500)
    known = Entitlements((TRADER, READER, OPERATOR))
    known.budgets = Budgets(1)

    async def run(address: str) -> None:
        async with AsyncClient(address, token="secret", client_number=1, timeout_s=3) as client:
            await client.account(1)
            assert client.budget is not None
            assert (client.budget.per_s, client.budget.at_once) == (1, 500)
            assert 250 <= client.budget.left < 300
            with pytest.raises(Unavailable, match="the budget of 'a' is used up"):
                await client.account(1)
            assert client.budget.left < 300
        async with grpc.aio.insecure_channel(address) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await channel.unary_unary(METHOD)(b"", metadata=ALLOWED, timeout=30)
            said = dict(refused.value.trailing_metadata())
            assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert said["lockstep-code"] == str(int(Code.BUSY))
            pause_ms = int(said["lockstep-retry-after-ms"])
            assert 1 <= pause_ms <= 63_000
            status = Status.FromString(said["grpc-status-details-bin"])
            retry, quota = RetryInfo(), QuotaFailure()
            assert status.code == 8
            assert status.details[0].Unpack(retry)
            assert retry.retry_delay.ToMilliseconds() == pause_ms
            assert status.details[1].Unpack(quota)
            assert quota.violations[0].subject == "a"
            # Nobody else's.
            await channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=30)

    asyncio.run(serving(run, known))


def test_health_is_said_to_everybody():
    assert call(b"", (), "/grpc.health.v1.Health/Check")[0] is grpc.StatusCode.OK


def test_refusals_stand_in_the_trail_and_no_token_does(tmp_path: Path):
    call(b"", (("authorization", "Bearer my-other-secret"),), trail=tmp_path)
    call(b"", (("authorization", "Bearer reads"),), trail=tmp_path)
    text = (tmp_path / "gateway-1.jsonl").read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    assert [(row["event"], row["who"], row["what"]) for row in rows] == [
        ("refused", "", METHOD),
        ("refused", "reader", METHOD),
    ]
    assert "my-other-secret" not in text
    assert '"reads"' not in text


def test_what_an_operator_does_stands_in_the_trail_with_what_came_of_it(tmp_path: Path):
    def refuse(_request, context):
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not now")

    def done(_request, _context):
        return cluster_pb2.OperatorReply()

    address = f"127.0.0.1:{free_ports(1)[0]}"
    server = start_grpc_server(
        address,
        lambda _server: None,
        (),
        cluster_pb2.GetStatusReply,
        access=AccessGuard(KNOWN, Trail(tmp_path, "sequencer-1")),
        operations={"SetAutomaticFailover": done, "FenceMember": refuse},
    )
    try:
        with grpc.insecure_channel(address) as channel:
            stub, mine = cluster_pb2_grpc.ClusterStub(channel), (("authorization", "Bearer runs"),)
            stub.SetAutomaticFailover(cluster_pb2.SetAutomaticFailoverRequest(), metadata=mine, timeout=30)
            with pytest.raises(grpc.RpcError):
                stub.FenceMember(cluster_pb2.FenceMemberRequest(), metadata=mine, timeout=30)
    finally:
        server.stop(0)
    rows = [json.loads(line) for line in (tmp_path / "sequencer-1.jsonl").read_text().splitlines()]
    assert [(row["who"], row["what"].rpartition("/")[2], row["outcome"]) for row in rows] == [
        ("ada", "SetAutomaticFailover", "asked"),
        ("ada", "SetAutomaticFailover", "done"),
        ("ada", "FenceMember", "asked"),
        ("ada", "FenceMember", "refused: not now"),
    ]


def test_connections_are_bounded_and_one_that_says_nothing_is_closed(monkeypatch):
    """Half-open, a letter at a time, or too many: none of them keeps a place for long."""
    changed = {"grpc.server_handshake_timeout_ms": 500, "grpc.max_allowed_incoming_connections": 3}
    options = tuple((name, changed.get(name, value)) for name, value in process.CLIENTS_OPTIONS)
    assert set(changed) <= {name for name, _ in options}
    monkeypatch.setattr(process, "CLIENTS_OPTIONS", options)

    async def closed_after_s(reader: asyncio.StreamReader) -> float:
        began_s = time.monotonic()
        async with asyncio.timeout(30):
            while await reader.read(1024):
                pass
        return time.monotonic() - began_s

    async def run(address: str) -> None:
        host, _, port = address.partition(":")
        held = [await asyncio.open_connection(host, int(port)) for _ in range(3)]
        for _, writer in held:
            writer.write(b"PRI * HTTP/2.0\r\n")
        beyond, _ = await asyncio.open_connection(host, int(port))
        await closed_after_s(beyond)
        for reader, writer in held:
            assert await closed_after_s(reader) < 20
            writer.close()
        async with grpc.aio.insecure_channel(address) as channel:
            await channel.unary_unary(METHOD)(b"", metadata=ALLOWED, timeout=30, wait_for_ready=True)

    asyncio.run(serving(run))

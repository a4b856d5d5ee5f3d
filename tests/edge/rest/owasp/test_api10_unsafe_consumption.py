"""API10:2023 Unsafe Consumption of APIs: what gateways answer is not believed beyond what it may be."""

import asyncio

import grpc
import pytest

from lockstep.edge.rest.gateways import CallEnded, Gateways
from lockstep.edge.rest.problems import Problem
from lockstep.runtime.topology import Member, ProcessKind
from lockstep.stream.codes import Code
from lockstep.v1 import orders_pb2

UNANSWERED = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
)


class Odd:
    """A gateway that answers as it pleases."""

    def __init__(self, status: grpc.StatusCode, metadata: tuple) -> None:
        self.status, self.metadata = status, metadata

    async def place(self, request, context):
        del request
        await context.abort(self.status, "<script>alert(1)</script>" * 3, self.metadata)


async def answered(odd: Odd, patience_s: float = 0.3) -> CallEnded:
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(
        odd.place,
        request_deserializer=orders_pb2.PlaceRequest.FromString,
        response_serializer=orders_pb2.CommandReply.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("lockstep.v1.OrderEntry", {"Place": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    gateways = Gateways((Member(ProcessKind.GATEWAY, 1, "127.0.0.1", port),))
    try:
        with pytest.raises(CallEnded) as ended:
            await gateways.call("OrderEntry", "Place", orders_pb2.PlaceRequest(), None, patience_s=patience_s)
        return ended.value
    finally:
        await gateways.close()
        await server.stop(None)


@pytest.mark.parametrize(
    "metadata",
    [(), (("lockstep-code", "99999"),), (("lockstep-code", "x"),), (("lockstep-retry-after-ms", "-5"),),
     (("lockstep-code", "1102"), ("lockstep-retry-after-ms", "999999999999"))],
)  # fmt: skip
def test_odd_metadata_of_a_gateway_does_no_harm_and_takes_no_longer(metadata):
    async def run() -> None:
        ended = await asyncio.wait_for(answered(Odd(grpc.StatusCode.UNAVAILABLE, metadata)), 5)
        assert ended.unanswered
        assert ended.code in (Code.UNAVAILABLE, Code.BUSY)

    asyncio.run(run())


@pytest.mark.parametrize("status", [one for one in grpc.StatusCode if one is not grpc.StatusCode.OK])
def test_every_status_of_a_gateway_is_an_answer_or_no_answer(status):
    async def run() -> None:
        ended = await asyncio.wait_for(answered(Odd(status, (("lockstep-code", "1009"),))), 10)
        # Of those that are asked for again the last attempt may end with the time that is left.
        assert ended.unanswered is (status in UNANSWERED)
        assert ended.unanswered or ended.status is status

    asyncio.run(run())


def test_what_a_gateway_says_is_data_in_a_problem_document():
    problem = Problem(Code.UNAVAILABLE, "<script>alert(1)</script>")
    assert b'"detail":"<script>alert(1)</script>"' in problem.body()


class InTurn(Odd):
    """Answers with one status after the other, with the last one from then on."""

    def __init__(self, *answers: tuple[grpc.StatusCode, Code]) -> None:
        self.answers = list(answers)

    async def place(self, request, context):
        del request
        status, code = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        await context.abort(status, "no", (("lockstep-code", str(int(code))),))


@pytest.mark.parametrize("lost", [False, True])
def test_a_refusal_behind_a_call_that_was_lost_is_no_word_that_nothing_was_carried_out(lost):
    busy = grpc.StatusCode.RESOURCE_EXHAUSTED, Code.BUSY
    first = [(grpc.StatusCode.UNAVAILABLE, Code.UNAVAILABLE)] if lost else []

    async def run() -> None:
        ended = await answered(InTurn(*first, busy))
        assert ended.refused is not lost

    asyncio.run(run())

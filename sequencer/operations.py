"""The operators' side of a sequencer's gRPC server: each method puts one request into the loop's inbox and waits.

The loop decides; these handlers run in threads and only wait. A refusal is FAILED_PRECONDITION with its reason.
"""

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import Any, Final

import grpc

from lockstep.runtime.etcd import StoreError
from lockstep.runtime.process import Operation
from lockstep.sequencer import events as ev
from lockstep.sequencer.status import history_entry
from lockstep.sequencer.store_link import Inbox, StoreLink
from lockstep.stream.records import AckPolicy
from lockstep.v1 import cluster_pb2, common_pb2

_TIMEOUT_S: Final = 12.0
_HISTORY_TIMEOUT_S: Final = 3.0

MakeRequest = Callable[[int], ev.OperatorRequest]


@dataclass(slots=True)
class StatusAsked:
    """gRPC's loop wants the status."""

    reply: "Future[cluster_pb2.GetStatusReply]"


@dataclass(slots=True)
class OperatorAsked:
    """A gRPC thread has an operator's order. `make` builds it around the number by which the answer is known."""

    make: MakeRequest
    reply: "Future[ev.OperatorAnswer]"


def ask_status(inbox: Inbox) -> "Future[cluster_pb2.GetStatusReply]":
    """The loop's answer to GetStatus, when it comes."""
    reply: Future[cluster_pb2.GetStatusReply] = Future()
    inbox.put(StatusAsked(reply))
    return reply


def operations(inbox: Inbox, store: StoreLink) -> dict[str, Operation]:
    """Handlers by method name."""

    def ask(make: MakeRequest, context: Any) -> ev.OperatorAnswer:
        asked = OperatorAsked(make, Future())
        inbox.put(asked)
        try:
            answer = asked.reply.result(_TIMEOUT_S)
        except FutureTimeout:
            context.abort(
                grpc.StatusCode.DEADLINE_EXCEEDED,
                f"not done within {_TIMEOUT_S:g} s (is etcd up?); `lockstep status` shows what came of it",
            )
            raise
        if answer.refused:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, answer.refused)
        return answer

    def done(make: MakeRequest, context: Any) -> cluster_pb2.OperatorReply:
        answer = ask(make, context)
        return cluster_pb2.OperatorReply(epoch=answer.epoch, seq=answer.seq)

    def switch(request: cluster_pb2.SwitchPrimaryRequest, context: Any) -> cluster_pb2.SwitchPrimaryReply:
        answer = ask(lambda number: ev.SwitchPrimaryRequested(number, request.to), context)
        stamp = common_pb2.Stamp(epoch=answer.epoch, seq=answer.seq)
        return cluster_pb2.SwitchPrimaryReply(stamp=stamp, primary=answer.primary)

    def mode(request: cluster_pb2.SetAutomaticFailoverRequest, context: Any) -> cluster_pb2.OperatorReply:
        return done(lambda number: ev.FailoverModeRequested(number, request.enabled), context)

    def policy(request: cluster_pb2.SetAckPolicyRequest, context: Any) -> cluster_pb2.OperatorReply:
        try:
            wanted = AckPolicy(request.policy)
        except ValueError:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"unknown acknowledgement policy {request.policy}")
            raise
        return done(lambda number: ev.AckPolicyRequested(number, wanted), context)

    def fence(request: cluster_pb2.FenceMemberRequest, context: Any) -> cluster_pb2.OperatorReply:
        return done(lambda number: ev.MemberFenceRequested(number, request.member, request.fenced), context)

    def force(request: cluster_pb2.ForceFailoverRequest, context: Any) -> cluster_pb2.OperatorReply:
        if not request.accept_data_loss:
            context.abort(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"engine {request.to} may lack commands that were acknowledged to clients: say accept_data_loss",
            )
        return done(lambda number: ev.ForceFailoverRequested(number, request.to), context)

    return {
        "SwitchPrimary": switch,
        "SetAutomaticFailover": mode,
        "SetAckPolicy": policy,
        "FenceMember": fence,
        "ForceFailover": force,
        "GetHistory": lambda request, context: _history(store, request, context),
    }


def _history(store: StoreLink, request: cluster_pb2.GetHistoryRequest, context: Any) -> cluster_pb2.GetHistoryReply:
    try:
        lines = store.history(_HISTORY_TIMEOUT_S)
    except (StoreError, TimeoutError, ValueError) as error:
        context.abort(grpc.StatusCode.UNAVAILABLE, f"etcd does not answer ({error}): the journals hold the epochs too")
        raise
    entries = [history_entry(line) for line in lines if line.epoch >= request.from_epoch]
    return cluster_pb2.GetHistoryReply(entries=entries)

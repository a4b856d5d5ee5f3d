"""Answers of an engine's service, all replies at once: nobody has to be kept from its work here."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from lockstep.replica.fetches import Fetches
from lockstep.replica.turnstile import never
from lockstep.runtime.refusal import Refusal, busy
from lockstep.trials.simulation.network import Done, Network
from lockstep.v1 import replication_pb2

_PAGE_SEQS: Final = 60


def answer_with(answer: Done, ask: Callable[[], Any]) -> None:
    """What is read, or the refusal in words."""
    try:
        value = ask()
    except Refusal as refusal:
        answer(None, str(refusal))
        return
    answer(value, "")


def all_of[R](replies: Iterator[R | None]) -> list[R]:
    """Of a read that nobody interrupts."""
    return [reply for reply in replies if reply is not None]


def a_page(
    fetches: Fetches, request: replication_pb2.FetchEventsRequest, network: Network
) -> list[replication_pb2.FetchEventsReply]:
    """What is found before the time of one call is over, which is that of reading some seqs. Raises Refusal."""
    kernel = network.kernel
    if not network.calm and kernel.chance(1, 20):
        raise busy("others come first")
    wanted = replication_pb2.FetchEventsRequest()
    wanted.CopyFrom(request)
    wanted.to_seq = min(request.to_seq, request.after.seq + kernel.between(1, _PAGE_SEQS))
    replies = all_of(fetches.events(wanted, never))
    replies[-1].paused = replies[-1].through_seq == wanted.to_seq < request.to_seq
    return replies

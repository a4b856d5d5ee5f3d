"""Answers of an engine's service, all replies at once: nobody has to be kept from its work here."""

from collections.abc import Callable, Iterator
from typing import Any

from lockstep.replica.fetches import Fetches
from lockstep.replica.turnstile import never
from lockstep.runtime.refusal import Refusal
from lockstep.trials.simulation.network import Done
from lockstep.v1 import replication_pb2


def answer_with(answer: Done, ask: Callable[[], Any]) -> None:
    """What is read, or the refusal in words."""
    try:
        told = ask()
    except Refusal as refusal:
        answer(None, str(refusal))
        return
    answer(told, "")


def all_of[R](replies: Iterator[R | None]) -> list[R]:
    """Of a read that nobody interrupts."""
    return [reply for reply in replies if reply is not None]


def all_pages(fetches: Fetches, request: replication_pb2.FetchEventsRequest) -> list[replication_pb2.FetchEventsReply]:
    """Page after page, as a gateway asks for them."""
    wanted = replication_pb2.FetchEventsRequest()
    wanted.CopyFrom(request)
    replies: list[replication_pb2.FetchEventsReply] = []
    while not replies or replies[-1].paused:
        replies += all_of(fetches.events(wanted, never))
        wanted.after.seq, wanted.after.index = replies[-1].through_seq, 2**32 - 1
    return replies

"""What the real gRPC service of an engine wants of a call's context, in the simulation."""

from collections.abc import Callable
from typing import Any, NoReturn

import grpc

from lockstep.replica.service import UUID_KEY
from lockstep.trials.simulation.network import Done


class Aborted(Exception):
    """A service method has refused."""


class CallContext:
    """What the real service wants of a gRPC context."""

    def __init__(self, uuid: str = "") -> None:
        self._uuid = uuid
        self.replied_uuid = ""

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        """The caller's metadata."""
        return ((UUID_KEY, self._uuid),) if self._uuid else ()

    def send_initial_metadata(self, metadata: tuple[tuple[str, str], ...]) -> None:
        """The answer's metadata."""
        self.replied_uuid = dict(metadata).get(UUID_KEY, "")

    def set_trailing_metadata(self, metadata: object) -> None:
        """Nobody reads it here."""

    def abort(self, code: grpc.StatusCode, text: str) -> NoReturn:
        """Refuse."""
        raise Aborted(f"{code.name}: {text}")

    def is_active(self) -> bool:
        """The caller still waits."""
        return True

    def add_callback(self, _call: object) -> bool:
        """Calls run to their end here."""
        return True


def answer_with(answer: Done, ask: Callable[[], Any]) -> None:
    """Answer with what `ask` returns, or with the text of its refusal."""
    try:
        told = ask()
    except Aborted as aborted:
        answer(None, str(aborted))
        return
    answer(told, "")

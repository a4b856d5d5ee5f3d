"""What commands that trade-side operators use have in common: an administrator's session, and before and after."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click
import grpc
import numpy as np

from lockstep.errors import Refused as CommandRefused
from lockstep.errors import Unavailable
from lockstep.ops.cli.cluster.steps import Refused, Unknown
from lockstep.ops.cli.options import Failure
from lockstep.runtime.access.dialing import introduce, open_channel
from lockstep.runtime.channel_options import CHANNEL_OPTIONS
from lockstep.runtime.config import load
from lockstep.runtime.engine_pages import event_pages
from lockstep.runtime.tokens import number_of
from lockstep.runtime.topology import Topology
from lockstep.stream.records import SETTING_EVENT, EventKind
from lockstep.sync import Client, Session
from lockstep.v1 import common_pb2, replication_pb2, replication_pb2_grpc
from lockstep.values import CommandResult

_TIMEOUT_S: Final = 10.0
_SETTINGS: Final = (EventKind.PHASE_CHANGED, EventKind.ACCOUNT_STATUS_SET)

token_option = click.option(
    "--token",
    envvar="LOCKSTEP_TOKEN",
    show_envvar=True,
    help="Token to act with; default: what the cluster's key makes of you, an operator.",
)


@contextmanager
def venue(config_path: Path, token: str | None) -> Iterator[tuple[Topology, Client, Session]]:
    """A session with an operator's rights.

    Raises:
        Refused: the cluster refuses a command or the token. Failure: no gateway takes it. Unknown: no answer came.
    """
    topology = load(config_path)
    identity = introduce(topology)
    own = identity.token if identity is not None else None
    chosen = token or own or next((client.token for client in topology.clients if client.admin), None)
    number = number_of(topology, chosen) if chosen else None
    addresses = tuple(gateway.grpc_address for gateway in topology.gateways)
    try:
        with Client(addresses, token=chosen, client_number=number, timeout_s=_TIMEOUT_S) as client:
            session = _open(client, addresses)
            try:
                yield topology, client, session
            finally:
                session.close(0.5)
    except CommandRefused as error:
        raise Refused(f"the cluster refuses: {error}. Nothing was changed") from error
    except (Unavailable, TimeoutError) as error:
        raise Unknown(f"{error or 'no answer in time'}; it may have been done or not") from error


def _open(client: Client, addresses: tuple[str, ...]) -> Session:
    try:
        return client.session(timeout_s=_TIMEOUT_S)
    except (Unavailable, TimeoutError) as error:
        raise Failure(
            f"no gateway took the command within {_TIMEOUT_S:g} s (tried {', '.join(addresses)}), so nothing was "
            "changed; `lockstep cluster status` shows which gateways serve, and why others do not"
        ) from error


def result_of(handle: Any) -> CommandResult:
    """The outcome of a command, waited for. Raises what `venue` translates."""
    result: CommandResult = handle.result(_TIMEOUT_S)
    return result


def value_before(topology: Topology, seq: int, name: Callable[[int], str]) -> str:
    """What a phase or status was before the command at `seq` set it; "?" if no engine says."""
    request = replication_pb2.FetchEventsRequest(after=common_pb2.EventId(seq=seq - 1, index=2**32 - 1), to_seq=seq)
    for engine in topology.engines:
        with open_channel(engine.grpc_address, CHANNEL_OPTIONS) as channel:
            stub = replication_pb2_grpc.ReplicationStub(channel)
            try:
                raw = b"".join(reply.events for reply in event_pages(stub, request, timeout_s=2.0))
            except grpc.RpcError:
                continue
        events = np.frombuffer(raw, SETTING_EVENT)
        found = events[(events["seq"] == seq) & np.isin(events["kind"], _SETTINGS)]
        if len(found):
            return name(int(found[0]["previous_value"]))
    return "?"

"""What a message of a session asks for, as command records: columns, single commands, administration. Pure."""

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lockstep.gateway.validation import ShapeError, build_records
from lockstep.gateway.wire import ADMIN_COMMANDS, Request, Unparsable, admin_record, command_columns, note_record
from lockstep.runtime.access.permissions import MASS_CANCELERS, roles_for_command
from lockstep.runtime.access.roles import Role
from lockstep.runtime.topology import Principal
from lockstep.stream.codes import Code
from lockstep.stream.records import Commands

_NONE: Final = np.empty(0, dtype=np.uint32)


def accounts_of(client: Principal) -> NDArray[np.uint32] | None:
    """The accounts that a client may enter orders for; None: all."""
    if Role.TRADER not in client.rights:
        return _NONE
    return np.array(client.accounts, dtype=np.uint32) if client.accounts else None


def instruments_of(client: Principal) -> NDArray[np.uint32] | None:
    """The instruments that a client may enter orders for; None: all."""
    return None if client.instruments is None else _numbers(client.instruments)


@lru_cache(maxsize=256)
def _numbers(instruments: tuple[int, ...]) -> NDArray[np.uint32]:
    return np.array(instruments, dtype=np.uint32)


def records_of(
    request: Request,
    session_id: int,
    client: Principal,
    accounts: NDArray[np.uint32] | None,
    *,
    gateway: int,
    max_rows: int,
    now_ns: int,
) -> Commands:
    """The request's commands, for the session. `accounts`: of the client, by `accounts_of`.

    Raises:
        ShapeError, Unparsable: the message can't be taken at all.
    """
    command = request.command
    if command is not None:
        if command.session_no == 0:
            raise ShapeError(Code.MALFORMED_BATCH, "session_no is 0; session numbers count from 1")
        which = command.WhichOneof("command")
        if which == "note":
            return note_record(command, session_id=session_id, gateway=gateway, now_ns=now_ns)
        if which in ADMIN_COMMANDS:
            allowed = client.may(roles_for_command(which))
            return admin_record(command, session_id=session_id, gateway=gateway, allowed=allowed, now_ns=now_ns)
        batch = command_columns(command)
    elif request.batch is not None:
        batch = request.batch
    else:
        raise Unparsable("Hello comes once, as the first message of a session")
    return build_records(
        batch,
        session_id=session_id,
        gateway=gateway,
        accounts=accounts,
        max_rows=max_rows,
        now_ns=now_ns,
        admin=client.may(MASS_CANCELERS),
        instruments=instruments_of(client),
    )

"""What a message of a session asks for, as command records: columns, single commands, administration. Pure."""

import numpy as np
from numpy.typing import NDArray

from lockstep.gateway.validation import ShapeError, build_records
from lockstep.gateway.wire import ADMIN_COMMANDS, Request, Unparsable, admin_record, command_columns, note_record
from lockstep.runtime.topology import Client
from lockstep.stream.codes import Code
from lockstep.stream.records import Commands


def accounts_of(client: Client) -> NDArray[np.uint32] | None:
    """The accounts that a client may act for; None: all."""
    return np.array(client.accounts, dtype=np.uint32) if client.accounts else None


def records_of(
    request: Request,
    session_id: int,
    client: Client,
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
        if command.WhichOneof("command") == "note":
            return note_record(command, session_id=session_id, gateway=gateway, now_ns=now_ns)
        if command.WhichOneof("command") in ADMIN_COMMANDS:
            return admin_record(command, session_id=session_id, gateway=gateway, allowed=client.admin, now_ns=now_ns)
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
        admin=client.admin,
    )

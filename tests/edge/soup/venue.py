"""An engine and a session's codec at it, without a cluster between them."""

from typing import Any

import numpy as np

from lockstep.edge.soup import codec as plain
from lockstep.edge.soup import native
from lockstep.engine import EngineDriver
from lockstep.engine.native import NativeEngine
from lockstep.gateway.reports import route
from lockstep.stream.records import COMMAND, CommandKind
from tests.edge.soup.ouch_messages import messages, unsequenced

SESSION = 5 << 32 | 1
OTHER = 6 << 32 | 1
NOON_NS = 12 * 3600 * 1_000_000_000
CODECS = {"plain": plain, "native": native}


def make_codec(kind: str, session_id: int = SESSION, accounts: tuple[int, ...] = (), **options: Any) -> Any:
    """A codec that knows two instruments: ACME (a cent, single shares) and LOTS (a ten-thousandth, lots of 100)."""
    module = CODECS[kind]
    instruments = module.Instruments()
    assert instruments.define(1, b"ACME", 10_000, 1)
    assert instruments.define(2, b"LOTS", 100, 100)
    given = {"gateway": 3, "account": 1, "stp": 0, "max_tokens": 100_000, "seed": 9, **options}
    return module.Codec(instruments, session_id=session_id, accounts=accounts, **given)


class Venue:
    """What a door does with its codec: numbers commands, executes them, and keeps the session's rows."""

    def __init__(self, engine_type: Any = NativeEngine) -> None:
        self.engine = engine_type()
        self.seq = 1
        self.now_ns = NOON_NS
        self.last_no: dict[int, int] = {}
        self.rows: dict[int, list[Any]] = {}
        self.desk = EngineDriver(self.engine)
        self._set_up()

    def _set_up(self) -> None:
        add = self.desk.commands
        add.define_instrument(instrument=1, symbol="ACME", tick_micros=10_000)
        add.define_instrument(instrument=2, symbol="LOTS", tick_micros=100, lot_units=100)
        for account in (1, 2):
            add.define_account(account=account, name=f"A{account}", unlimited_cash=True, unlimited_positions=True)
        self.desk.apply(self.now_ns)
        self.seq = self.engine.last_seq + 1

    def set_phase(self, phase: str) -> None:
        """For ACME."""
        self.desk.commands.set_phase(instrument=1, phase=phase)
        self.apply(self.desk.commands.take())

    def cancel_all(self, account: int) -> None:
        """As an operator does."""
        self.desk.commands.mass_cancel(account=account)
        self.apply(self.desk.commands.take())

    def tick(self, forward_ns: int) -> None:
        """Time goes on."""
        self.now_ns += forward_ns
        record = np.zeros(1, dtype=COMMAND)
        record["kind"] = CommandKind.TICK
        self.apply(record)

    def apply(self, records: Any) -> None:
        """Execute commands; rows are kept by session."""
        self.now_ns += 1_000_000
        events = self.engine.apply(records, first_seq=self.seq, timestamp_ns=self.now_ns)
        self.seq += len(records)
        routed = route(events)
        if routed is None:
            return
        for position, session_id in enumerate(routed.sessions):
            self.rows.setdefault(session_id, []).append(routed.of(position))

    def send(self, codec: Any, raw: bytes, session_id: int = SESSION) -> tuple[int, int, int, bytes]:
        """A client's bytes through the codec into the engine; what `decode` said."""
        next_no = self.last_no.get(session_id, 0) + 1
        said = codec.decode(raw, next_no, 1000, self.now_ns)
        records = np.frombuffer(said[3], dtype=COMMAND)
        if len(records):
            self.last_no[session_id] = next_no + len(records) - 1
            self.apply(records)
        return said

    def take(self, codec: Any, session_id: int = SESSION, emit_from: int = 1) -> bytes:
        """All rows of the session so far, encoded; the rows are kept no more."""
        parts = self.rows.pop(session_id, [])
        return b"".join(codec.encode(part.rows, part.legs, emit_from) for part in parts)

    def say(self, codec: Any, *texts: bytes, session_id: int = SESSION) -> list[dict[str, Any]]:
        """Messages to the venue; what it answers."""
        self.send(codec, unsequenced(*texts), session_id)
        return messages(self.take(codec, session_id))

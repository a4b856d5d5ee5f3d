from collections.abc import Buffer, Sequence

SCHEMA: int

class Instruments:
    def __init__(self) -> None: ...
    def __len__(self) -> int: ...
    def define(self, id: int, name: bytes, tick_micros: int, units: int) -> bool: ...

class Codec:
    def __init__(
        self,
        instruments: Instruments,
        *,
        session_id: int,
        gateway: int,
        account: int,
        accounts: Sequence[int],
        stp: int,
        max_tokens: int,
        seed: int,
    ) -> None: ...
    @property
    def next_message(self) -> int: ...
    @property
    def used(self) -> int: ...
    @property
    def alive(self) -> int: ...
    def decode(self, data: Buffer, next_no: int, room: int, now_ns: int) -> tuple[int, int, int, bytes]: ...
    def encode(self, rows: Buffer, legs: Buffer, emit_from: int) -> bytes: ...

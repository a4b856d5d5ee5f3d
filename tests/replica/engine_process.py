"""Runs one engine of a topology that a test describes on the command line."""

import json
import sys
from pathlib import Path

from lockstep.replica.process import run
from lockstep.runtime.topology import Member, ProcessKind, Topology


def topology(described: dict) -> Topology:
    def members(kind: ProcessKind) -> tuple[Member, ...]:
        return tuple(
            Member(kind, number, "127.0.0.1", grpc, watch, data_dir=Path(described["data"]) / f"{kind.name}-{number}")
            for number, (grpc, watch) in enumerate(described[kind.name.lower()], start=1)
        )

    return Topology(
        "test",
        (),
        Path(described["aeron"]),
        members(ProcessKind.SEQUENCER),
        members(ProcessKind.ENGINE),
        members(ProcessKind.GATEWAY),
        ack_policy=described.get("ack_policy", "synced"),
    )


if __name__ == "__main__":
    whole = topology(json.loads(sys.argv[1]))
    sys.exit(run(whole, whole.member(ProcessKind.ENGINE, int(sys.argv[2]))))

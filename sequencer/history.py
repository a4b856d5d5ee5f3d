"""How a line of the cluster's history is stored in etcd: JSON, one key for each epoch. For people, never authority."""

import json

from lockstep.sequencer.events import EpochCause, EpochOpened


def encode_history(line: EpochOpened) -> bytes:
    """One epoch as JSON."""
    return json.dumps(
        {
            "epoch": line.epoch,
            "first_seq": line.first_seq,
            "timestamp_ns": line.timestamp_ns,
            "cause": line.cause.name,
            "sequencer": line.sequencer,
            "primary": line.primary,
            "in_sync": list(line.in_sync),
            "gap_ns": line.gap_ns,
        }
    ).encode()


def decode_history(value: bytes) -> EpochOpened:
    """Read a stored line.

    Raises:
        ValueError: it is not one.
    """
    try:
        fields = json.loads(value)
        fields["cause"] = EpochCause[fields["cause"]]
        fields["in_sync"] = tuple(fields["in_sync"])
        return EpochOpened(**fields)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"not a line of history: {error!r}") from error

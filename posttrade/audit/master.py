"""The master key of a key store: a file with 64 hexadecimal digits, which its owner alone can read."""

import secrets
from pathlib import Path

from lockstep.posttrade.audit.officers import SECRET, write_secret
from lockstep.runtime.faults import EnvironmentFault, os_error_text


def next_of(path: Path) -> Path:
    """The master key that this one is being changed for."""
    return path.with_name(f"{path.name}.next")


def former_of(path: Path) -> Path:
    """The master key that it was changed for this one."""
    return path.with_name(f"{path.name}.former")


def coming_key(path: Path) -> bytes | None:
    """The master key that the one in `path` is being changed for; None: it is not being changed.

    Raises:
        EnvironmentFault: it is there, and can't be read, or is none.
    """
    return master_key(next_of(path), make=False) if next_of(path).exists() else None


def master_key(path: Path, *, make: bool) -> bytes:
    """The master key in a file that its owner alone can read. `make`: make it, if it is missing.

    Raises:
        EnvironmentFault: it is missing, can't be read, or is none.
    """
    if make and not path.exists():
        write_secret(path, secrets.token_bytes(SECRET).hex().encode() + b"\n")
    try:
        found = bytes.fromhex(path.read_text("ascii").strip())
    except FileNotFoundError:
        raise EnvironmentFault(
            f"the master key {path} is missing: restore it, or name where it is (--master-key); without it nobody "
            "can read the key store"
        ) from None
    except OSError as error:
        raise EnvironmentFault(os_error_text(error)) from error
    except ValueError as error:
        raise EnvironmentFault(f"{path} has no master key (64 hexadecimal digits): {error}; restore it") from error
    if len(found) != SECRET:
        raise EnvironmentFault(f"{path} has no master key: it has {len(found)} bytes, not {SECRET}; restore it")
    return found

"""What a value of the configuration may be: kinds, bounds, and how a wrong one is shown.

Every number has bounds, every port, host, endpoint and path a form. A value that passes here can be used as it is.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from lockstep.runtime.access.roles import GRANTABLE
from lockstep.runtime.faults import BadInput
from lockstep.stream.values import frozen

_SHOWN: Final = 80
_LABEL: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\Z")
_TOKEN: Final = re.compile(r"[!-~]{1,4096}\Z")
_SOUP_USER: Final = re.compile(r"[!-~]{0,6}\Z")
_SOUP_PASSWORD: Final = re.compile(r"[!-~]{0,10}\Z")
_LONGEST_PATH: Final = 1024
_LONGEST_NAME: Final = 128
_U32_MAX: Final = 2**32 - 1


class ConfigError(BadInput):
    """The configuration can't be used. The text names the file, the key and the remedy."""


@frozen
class Key:
    """One known key of one section."""

    name: str
    kind: str
    """A key of CHECKS."""
    default: object = None
    required: bool = False
    low: int = 0
    """Of a number: the least and the greatest there may be."""
    high: int = 2**63 - 1
    step: int = 1
    """Of a number: what it is a multiple of."""


def shown(value: object) -> str:
    """A value for a message, cut if it is long. A file can hold numbers that Python does not write in digits."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        text = f"a very long {type(value).__name__}"
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_text(value: object) -> bool:
    """A text that is not empty and has no characters that can't be seen."""
    return isinstance(value, str) and value != "" and value.isprintable()


def is_name(value: object) -> bool:
    """A name that is part of a key in etcd."""
    return is_text(value) and "/" not in str(value) and len(str(value)) <= _LONGEST_NAME


def is_path(value: object) -> bool:
    """A path, of a length that file systems take."""
    return is_text(value) and len(str(value).encode()) <= _LONGEST_PATH


def is_host(value: object) -> bool:
    """A host name or an IPv4 address, as it stands in `host:port`."""
    if not isinstance(value, str) or not 0 < len(value) <= 253:
        return False
    labels = value.removesuffix(".").split(".")
    if labels[-1].isdecimal():
        try:
            ipaddress.IPv4Address(value)
        except ValueError:
            return False
    return all(_LABEL.match(label) for label in labels)


def is_endpoint(value: object) -> bool:
    """`host:port`, where the host may also be an IPv6 address in brackets."""
    if not isinstance(value, str):
        return False
    host, _, port = value.rpartition(":")
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and 0 < int(port) < 65_536):
        return False
    if host.startswith("[") and host.endswith("]"):
        try:
            ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            return False
        return True
    return is_host(host)


CHECKS: Final[Mapping[str, tuple[str, Callable[[Any], bool]]]] = {
    "text": ("a text in quotes, without control characters", is_text),
    "name": ("a text in quotes, of at most 128 characters, without slashes", is_name),
    "path": ("a path in quotes, of at most 1024 bytes", is_path),
    "optional text": ('a text in quotes, or "" for none', lambda v: v == "" or is_text(v)),
    "optional path": ('a path in quotes, of at most 1024 bytes, or "" for none', lambda v: v == "" or is_path(v)),
    "host": ("a host name or an IPv4 address in quotes", is_host),
    "token": ("a text of printable ASCII characters in quotes, without blanks", lambda v: bool(_matches(_TOKEN, v))),
    "soup user": (
        "at most 6 printable ASCII characters in quotes, without blanks",
        lambda v: bool(_matches(_SOUP_USER, v)),
    ),
    "soup password": (
        "at most 10 printable ASCII characters in quotes, without blanks",
        lambda v: bool(_matches(_SOUP_PASSWORD, v)),
    ),
    "endpoint": (
        'a host:port text such as "10.0.0.1:7460", or "" for none',
        lambda v: v == "" or is_endpoint(v),
    ),
    "database": (
        'a URL such as "postgresql://user@host/name" in quotes, or "" for SQLite',
        lambda v: v == "" or (is_text(v) and v.startswith(("postgresql://", "postgres://"))),
    ),
    "number": ("a whole number, 0 or more", lambda v: _is_integer(v) and v >= 0),
    "port": ("a port from 1 to 65535", lambda v: _is_integer(v) and 0 < v < 65_536),
    "yes/no": ("true or false", lambda v: isinstance(v, bool)),
    "list of endpoints": (
        'a list of host:port texts such as ["10.0.0.1:2379", "10.0.0.2:2379"], not empty',
        lambda v: isinstance(v, list) and len(v) > 0 and all(is_endpoint(x) for x in v),
    ),
    "list of roles": (
        f'a list of roles such as ["trader"]; there are: {", ".join(GRANTABLE)}',
        lambda v: isinstance(v, list) and all(x in GRANTABLE for x in v),
    ),
    "list of numbers": (
        "a list of whole numbers such as [1, 2]",
        lambda v: isinstance(v, list) and all(_is_integer(x) and 0 < x <= _U32_MAX for x in v),
    ),
}
"""By kind: what a value must be, and whether it is."""


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.match(value) is not None


def check_value(key: Key, value: Any, where: str) -> None:
    """Whether a key may have this value. `where`: file and section, for the message.

    Raises:
        ConfigError: it may not.
    """
    wanted, accepts = CHECKS[key.kind]
    # A secret is one also in the wrong form.
    found = "" if key.kind in ("token", "soup password", "database") else f", not {shown(value)}"
    if not accepts(value):
        raise ConfigError(f"{where}: {key.name!r} must be {wanted}{found}")
    if key.kind != "number":
        return
    if value < key.low:
        raise ConfigError(f"{where}: {key.name!r} must be {key.low} or more{found}")
    if value > key.high:
        raise ConfigError(f"{where}: {key.name!r} must be at most {key.high}{found}")
    if value % key.step:
        raise ConfigError(f"{where}: {key.name!r} must be a multiple of {key.step}{found}")


_HOUR_MS: Final = 3_600_000
_YEAR_S: Final = 366 * 86_400

BOUNDS: Final[Mapping[str, tuple[int, int]]] = {
    "window_commands": (1, 2**24),
    "retransmit_commands": (1, 2**26),
    "batch_commands": (1, 4096),
    "burst_commands": (1, 2**20),
    "session_credit": (1, 2**24),
    "client_batch": (1, 65_536),
    "link_queue_bytes": (2**20, 2**34),
    "event_window_commands": (1, 2**26),
    "budget_per_s": (0, 10**9),
    "heartbeat_ms": (1, _HOUR_MS),
    "hang_ms": (1, _HOUR_MS),
    "fence_ms": (1, _HOUR_MS),
    "bootstrap_ms": (1, _HOUR_MS),
    "etcd_timeout_ms": (1, _HOUR_MS),
    "receipt_ms": (1, _HOUR_MS),
    "resend_ms": (1, _HOUR_MS),
    "rewind_ms": (1, _HOUR_MS),
    "tick_ms": (0, _HOUR_MS),
    "park_us": (1, 1_000_000),
    "realtime_priority": (0, 99),
    "every_commands": (0, 10**12),
    "every_s": (0, _YEAR_S),
    "keep": (1, 1000),
    "journal_keep_commands": (0, 10**15),
}
"""Least and greatest value of each key of `[limits]`, `[timing]` and `[snapshots]`."""

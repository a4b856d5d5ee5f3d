"""Where webhooks may go. Pure.

A webhook is an address that a user names and this process calls from inside the operator's network. So an operator
allows hosts by name (`webhook_hosts`), https alone, and public addresses alone. Networks that are not public are called
only where the operator has named them (`webhook_networks`), and there plain http is allowed, too. What a name resolves
to is looked at for each connection, not once: a name can be bent later.
"""

import ipaddress
import re
from typing import Final

from yarl import URL

from lockstep.runtime.faults import BadInput
from lockstep.stream.values import frozen

MOST_URL: Final = 500
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_NAME: Final = re.compile(r"[a-z0-9._-]+")
_TUNNELS: Final = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")))
"""They stand for addresses of version 4, public or not."""


class NotAllowed(Exception):
    """A webhook may not go there. The text says why."""


@frozen
class Rules:
    """What the configuration allows."""

    hosts: tuple[str, ...] = ()
    """Names; `*.example.com`: all under it; `*`: all. None: no webhooks."""
    networks: tuple[Network, ...] = ()
    """Not public, and allowed all the same."""


def rules_of(hosts: str, networks: str) -> Rules:
    """From the configuration's texts, with blanks between.

    Raises:
        BadInput: a network is none.
    """
    try:
        found = tuple(ipaddress.ip_network(one) for one in networks.split())
    except ValueError as error:
        text = f"webhook_networks of [alerts]: {error}; write networks such as 10.1.0.0/16, with blanks between"
        raise BadInput(text) from None
    return Rules(tuple(hosts.lower().split()), found)


def check_url(text: str, rules: Rules) -> URL:
    """The address of a webhook, if it may be one.

    Raises:
        NotAllowed: it may not.
    """
    if not rules.hosts:
        raise NotAllowed("this cluster sends no webhooks: its operator names hosts in webhook_hosts of [alerts] first")
    try:
        url = URL(text)
        host, port = (url.raw_host or "").lower().rstrip("."), url.port
    except ValueError:
        raise NotAllowed(f"{text[:80]!r} is no URL") from None
    if len(text) > MOST_URL or not text.isascii() or not text.isprintable() or " " in text:
        raise NotAllowed(f"a webhook's URL is at most {MOST_URL} visible ASCII letters")
    if url.scheme not in ("https", "http") or not host or not port:
        raise NotAllowed(f"{text[:80]!r} is no https URL")
    if url.user is not None or url.password is not None or url.fragment:
        raise NotAllowed("a webhook's URL has no user, password or fragment: deliveries are signed")
    if not any(_matches(host, pattern) for pattern in rules.hosts):
        raise NotAllowed(
            f"webhooks may not go to {host[:80]}: its operator has not named it in webhook_hosts of [alerts]"
        )
    if url.scheme == "http" and not rules.networks:
        raise NotAllowed(
            "a webhook is https; plain http goes to networks alone that webhook_networks of [alerts] names"
        )
    literal = literal_of(host)
    if literal is not None:
        check_address(literal, rules, plain=url.scheme == "http")
    return url


def literal_of(host: str) -> Address | None:
    """The address that a URL's host is; None: it is a name.

    Raises:
        NotAllowed: it is neither, or an address of version 4 in one of the forms that only some programs read.
    """
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        pass
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        # As WHATWG's URL standard has it: such a host is an address, and never a name.
        raise NotAllowed(f"{host[:80]} is an address in a form that is not taken: write it as 192.0.2.1 is written")
    if not _NAME.fullmatch(host):
        raise NotAllowed(f"{host[:80]!r} is no name of a host, and no address")
    return None


def _matches(host: str, pattern: str) -> bool:
    if pattern.startswith("*."):
        return host.endswith(pattern[1:])
    return pattern in ("*", host)


def check_address(address: Address, rules: Rules, *, plain: bool) -> None:
    """Whether a connection may be made. `plain`: without encryption.

    Raises:
        NotAllowed: it may not.
    """
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if any(address.version == one.version and address in one for one in rules.networks):
        return
    if plain:
        raise NotAllowed(f"plain http goes to networks alone that webhook_networks of [alerts] names, not to {address}")
    tunnel = isinstance(address, ipaddress.IPv6Address) and any(address in one for one in _TUNNELS)
    if not address.is_global or address.is_multicast or address.is_reserved or tunnel:
        raise NotAllowed(f"{address} is no public address, and its operator has not named it in webhook_networks")

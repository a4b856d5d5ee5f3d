"""Every RPC of every process, and every other way in, tried without credentials, with wrong ones and with each role.

What was observed is the table in docs/access.md; LOCKSTEP_REWRITE_TABLES=1 writes it there.
"""

import http.client
import os
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest

from lockstep.edge.rest.operations import OPERATIONS, PREFIX, Operation
from lockstep.errors import Refused
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.runtime.access.cluster_key import Holder, load_key, mint
from lockstep.runtime.access.permissions import ALERT_SOCKET, FEED_SOCKET, METHODS, METRICS, ORDER_DOOR, PUBLIC
from lockstep.runtime.access.roles import GRANTABLE, Role
from lockstep.runtime.topology import Client, ProcessKind
from lockstep.stream.codes import Code
from lockstep.sync import Client as SyncClient
from tests.calm import CALM

PAGE = Path(__file__).resolve().parents[3] / "docs/access.md"
BEGIN, END = "<!-- observed: begin -->\n", "<!-- observed: end -->\n"
UNDECODABLE = b"\xff"
"""Whoever may call hears that this is no message, and nothing is done."""
CLIENTS = tuple(
    Client(
        name=f"the {role}", token=f"token-of-{role}", number=number, roles=(role,),
        soup_user=f"USER{number}", soup_password=f"pass-{number}",
    )
    for number, role in enumerate(GRANTABLE, 1)
)  # fmt: skip
EXTRA = {
    ProcessKind.SEQUENCER: (),
    ProcessKind.ENGINE: ("Replication",),
    ProcessKind.GATEWAY: ("OrderEntry", "Accounts", "MarketData"),
    ProcessKind.FEED: ("MarketFeed",),
}
"""Services of each kind of process, beside those that all have."""


@pytest.fixture(scope="module")
def closed() -> Iterator[LocalCluster]:
    with LocalCluster(
        ClusterPlan(
            timing=CALM, clients=CLIENTS, feeds=1, soup=True, fix=True, reconcile=True, ledger=True, alerts=True
        )
    ) as running:
        yield running


def tokens(cluster: LocalCluster) -> dict[Role, str]:
    """One of each role, as those have them who should."""
    key = load_key(cluster.topology.access.key_file)
    assert key is not None, "made at the start"
    now_s, name = int(time.time()), cluster.topology.name
    found = {client.roles[0]: client.token for client in CLIENTS}
    found[Role.MEMBER] = mint(key, name, Holder("engine-1", Role.MEMBER), now_s)
    # A sequencer is a member, too: what it may do beyond that is its own.
    found[Role.SEQUENCER] = mint(key, name, Holder("sequencer-1", Role.MEMBER), now_s)
    return found


def methods_of(kind: ProcessKind) -> list[str]:
    services = {f"lockstep.v1.{name}" for name in ("Cluster", *EXTRA[kind])}
    services |= {"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
    return [method for method in METHODS if method.split("/")[1] in services and not method.endswith("Health/List")]


def servers(cluster: LocalCluster) -> Iterator[tuple[str, str, list[str]]]:
    """(kind, address, methods) of every gRPC server; whoever is no member is last."""
    for member in cluster.topology.all_members():
        yield member.kind.name.lower(), member.grpc_address, methods_of(member.kind)
    ledger = cluster.topology.ledger
    own = [method for method in METHODS if method.startswith("/lockstep.v1.Ledger/")]
    yield "ledger", f"{ledger.host}:{ledger.grpc_port}", [*own, "/lockstep.v1.Cluster/GetStatus"]
    alerts = cluster.topology.alerts
    own = [method for method in METHODS if method.startswith("/lockstep.v1.Alerts/")]
    yield "alerts", f"{alerts.host}:{alerts.grpc_port}", [*own, "/lockstep.v1.Cluster/GetStatus"]


def answer(channel: grpc.Channel, method: str, token: str | None) -> tuple[grpc.StatusCode, int]:
    """The status of a call with bytes that are no message, and the code beside it."""
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    try:
        for _ in channel.stream_stream(method)(iter((UNDECODABLE,)), metadata=metadata, timeout=30):
            pass
    except grpc.RpcError as error:
        return error.code(), int(dict(error.trailing_metadata() or ()).get("lockstep-code", 0))
    return grpc.StatusCode.OK, 0


_observed: dict[tuple[str, str], set[Role | None]] = {}
"""What was let in, by the address of a server and its method."""


def who_may(channel: grpc.Channel, address: str, method: str, known: dict[Role, str]) -> set[Role | None]:
    """Roles that are let in; None: nobody's credentials are needed. Asked once."""
    if (address, method) not in _observed:
        _observed[address, method] = _who_may(channel, method, known)
    return set(_observed[address, method])


def _who_may(channel: grpc.Channel, method: str, known: dict[Role, str]) -> set[Role | None]:
    let_in: set[Role | None] = set()
    for role, token in ((None, None), *known.items()):
        status, code = answer(channel, method, token)
        if status is grpc.StatusCode.INVALID_ARGUMENT and code == Code.MALFORMED_BATCH:
            let_in.add(role)
        elif token is None:
            assert (status, code) == (grpc.StatusCode.UNAUTHENTICATED, Code.UNAUTHENTICATED), (method, status)
        else:
            assert (status, code) == (grpc.StatusCode.PERMISSION_DENIED, Code.NOT_ENTITLED), (method, role, status)
    return let_in


def words(let_in: set[Role | None]) -> str:
    if None in let_in:
        return "everybody"
    if Role.MEMBER in let_in:
        let_in = let_in - {Role.SEQUENCER}
    everyone = set(Role) - {Role.SEQUENCER}
    return "every role" if let_in == everyone else ", ".join(sorted(str(role) for role in let_in)) or "nobody"


def test_every_rpc_of_every_process_is_open_to_its_roles_alone(closed: LocalCluster):
    known = tokens(closed)
    for name, address, methods in servers(closed):
        with grpc.insecure_channel(address) as channel:
            for method in methods:
                let_in, allowed = who_may(channel, address, method, known), METHODS[method]
                if allowed is PUBLIC:
                    assert None in let_in, method
                    continue
                wanted = {role for role in known if role in allowed}
                if Role.MEMBER in allowed:
                    wanted.add(Role.SEQUENCER)
                assert let_in == wanted, f"{method} of {name}"


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer nobody's",
        "Basic dXNlcjpwYXNz",
        "Bearer lsk1.operator.eve.9999999999.00",
        "Bearer " + "x" * 4000,
        "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290In0.",
    ],
)
def test_wrong_credentials_are_as_good_as_none(closed: LocalCluster, authorization: str):
    for name, address, methods in servers(closed):
        with grpc.insecure_channel(address) as channel:
            for method in methods:
                if METHODS[method] is PUBLIC:
                    continue
                call = channel.stream_stream(method)
                with pytest.raises(grpc.RpcError) as refused:
                    list(call(iter((UNDECODABLE,)), metadata=(("authorization", authorization),), timeout=30))
                assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED, (name, method)


def get(host: str, port: int, path: str, token: str | None, method: str = "GET", **headers: str) -> int:
    connection = http.client.HTTPConnection(host, port, timeout=30)
    try:
        connection.request(method, path, headers={**({"Authorization": f"Bearer {token}"} if token else {}), **headers})
        return connection.getresponse().status
    finally:
        connection.close()


def metrics_ports(cluster: LocalCluster) -> dict[str, int]:
    topology = cluster.topology
    found = {member.name: member.metrics_port for member in topology.all_members()}
    found |= {f"snapshotter-{engine.id}": engine.snapshotter_metrics_port for engine in topology.engines}
    found |= {"reconciler": topology.reconciler.metrics_port, "ledger": topology.ledger.metrics_port}
    return found | {"alerts": topology.alerts.metrics_port}


def test_figures_are_for_those_who_watch(closed: LocalCluster):
    known = tokens(closed)
    for name, port in metrics_ports(closed).items():
        assert port, name
        assert get("127.0.0.1", port, "/metrics", None) == 401, name
        assert get("127.0.0.1", port, "/metrics", "wrong") == 401, name
        for role, token in known.items():
            may = role in METRICS or role is Role.SEQUENCER
            assert get("127.0.0.1", port, "/metrics", token) == (200 if may else 403), (name, role)


UPGRADE = {
    "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}  # fmt: skip


def test_the_feeds_websocket_is_for_readers(closed: LocalCluster):
    feed = closed.topology.feeds[0]
    assert get(feed.host, feed.http_port, "/feed", None, **UPGRADE) == 401
    assert get(feed.host, feed.http_port, "/feed", "wrong", **UPGRADE) == 401
    for role, token in tokens(closed).items():
        may = role in FEED_SOCKET
        assert get(feed.host, feed.http_port, "/feed", token, **UPGRADE) == (101 if may else 403), role


def test_the_alerts_websocket_is_for_users(closed: LocalCluster):
    alerts = closed.topology.alerts
    assert get(alerts.host, alerts.http_port, "/alerts", None, **UPGRADE) == 401
    for role, token in tokens(closed).items():
        may = role in ALERT_SOCKET
        assert get(alerts.host, alerts.http_port, "/alerts", token, **UPGRADE) == (101 if may else 403), role


def rest(cluster: LocalCluster, operation: Operation, token: str | None) -> int:
    """The status of a request that says nothing: 400 for whoever may ask."""
    feed, path = cluster.topology.feeds[0], operation.path.format(account=1, order_id=1, instrument="ACME")
    return get(feed.host, feed.http_port, f"{PREFIX}{path}?nothing=1", token, operation.method)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_an_operation_of_the_rest_door_is_for_its_roles(closed: LocalCluster, operation: Operation):
    assert rest(closed, operation, None) == 401
    assert rest(closed, operation, "wrong") == 401
    for role, token in tokens(closed).items():
        may = role in operation.roles or (role is Role.SEQUENCER and Role.MEMBER in operation.roles)
        assert rest(closed, operation, token) == (400 if may else 403), role


def soup_login(address: str, user: str, password: str) -> bytes:
    """The kind of packet that answers a login."""
    host, _, port = address.rpartition(":")
    text = b"L" + user.ljust(6).encode() + password.ljust(10).encode() + b" " * 10 + b"1".rjust(20)
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(len(text).to_bytes(2, "big") + text)
        while True:
            head = connection.recv(3, socket.MSG_WAITALL)
            if len(head) < 3 or head[2:] in (b"A", b"J"):
                return head[2:]
            connection.recv(int.from_bytes(head[:2], "big") - 1, socket.MSG_WAITALL)


def test_the_binary_door_is_for_traders(closed: LocalCluster):
    address = closed.soup_addresses[0]
    assert soup_login(address, "USER1", "wrong") == b"J"
    assert soup_login(address, "NOBODY", "pass-1") == b"J"
    for client in CLIENTS:
        may = client.roles[0] in ORDER_DOOR
        assert soup_login(address, client.soup_user, client.soup_password) == (b"A" if may else b"J"), client.name


def fix_logon(address: str, user: str, password: str) -> bytes:
    """The type of the message that answers a Logon; empty: the connection just ended."""
    host, _, port = address.rpartition(":")
    now = datetime.now(UTC).strftime("%Y%m%d-%H:%M:%S").encode()
    head = b"35=A\x0134=1\x0149=%b\x0152=%b\x0156=LOCKSTEP\x01" % (user.encode(), now)
    body = head + b"98=0\x01108=30\x01141=Y\x01554=%b\x01" % password.encode()
    text = b"8=FIX.4.4\x019=%d\x01%b" % (len(body), body)
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(text + b"10=%03d\x01" % (sum(text) % 256))
        said = connection.recv(4096)
    return said.split(b"\x0135=")[1][:1] if said else b""


def test_the_fix_door_is_for_traders(closed: LocalCluster):
    address = closed.fix_addresses[0]
    assert fix_logon(address, "USER1", "wrong") == b""
    assert fix_logon(address, "NOBODY", "pass-1") == b""
    for client in CLIENTS:
        may = client.roles[0] in ORDER_DOOR
        assert fix_logon(address, client.soup_user, client.soup_password) == (b"A" if may else b""), client.name


def rows(cluster: LocalCluster) -> Iterator[tuple[str, str, str, str]]:
    """(process, port, protocol, who may), as it was observed."""
    known = tokens(cluster)
    firsts: dict[str, tuple[str, list[str]]] = {}
    for kind, address, methods in servers(cluster):
        firsts.setdefault(kind, (address, methods))
    for kind, (address, methods) in firsts.items():
        with grpc.insecure_channel(address) as channel:
            for method in methods:
                let_in = who_may(channel, address, method, known)
                yield kind, "grpc_port", f"gRPC `{method[1:]}`", words(let_in)
    port = cluster.topology.gateways[0].metrics_port
    readers = {role for role, token in known.items() if get("127.0.0.1", port, "/metrics", token) == 200}
    yield "every process", "metrics_port", "HTTP `GET /metrics`", words(set(readers))
    feed = cluster.topology.feeds[0]
    opened = {role for role, t in known.items() if get(feed.host, feed.http_port, "/feed", t, **UPGRADE) == 101}
    yield "feed", "http_port", "WebSocket `/feed`", words(set(opened))
    alerts = cluster.topology.alerts
    opened = {role for role, t in known.items() if get(alerts.host, alerts.http_port, "/alerts", t, **UPGRADE) == 101}
    yield "alerts", "http_port", "WebSocket `/alerts`", words(set(opened))
    for operation in OPERATIONS:
        answered = {role for role, token in known.items() if rest(cluster, operation, token) == 400}
        yield "feed", "http_port", f"REST `{operation.method} {PREFIX}{operation.path}`", words(set(answered))
    for path in ("/", "/docs", "/openapi.json"):
        public = get(feed.host, feed.http_port, path, None) == 200
        yield "feed", "http_port", f"HTTP `GET {path}`", "everybody" if public else "nobody"
    address = cluster.soup_addresses[0]
    logged_in = {c.roles[0] for c in CLIENTS if soup_login(address, c.soup_user, c.soup_password) == b"A"}
    yield "gateway", "soup", "OUCH 4.2 over SoupBinTCP: a login", words(set(logged_in))
    address = cluster.fix_addresses[0]
    logged_on = {c.roles[0] for c in CLIENTS if fix_logon(address, c.soup_user, c.soup_password) == b"A"}
    yield "gateway", "fix", "FIX 4.4 and 5.0 SP2: a Logon", words(set(logged_on))


def test_the_page_shows_what_was_observed(closed: LocalCluster):
    table = ["| process | port | protocol, and what of it | who may call |\n", "| --- | --- | --- | --- |\n"]
    table += [f"| {' | '.join(row)} |\n" for row in rows(closed)]
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    written, _, after = rest.partition(END)
    if os.environ.get("LOCKSTEP_REWRITE_TABLES"):
        PAGE.write_text(before + BEGIN + "".join(table) + END + after)
    else:
        assert written == "".join(table), "LOCKSTEP_REWRITE_TABLES=1 writes it anew"


def defined_by(cluster: LocalCluster, role: Role) -> None:
    """An instrument, which administrators alone may define."""
    who = next(client for client in CLIENTS if client.roles == (role,))
    with (
        SyncClient(cluster.gateway_addresses, token=who.token, client_number=who.number, timeout_s=30) as client,
        client.session(timeout_s=30) as session,
    ):
        session.define_instrument(id=1, symbol="ACME", tick="0.01").result(30)


def test_the_cluster_works_and_its_operator_acts_by_the_clusters_key(closed: LocalCluster, run_cli):
    """A whole switchover with members that know each other, by a person who only has the directory."""
    config = closed.config_path
    done = run_cli("cluster", "switchover", "--config", config)
    assert done.returncode == 0, done.stdout + done.stderr
    assert closed.wait_until_whole(60)
    defined_by(closed, Role.ADMINISTRATOR)
    with pytest.raises(Refused, match="NOT_ENTITLED"):
        defined_by(closed, Role.OPERATOR)
    done = run_cli("cluster", "halt", "ACME", "--config", config)
    assert "halt" in done.stdout + done.stderr
    assert done.returncode == 0, done.stdout + done.stderr
    trail = (closed.data_dir / "audit" / f"{closed.find('sequencer')}.jsonl").read_text()
    assert "SwitchPrimary" in trail

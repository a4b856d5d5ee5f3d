"""API9:2023 Improper Inventory Management: what is served is what is described, in one version."""

from pathlib import Path
from types import SimpleNamespace

from aiohttp import web

from lockstep.edge.rest.door import RestDoor
from lockstep.edge.rest.operations import PREFIX


def test_the_door_serves_what_the_document_describes_and_nothing_else(alice):
    described = {
        (method.upper(), path)
        for path, methods in alice.get("/openapi.json").json["paths"].items()
        for method in methods
    }
    application = web.Application()
    described |= {("HEAD", path) for method, path in described if method == "GET"}
    shell = SimpleNamespace(
        topology=SimpleNamespace(gateways=()), member=SimpleNamespace(id=1, name="feed-1"), entitlements=None
    )
    RestDoor(shell).add_to(application)  # type: ignore[arg-type]
    served = {
        (route.method, route.resource.canonical)
        for route in application.router.routes()
        if route.resource is not None and not isinstance(route.resource, web.PrefixedSubAppResource)
    }
    inner = next(one for one in application.router.resources() if isinstance(one, web.PrefixedSubAppResource))
    served |= {(route.method, route.resource.canonical) for route in inner if route.resource is not None}
    own = {path for _, path in served if not path.startswith(PREFIX)}
    assert own == {"/openapi.json", "/docs", "/docs/viewer.js", "/docs/viewer.css"}
    assert {one for one in served if one[1].startswith(PREFIX)} == described


def test_there_is_one_version(alice):
    for path in ("/v0/cluster", "/v2/cluster", "/cluster", "/api/v1/cluster", "/beta/cluster"):
        assert alice.get(path).status == 404


def listening(pid: int) -> set[int]:
    """TCP ports that a process listens at, as the kernel has it."""
    sockets = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    found = set()
    for table in ("tcp", "tcp6"):
        for row in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = row.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                found.add(int(fields[1].rpartition(":")[2], 16))
    return found


def test_each_process_listens_at_the_ports_of_the_configuration_and_no_others(cluster):
    pids = cluster.pids()
    for member in cluster.topology.all_members():
        configured = {member.grpc_port, member.watch_port, member.metrics_port, member.http_port} - {0}
        assert member.grpc_port in listening(pids[member.name])
        assert listening(pids[member.name]) <= configured, member.name

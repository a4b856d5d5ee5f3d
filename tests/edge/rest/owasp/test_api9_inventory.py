"""API9:2023 Improper Inventory Management: what is served is what is described, in one version."""

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

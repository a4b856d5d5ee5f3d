"""API7:2023 Server Side Request Forgery: no request makes the door ask an address of the caller's choice."""

import socket

from tests.edge.rest.owasp.conftest import EVERY


def test_no_parameter_and_no_field_is_an_address(alice):
    page = alice.get("/openapi.json").json
    for name, schema in page["components"]["schemas"].items():
        if name in {one.body for one in EVERY}:
            assert not [field for field, one in schema["properties"].items() if one.get("format") in ("uri", "url")]
    for operation in EVERY:
        assert not [one.name for one in operation.parameters if one.schema.get("format")]


def test_addresses_in_values_are_asked_by_nobody(alice):
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0.5)
        address = f"http://127.0.0.1:{trap.getsockname()[1]}/"
        assert alice.place("api7-1", instrument=address).status in (400, 404)
        assert alice.place(address).status == 201
        headers = {"X_Forwarded_Host": address, "Referer": address, "Forwarded": f"host={address}"}
        assert alice.get("/v1/cluster", **headers).status == 200
        try:
            trap.accept()
        except TimeoutError:
            return
        raise AssertionError("somebody came")


def test_a_location_names_no_host(alice):
    placed = alice.place("api7-2", price="20")
    assert placed.headers["Location"].startswith("/v1/")
